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

// Watcher sees every decision and can refuse a call before any Method sees its
// credentials, as a throttle does.
type Watcher interface {
	// Watch returns what decide does, or refuses the call with an error of a class
	// of errs. With an error the identity says what is known of the caller, who
	// does not get it; it may be empty.
	Watch(r Request, c Credentials, decide func() (Identity, error)) (Identity, error)
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
	// Watchers see every call; each sees what those before it decide.
	Watchers []Watcher
}

// Authenticate implements Authenticator.
func (c *Chain) Authenticate(ctx context.Context, r Request) (Identity, error) {
	credentials, unreadable := ReadCredentials(r.Header)
	decide := func() (Identity, error) {
		if unreadable != nil {
			return Identity{}, errs.New(errs.Unauthenticated, "a call from %v: %v", r.Peer, unreadable)
		}
		return c.decide(ctx, r, credentials)
	}
	for _, w := range c.Watchers {
		inner := decide
		decide = func() (Identity, error) { return w.Watch(r, credentials, inner) }
	}
	id, err := decide()
	if err != nil {
		return Identity{}, err
	}
	return id, nil
}

// decide returns what is known of the caller with an error, too.
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
			return Identity{Method: m.Name()}, err
		case err != nil:
			return Identity{Method: m.Name()}, errs.New(errs.Unauthenticated, "a call from %v, by %s: %v", r.Peer, m.Name(), err)
		}
		id.Method = m.Name()
		return c.admit(ctx, r, id)
	}
	return Identity{}, errs.New(errs.Unauthenticated, "a call from %v with credentials of scheme %.20q: %v", r.Peer, credentials.Scheme, ErrNotMine)
}

// spoken says whether the caller may read what a method says.
func spoken(err error) bool {
	return slices.ContainsFunc([]*errs.Class{errs.AuthUnavailable, errs.TokenExpired, errs.PermissionDenied},
		func(c *errs.Class) bool { return errs.Is(err, c) })
}

// admit completes an identity that a method vouches for, and may refuse it.
func (c *Chain) admit(ctx context.Context, r Request, id Identity) (Identity, error) {
	if err := ValidUser(id.User); err != nil {
		return id, errs.New(errs.Unauthenticated, "a call from %v, by %s: %v", r.Peer, id.Method, err)
	}
	if !id.Host && IsRefused(c.Refused, id.User) {
		return id, errs.New(errs.Unauthenticated, "a call from %v, by %s: %q is an account of the system", r.Peer, id.Method, id.User)
	}
	id.Groups = slices.Clone(id.Groups)
	if id.RealUser == "" {
		id.RealUser = id.User
	}
	id.Admin = id.Admin || slices.Contains(c.Administrators, id.User)
	for _, admit := range c.Admit {
		if err := admit(ctx, r, id); err != nil {
			return id, err
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

// runner is what long-lived methods are.
type runner interface {
	Run(ctx context.Context) error
}

// Run runs the methods that are long-lived until ctx ends or one of them fails.
func (c *Chain) Run(ctx context.Context) error {
	parts, ctx := errgroup.WithContext(ctx)
	for _, m := range c.Methods {
		if r, ok := m.(runner); ok {
			parts.Go(func() error { return r.Run(ctx) })
		}
	}
	return parts.Wait()
}
