// SPDX-License-Identifier: Apache-2.0

// Package kerberos authenticates callers by Kerberos tickets: the credentials
// "Negotiate <token>" (RFC 4559) over HTTP or in the metadata of a gRPC call. A
// token is good for one call; a client makes a new one for each.
package kerberos

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"roundhouse/auth"
	"roundhouse/internal/krb5"
)

// Name is that of the method in kyuubi.authentication.
const Name = "KERBEROS"

// scheme is the one of the challenge and of the reply.
const scheme = "Negotiate"

// Options of the method.
type Options struct {
	// Principal is HTTP/host@REALM (kyuubi.spnego.principal).
	Principal string
	// Keytab is the file with its keys (kyuubi.spnego.keytab).
	Keytab string
	// ReplayDir is the folder that the gateways of a host share.
	ReplayDir string
	// Rules is the text of hadoop.security.auth_to_local; "" is DEFAULT.
	Rules string
}

// Method is the auth.Method KERBEROS.
type Method struct {
	service *krb5.Service
	rules   *Rules
}

// New makes the method. Errors are about the keytab or its principal, unless
// ErrRules or krb5.ErrReplays is among them.
func New(o Options) (*Method, error) {
	service, err := krb5.NewService(krb5.Options{Principal: o.Principal, Keytab: o.Keytab, ReplayDir: o.ReplayDir})
	if err != nil {
		return nil, err
	}
	rules, err := ParseRules(o.Rules, service.Realm())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRules, err)
	}
	return &Method{service, rules}, nil
}

// ErrRules is the error of rules that cannot be used.
var ErrRules = errors.New("the rules of principals cannot be used")

// Name is KERBEROS.
func (*Method) Name() string { return Name }

// Challenge is Negotiate.
func (*Method) Challenge() string { return scheme }

// Run forgets old tokens until ctx ends.
func (m *Method) Run(ctx context.Context) error { return m.service.Run(ctx) }

// Check verifies a ticket. It leaves credentials of any other scheme than
// Negotiate to other methods.
func (m *Method) Check(_ context.Context, r auth.Request, c auth.Credentials) (auth.Identity, error) {
	if c.Scheme != auth.SchemeNegotiate {
		return auth.Identity{}, auth.ErrNotMine
	}
	token, err := base64.StdEncoding.DecodeString(c.Value)
	if err != nil {
		return auth.Identity{}, errors.New("the token is not in base64")
	}
	who, err := m.service.Accept(token, r.Peer)
	if err != nil {
		return auth.Identity{}, err
	}
	user, err := m.rules.User(who.Components, who.Realm)
	if err != nil {
		return auth.Identity{}, err
	}
	id := auth.Identity{User: user, Expires: who.Expires}
	if len(who.Reply) > 0 {
		id.Reply = scheme + " " + base64.StdEncoding.EncodeToString(who.Reply)
	}
	return id, nil
}
