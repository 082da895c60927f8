// SPDX-License-Identifier: Apache-2.0

// Package krb5 verifies what callers present by SPNEGO (RFC 4178, 4559): a
// Kerberos ticket for this service with a fresh authenticator (RFC 4120, 4121).
// It asks no KDC: the keytab of the service is all that it needs. It is the only
// importer of gokrb5, and does itself what that library leaves out: it believes
// the realm inside the ticket only, remembers authenticators for all gateways of
// this host, makes the reply for mutual authentication, and survives a panic.
package krb5

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"roundhouse/internal/errs"
)

// Skew is how far the clock of a caller may be off (RFC 4120 section 1.6 has 5
// minutes as the usual value, like MIT and Hadoop).
const Skew = 5 * time.Minute

// maxToken bounds a token in bytes. Tickets with many groups reach 48 KiB (the
// largest that Windows makes), which is 64 KiB in a header.
const maxToken = 48 << 10

// maxCusec is the most of the microseconds beside a time (RFC 4120 section
// 5.2.4). More would move it by any time, for the skew but not for the replays.
const maxCusec = 999_999

// gssChecksum is the type of the checksum in the authenticator of GSS-API (RFC
// 4121 section 4.1.1).
const gssChecksum = 0x8003

// Options describe a service.
type Options struct {
	// Principal is that of the service with its realm: HTTP/host@REALM.
	Principal string
	// Keytab is a file of mode 0600. It is read for each token, so a new key
	// holds at once.
	Keytab string
	// ReplayDir is a folder of mode 0700 that all gateways of this host share; Run
	// makes it if it does not exist.
	ReplayDir string
}

// Accepted is a caller who was verified.
type Accepted struct {
	// Components of the principal: alice, or HTTP and a host. There is one at least.
	Components []string
	// Realm is that of the caller.
	Realm string
	// Expires is the end of the ticket.
	Expires time.Time
	// Reply is the token that proves the service to the caller; empty if there is
	// none to send.
	Reply []byte
}

// Service verifies tokens. It is safe for concurrent use.
type Service struct {
	options Options
	name    types.PrincipalName
	realm   string
	replays *replays
}

// ErrReplays is the error of a folder of replays that cannot be used.
var ErrReplays = errors.New("tokens that were used cannot be remembered")

// NewService looks at the keytab and at the folder of replays, if it exists.
// Errors say what to change.
func NewService(o Options) (*Service, error) {
	name, realm := types.ParseSPNString(o.Principal)
	s := &Service{options: o, name: name, realm: realm}
	if _, err := s.keytab(); err != nil {
		return nil, err
	}
	var err error
	s.replays, err = newReplays(o.ReplayDir)
	return s, err
}

// Realm is the realm of the service.
func (s *Service) Realm() string { return s.realm }

// Run makes the folder of replays, so that nobody else does, and forgets
// authenticators that are too old to be used again, until ctx ends.
func (s *Service) Run(ctx context.Context) error { return s.replays.run(ctx) }

// Accept verifies the token of a caller. An error of class AUTH_UNAVAILABLE says
// that this machine lacks something; any other one is about the token, for
// the log, and holds nothing of it.
func (s *Service) Accept(token []byte, peer net.Addr) (accepted Accepted, err error) {
	defer func() {
		if p := recover(); p != nil {
			accepted, err = Accepted{}, errors.New("the token cannot be read (the Kerberos library gave up)")
		}
	}()
	in, err := parse(token)
	if err != nil {
		return Accepted{}, err
	}
	if err := s.verify(&in.request, peer); err != nil {
		return Accepted{}, err
	}
	if err := s.replays.first(authenticated(in.request), in.request.EncryptedAuthenticator.Cipher); err != nil {
		return Accepted{}, err
	}
	reply, err := in.reply()
	if err != nil {
		return Accepted{}, fmt.Errorf("no reply can be made: %w", err)
	}
	ticket := in.request.Ticket.DecryptedEncPart
	return Accepted{
		Components: slices.Clone(ticket.CName.NameString), Realm: ticket.CRealm, Expires: ticket.EndTime, Reply: reply,
	}, nil
}

func (s *Service) verify(request *messages.APReq, peer net.Addr) error {
	ticket := &request.Ticket
	if !ticket.SName.Equal(s.name) || ticket.Realm != s.realm {
		return fmt.Errorf("the ticket is for %.100q, not for %s", ticket.SName.PrincipalNameString()+"@"+ticket.Realm, s.options.Principal)
	}
	keys, err := s.keytab()
	if err != nil {
		return errs.Wrap(errs.AuthUnavailable, err, "The gateway's keytab cannot be used, so no Kerberos ticket can be checked.")
	}
	ok, err := request.Verify(keys, Skew, hostAddress(peer), &s.name)
	if err != nil {
		return err
	}
	inside := ticket.DecryptedEncPart
	switch {
	case !ok:
		return errors.New("the ticket is not valid")
	case request.Authenticator.Cusec < 0 || request.Authenticator.Cusec > maxCusec:
		return errors.New("the time of the authenticator is none")
	case request.Authenticator.CRealm != inside.CRealm:
		return errors.New("the authenticator claims another realm than the ticket")
	case request.Authenticator.Cksum.CksumType != gssChecksum:
		return errors.New("the authenticator was not made for GSS-API")
	case inside.CRealm != s.realm && !types.IsFlagSet(&inside.Flags, flags.TransitedPolicyChecked):
		return errors.New("the ticket came over realms that no KDC has checked")
	case len(inside.CName.NameString) == 0:
		return errors.New("the ticket names nobody")
	}
	return nil
}

// authenticated is when the caller made the authenticator, by its clock.
func authenticated(request messages.APReq) time.Time { return request.Authenticator.CTime }

// hostAddress is the peer as tickets name it; zero, which no ticket names, if
// it has no address.
func hostAddress(peer net.Addr) types.HostAddress {
	if peer == nil {
		return types.HostAddress{}
	}
	address, _ := types.GetHostAddress(peer.String()) // zero for a Unix socket
	return address
}

// keytab reads the keys of the service.
func (s *Service) keytab() (keys *keytab.Keytab, err error) {
	defer func() {
		if p := recover(); p != nil {
			keys, err = nil, fmt.Errorf("%s is no keytab", s.options.Keytab)
		}
	}()
	keys, err = loadKeytab(s.options.Keytab)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range keys.Entries {
		name := e.Principal.String()
		if name == s.options.Principal {
			return keys, nil
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return nil, fmt.Errorf("%s has no key of %s, but of: %.300s", s.options.Keytab, s.options.Principal, strings.Join(slices.Compact(names), ", "))
}
