// SPDX-License-Identifier: Apache-2.0

package issue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"roundhouse/auth"
	"roundhouse/internal/errs"
	"roundhouse/internal/secret"
)

// Method is the name of this method, which is also that of the static tokens.
const Method = "TOKEN"

// maxSessions bounds the sessions that are remembered of a token.
const maxSessions = 1000

// skew is how far clocks of hosts may be apart for credentials of a minute.
const skew = 30 * time.Second

// Name implements auth.Method.
func (*Issuer) Name() string { return Method }

// Challenge implements auth.Method.
func (*Issuer) Challenge() string { return "Bearer" }

// Check accepts tokens that a gateway with our secret and store issued. It knows
// nothing of other bearer tokens. The store is asked about those only that are signed and
// whose record was not heard of.
func (i *Issuer) Check(ctx context.Context, r auth.Request, c auth.Credentials) (auth.Identity, error) {
	if c.Scheme != auth.SchemeBearer || !strings.HasPrefix(c.Value, prefix) {
		return auth.Identity{}, auth.ErrNotMine
	}
	if len(c.Value) > maxText {
		return auth.Identity{}, errors.New("a token that is too long")
	}
	sum := hash(c.Value)
	told, err := i.read(c.Value, sum)
	if err != nil {
		return auth.Identity{}, err
	}
	if told.Host {
		return checkHost(told, r.Door)
	}
	id, err := i.checkRecord(ctx, told, sum)
	if err != nil {
		return auth.Identity{}, err
	}
	if !slices.Contains(told.Scope, r.Door) {
		return auth.Identity{}, errs.New(errs.PermissionDenied, "The token of user %s opens %s only, not %s. Make one for that: gateway token create --scope.",
			told.User, strings.Join(told.Scope, " and "), r.Door)
	}
	return id, nil
}

// checkHost judges credentials that ForHost made.
func checkHost(told claims, door string) (auth.Identity, error) {
	now := time.Now()
	if door != auth.DoorREST || now.After(time.Unix(told.Expires, 0)) || time.Unix(told.Created, 0).After(now.Add(skew)) {
		return auth.Identity{}, errors.New("credentials of the host that are too old, of the future, or at the wrong door")
	}
	return auth.Identity{User: told.User, Admin: true, Host: true}, nil
}

// checkRecord judges a token by what became of it since it was made; sum is the
// hash of its text.
func (i *Issuer) checkRecord(ctx context.Context, told claims, sum string) (auth.Identity, error) {
	id, now := told.identity(), time.Now()
	id.Renew = i.o.Renew
	e, r, known := i.find(told.ID)
	if !known && now.After(time.Unix(told.Last, 0)) {
		return auth.Identity{}, auth.Expired(id)
	}
	if !known {
		var err error
		if e, r, err = i.lookup(ctx, told.ID); err != nil {
			return auth.Identity{}, err
		}
	}
	switch {
	case e == nil:
		return auth.Identity{}, fmt.Errorf("token %s of user %s has no record: it was revoked, or the records of the gateway were lost", told.ID, told.User)
	case !secret.Equal(r.Hash, sum):
		return auth.Identity{}, fmt.Errorf("token %s of user %s is not the one that was issued", told.ID, told.User)
	case !r.Revoked.IsZero():
		return auth.Identity{}, fmt.Errorf("token %s of user %s was revoked at %s", told.ID, told.User, r.Revoked.Format(time.RFC3339))
	}
	if err := i.o.Denied(told.User); err != nil {
		return auth.Identity{}, fmt.Errorf("token %s: %w", told.ID, err)
	}
	id.Expires = r.Until()
	id.Lapsed = !now.Before(id.Expires)
	if id.Lapsed && !now.Before(id.Expires.Add(i.o.Grace)) {
		return auth.Identity{}, auth.Expired(id)
	}
	raise(&e.used, now.Truncate(grain).Unix())
	return id, nil
}

// Used notes that a token is used with a session of a user, for whom the token's
// own may act. It costs no I/O: Run slides the token while the session is open.
func (i *Issuer) Used(id, user, session string) {
	e, r, known := i.find(id)
	if !known || r.Name != "" {
		return
	}
	at := place{user, session}
	if _, seen := e.sessions.Load(at); seen || e.many.Load() >= maxSessions {
		return
	}
	if _, raced := e.sessions.LoadOrStore(at, nil); !raced {
		e.many.Add(1)
	}
}

// inUse says whether a session of the token is open, and forgets those that
// are not.
func (i *Issuer) inUse(e *entry) (open bool) {
	e.sessions.Range(func(key, _ any) bool {
		if at := key.(place); i.o.Open(at.user, at.session) {
			open = true
			return true
		}
		e.sessions.Delete(key)
		e.many.Add(-1)
		return true
	})
	return open
}
