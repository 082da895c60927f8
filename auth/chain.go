// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"roundhouse/internal/errs"
)

// Method is one way to prove who one is: an entry of kyuubi.authentication.
type Method interface {
	// Name is that in kyuubi.authentication, such as LDAP.
	Name() string
	// Challenge is the scheme that the method wants in WWW-Authenticate (RFC
	// 9110), "" if it asks for nothing there.
	Challenge() string
	// Check decides about the credentials of a call. It returns ErrNotMine if
	// they are of another kind or unknown to it. An error of class AUTH_UNAVAILABLE
	// says that it cannot decide now, one of TOKEN_EXPIRED or PERMISSION_DENIED that
	// they were good or are, but not for this; the caller reads these. Any other one
	// refuses the call, and its text is for the log. Check names the user as the method knows it; the Chain
	// judges whether that can be a user here.
	Check(ctx context.Context, r Request, c Credentials) (Identity, error)
}

// ErrNotMine is returned by a Method that leaves the decision to the next one.
var ErrNotMine = errors.New("no method of this gateway knows these credentials")

// Watcher hears of every decision and can refuse a call before any Method sees
// its credentials, as a throttle does.
type Watcher interface {
	// Before refuses a call with an error of a class of errs.
	Before(r Request, c Credentials) error
	// Decided is told the outcome; the identity is complete if err is nil.
	Decided(r Request, c Credentials, id Identity, err error)
}

// Chain asks methods in order. The first that knows the credentials decides.
// It is an Authenticator, safe for concurrent use if its parts are.
type Chain struct {
	// Methods in the order of kyuubi.authentication.
	Methods []Method
	// Administrators are users who may see and end what belongs to others
	// (kyuubi.server.administrators).
	Administrators []string
	// Refused are users who never get in, whoever vouches for them: accounts of
	// the system. Case does not count, because it does not for some of the systems
	// that know them.
	Refused []string
	// Admit may refuse a complete identity, with an error of class
	// PERMISSION_DENIED: its caller is known and may not come in. All are asked.
	Admit []func(ctx context.Context, r Request, id Identity) error
	// Watchers hear of every call, in order.
	Watchers []Watcher
}

// Authenticate implements Authenticator.
func (c *Chain) Authenticate(ctx context.Context, r Request) (Identity, error) {
	credentials, err := ReadCredentials(r.Header)
	if err != nil {
		err = errs.New(errs.Unauthenticated, "a call from %v: %v", r.Peer, err)
	}
	for _, w := range c.Watchers {
		if err == nil {
			err = w.Before(r, credentials)
		}
	}
	var id Identity
	if err == nil {
		id, err = c.decide(ctx, r, credentials)
	}
	for _, w := range c.Watchers {
		w.Decided(r, credentials, id, err)
	}
	return id, err
}

func (c *Chain) decide(ctx context.Context, r Request, credentials Credentials) (Identity, error) {
	if credentials.Scheme != "" && !confidential(r) {
		return Identity{}, errs.New(errs.Unauthenticated, "a call without TLS from %v: credentials need TLS", r.Peer)
	}
	for _, m := range c.Methods {
		id, err := m.Check(ctx, r, credentials)
		switch {
		case errors.Is(err, ErrNotMine):
			continue
		case spoken(err):
			return Identity{}, err
		case err != nil:
			return Identity{}, errs.New(errs.Unauthenticated, "a call from %v, by %s: %v", r.Peer, m.Name(), err)
		}
		return c.admit(ctx, r, m, id)
	}
	return Identity{}, errs.New(errs.Unauthenticated, "a call from %v with credentials of scheme %.20q: %v", r.Peer, credentials.Scheme, ErrNotMine)
}

// spoken says whether the caller may read what a method says.
func spoken(err error) bool {
	return slices.ContainsFunc([]*errs.Class{errs.AuthUnavailable, errs.TokenExpired, errs.PermissionDenied},
		func(c *errs.Class) bool { return errs.Is(err, c) })
}

// admit completes an identity that a method vouches for.
func (c *Chain) admit(ctx context.Context, r Request, m Method, id Identity) (Identity, error) {
	if err := ValidUser(id.User); err != nil {
		return Identity{}, errs.New(errs.Unauthenticated, "a call from %v, by %s: %v", r.Peer, m.Name(), err)
	}
	if !id.Host && IsRefused(c.Refused, id.User) {
		return Identity{}, errs.New(errs.Unauthenticated, "a call from %v, by %s: %q is an account of the system", r.Peer, m.Name(), id.User)
	}
	id.Method, id.Groups = m.Name(), slices.Clone(id.Groups)
	if id.RealUser == "" {
		id.RealUser = id.User
	}
	id.Admin = id.Admin || slices.Contains(c.Administrators, id.User)
	for _, admit := range c.Admit {
		if err := admit(ctx, r, id); err != nil {
			return Identity{}, err
		}
	}
	return id, nil
}

// IsRefused says whether a list such as Chain.Refused names a user.
func IsRefused(refused []string, user string) bool {
	return slices.ContainsFunc(refused, func(name string) bool { return strings.EqualFold(name, user) })
}

// Challenges are the schemes to name in WWW-Authenticate, each once.
func (c *Chain) Challenges() []string {
	var all []string
	for _, m := range c.Methods {
		if s := m.Challenge(); s != "" && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// runner is what long-lived parts are.
type runner interface {
	Run(ctx context.Context) error
}

// Run runs the methods and watchers that are long-lived until ctx ends or one
// of them fails.
func (c *Chain) Run(ctx context.Context) error {
	parts, ctx := errgroup.WithContext(ctx)
	start := func(part any) {
		if r, ok := part.(runner); ok {
			parts.Go(func() error { return r.Run(ctx) })
		}
	}
	for _, m := range c.Methods {
		start(m)
	}
	for _, w := range c.Watchers {
		start(w)
	}
	return parts.Wait()
}
