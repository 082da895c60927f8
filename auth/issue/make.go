// SPDX-License-Identifier: Apache-2.0

package issue

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"roundhouse/auth"
	"roundhouse/internal/errs"
)

// leastLifetime is the shortest life that can be asked for, if the settings
// allow as much.
const leastLifetime = 5 * time.Minute

// tokenName is what people may call a token.
var tokenName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._@:-]{0,63}$`)

// Wish is what a caller asks for; its zero value is a token for the caller.
type Wish struct {
	// User is whom the token is for; others than oneself are for administrators.
	User string
	// Groups are those of another User.
	Groups []string
	// Name makes it a token of a job.
	Name string
	// Scope are doors, as in auth; none means all of them.
	Scope []string
	// Lifetime is 0 for the default one.
	Lifetime time.Duration
}

// Issue makes a token. Errors are of classes of errs and for the caller.
func (i *Issuer) Issue(ctx context.Context, by auth.Identity, w Wish) (text string, r Record, err error) {
	told, err := i.grant(by, w)
	if err != nil {
		return "", Record{}, err
	}
	if text, err = i.keys.Load().sign(told); err != nil {
		return "", Record{}, err
	}
	created := time.Now().UTC()
	r = Record{
		ID: told.ID, User: told.User, Name: told.Name, Hash: hash(text), Method: told.Method, Scope: told.Scope, Parent: by.Token, By: by.User,
		Created: created, Expires: created.Add(time.Duration(told.Expires-told.Created) * time.Second), Last: time.Unix(told.Last, 0).UTC(),
	}
	if told.Last == told.Expires {
		r.Last = r.Expires // to the same fraction of a second
	}
	if err := i.room(ctx, r.User); err != nil {
		return "", Record{}, err
	}
	e, err := i.add(r)
	if err != nil {
		return "", Record{}, err
	}
	if err := i.save(ctx, e); err != nil {
		i.drop(e)
		return "", Record{}, err
	}
	i.o.Log.Info("token issued", "token", r.ID, "user", r.User, "name", r.Name, "scope", r.Scope, "expires", r.Expires, "by", by.RealUser, "method", by.Method)
	i.o.Changed(by, r, false)
	return text, r, nil
}

// add takes a record into memory, unless its parent has fallen. From now on the
// record falls with its parent.
func (i *Issuer) add(r Record) (*entry, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if parent := i.byID[r.Parent]; r.Parent != "" && (parent == nil || !parent.Revoked.IsZero()) {
		return nil, errs.New(errs.Conflict, "The token that asked for this one was revoked meanwhile.")
	}
	e := i.insert(r)
	e.unsaved = true
	return e, nil
}

// room makes place for one more token of a user, where it forgets the oldest of
// those that serve for nothing any more.
func (i *Issuer) room(ctx context.Context, user string) error {
	for {
		kept, dead := i.oldestDead(user)
		switch {
		case kept < perUser:
			return nil
		case dead == nil:
			return errs.New(errs.LimitExceeded, "User %s has %d tokens that are good, and no more are issued. Revoke those that are not needed: gateway token list, gateway token revoke.", user, kept)
		}
		if err := i.remove(ctx, dead); err != nil {
			return err
		}
	}
}

// oldestDead counts the tokens of a user, and finds the one that serves for
// nothing since the longest time, nil if there is none.
func (i *Issuer) oldestDead(user string) (kept int, dead *entry) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	first := time.Now()
	for e := range i.byUser[user] {
		if end := i.end(e.Record); !end.After(first) {
			first, dead = end, e
		}
	}
	return len(i.byUser[user]), dead
}

// grant decides about a wish.
func (i *Issuer) grant(by auth.Identity, w Wish) (claims, error) {
	user, groups, err := i.whom(by, w)
	if err != nil {
		return claims{}, err
	}
	scope, err := scopeOf(w.Scope)
	if err != nil {
		return claims{}, err
	}
	life, err := i.lifetime(w)
	if err != nil {
		return claims{}, err
	}
	now := time.Now()
	told := claims{
		ID: uuid.NewString(), User: user, Groups: groups, Scope: scope, Name: w.Name, Method: by.Method,
		Created: now.Unix(), Expires: now.Add(life).Unix(), Last: now.Add(life).Unix(),
	}
	if w.Name == "" {
		told.Last = max(told.Expires, now.Add(i.o.SlideMax).Unix())
	}
	return told, i.bound(by, &told)
}

// whom decides whose the token is.
func (i *Issuer) whom(by auth.Identity, w Wish) (user string, groups []string, err error) {
	own := (w.User == "" || w.User == by.User) && !by.Host
	switch {
	case by.Method == auth.MethodNone:
		return "", nil, errs.New(errs.Conflict, "This gateway believes every user name (kyuubi.authentication=NONE), so it issues no tokens: connect without one.")
	case by.Lapsed:
		return "", nil, auth.Expired(by)
	case by.RealUser != "" && by.RealUser != by.User:
		return "", nil, errs.New(errs.PermissionDenied, "User %s acts for %s, and gets no token in that name.", by.RealUser, by.User)
	case w.User == "" && by.Host:
		return "", nil, errs.New(errs.InvalidRequest, "Name the user whom the token is for; the user who runs the gateway needs none.")
	case !own && !by.Admin:
		return "", nil, errs.New(errs.PermissionDenied, "A token for user %q can be made by that user or by an administrator, and user %q is neither.", w.User, by.User)
	case own && len(w.Groups) > 0:
		return "", nil, errs.New(errs.InvalidRequest, "Groups can be named only by an administrator for another user.")
	}
	user, groups = by.User, by.Groups
	if !own {
		user, groups = w.User, w.Groups
	}
	if err := auth.ValidUser(user); err != nil {
		return "", nil, err
	}
	for _, group := range w.Groups {
		if !auth.ValidGroup(group) {
			return "", nil, errs.New(errs.InvalidRequest, "The group %q cannot be used: a group has 1 to 256 bytes of printable text.", group)
		}
	}
	if auth.IsRefused(i.o.Refused, user) {
		return "", nil, errs.New(errs.InvalidRequest, "User %s is an account of the system (kyuubi.authentication.refused.users), whom no token lets in. To administer, name a person in kyuubi.server.administrators.", user)
	}
	if err := i.o.Denied(user); err != nil {
		return "", nil, err
	}
	return user, groups, nil
}

func scopeOf(wished []string) ([]string, error) {
	doors := []string{auth.DoorConnect, auth.DoorREST}
	if len(wished) == 0 {
		return doors, nil
	}
	for _, s := range wished {
		if !slices.Contains(doors, s) {
			return nil, errs.New(errs.InvalidRequest, "There is no scope %q, only %s.", s, strings.Join(doors, " and "))
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(wished))), nil
}

func (i *Issuer) lifetime(w Wish) (time.Duration, error) {
	if w.Name != "" && !tokenName.MatchString(w.Name) {
		return 0, errs.New(errs.InvalidRequest, "The name of a token has 1 to 64 letters, digits, spaces or any of . _ @ : - and starts with a letter or digit.")
	}
	most, why := i.o.Lifetime, "a token without a name"
	if w.Name != "" {
		most, why = i.o.JobLifetime, "a token with a name"
	}
	life, least := cmp.Or(w.Lifetime, min(i.o.Lifetime, most)), min(leastLifetime, most)
	if life < least || life > most {
		return 0, errs.New(errs.InvalidRequest, "The lifetime of %s is between %s and %s here, not %s.", why, short(least), short(most), short(life))
	}
	return life, nil
}

// short is a duration as people write it: 90d, 12h, 5m.
func short(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d > 0 && d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	case d > 0 && d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d > 0 && d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

// bound keeps a token that a token asks for within that one.
func (i *Issuer) bound(by auth.Identity, told *claims) error {
	if by.Token == "" {
		return nil
	}
	_, parent, known := i.find(by.Token)
	if !known {
		return unknown(by.Token)
	}
	for _, s := range told.Scope {
		if !slices.Contains(parent.Scope, s) {
			return errs.New(errs.PermissionDenied, "A token that opens %s only cannot make one that opens %s.", strings.Join(parent.Scope, " and "), s)
		}
	}
	told.Last = min(told.Last, parent.Last.Unix())
	told.Expires = min(told.Expires, told.Last)
	return nil
}
