// SPDX-License-Identifier: Apache-2.0

// Package people knows who may not use the gateways any more. A disabled user is
// refused from the next call on, whatever method vouches for them; what is under
// way is cut, and their sessions and engines end. The store remembers it and tells the
// other gateways.
package people

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"roundhouse/auth"
	"roundhouse/discovery"
	"roundhouse/internal/errs"
)

// maxReason bounds the reason of an administrator, in bytes.
const maxReason = 512

// Ended says what of a user is there to end.
type Ended struct {
	// Calls, Sessions, Engines and Tokens are how many were ended.
	Calls, Sessions, Engines, Tokens int
}

// Property is what users have in this gateway.
type Property interface {
	// EndAll ends the tokens, calls, sessions and engines of a user, and what the
	// user made and opened for others; why is a sentence for those concerned. An error says
	// what goes on all the same.
	EndAll(ctx context.Context, user, why string) (Ended, error)
}

// Store keeps the list for all gateways.
type Store interface {
	discovery.DisabledStore
	discovery.DisabledFollower
}

// List is the list of disabled users. Make it with New; it is safe for
// concurrent use.
type List struct {
	store Store
	log   *slog.Logger

	// changing lets one change at a time write to the store.
	changing chan struct{}

	mu       sync.RWMutex
	disabled map[string]discovery.DisabledUser // by the name, in lower case
	// own is what this gateway is changing, nil if nothing.
	own *change
	// others are those whom another gateway, or this one before it ended, has disabled and
	// whose property is to end.
	others map[string]discovery.DisabledUser
	// news has something when others got one more.
	news chan struct{}
}

// change is one that this gateway makes.
type change struct {
	user string
	// to is the record that is written, nil for one that is deleted.
	to *discovery.DisabledUser
	// told says that the store has told of the user since the change began.
	told bool
}

// New reads the list from the store. What those on it have is ended by Run: the gateway that
// disabled them may have died in between.
func New(ctx context.Context, store Store, log *slog.Logger) (*List, error) {
	records, err := store.Disabled(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the disabled users: %w", err)
	}
	l := &List{
		store: store, log: log, changing: make(chan struct{}, 1), news: make(chan struct{}, 1),
		disabled: map[string]discovery.DisabledUser{}, others: map[string]discovery.DisabledUser{},
	}
	for _, r := range records {
		l.disabled[r.User] = r
		l.endLocked(r)
	}
	return l, nil
}

// Denied refuses a disabled user, in any case of letters, with PERMISSION_DENIED.
func (l *List) Denied(user string) error {
	l.mu.RLock()
	_, found := l.disabled[strings.ToLower(user)]
	l.mu.RUnlock()
	if !found {
		return nil
	}
	return errs.New(errs.PermissionDenied, "User %s is disabled. Ask the administrator to enable it.", user)
}

// All are the disabled users, by name.
func (l *List) All() []discovery.DisabledUser {
	l.mu.RLock()
	defer l.mu.RUnlock()
	all := make([]discovery.DisabledUser, 0, len(l.disabled))
	for _, r := range l.disabled {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b discovery.DisabledUser) int { return strings.Compare(a.User, b.User) })
	return all
}

// Disable refuses a user, in any case of letters, from now on and ends what the
// user has, in p. It is durable, and other gateways hear of it, when it returns without
// an error of class INTERNAL, OUT_OF_RESOURCES or STORE_UNAVAILABLE that says otherwise;
// another error says what could not be ended. Doing it again ends what is left.
func (l *List) Disable(ctx context.Context, p Property, user, by, reason string) (Ended, error) {
	if err := auth.ValidUser(user); err != nil {
		return Ended{}, err
	}
	if len(reason) > maxReason {
		return Ended{}, errs.New(errs.InvalidRequest, "The reason has %d bytes and may have %d.", len(reason), maxReason)
	}
	r := discovery.DisabledUser{User: strings.ToLower(user), By: by, Since: time.Now().UTC().Truncate(time.Second), Reason: reason}
	if err := l.change(ctx, change{user: r.User, to: &r}); err != nil {
		return Ended{}, notTaken(err, "User %s was not disabled", user)
	}
	l.log.Warn("user disabled", "user", user, "by", by)
	return p.EndAll(ctx, user, whyEnded(user, by))
}

// Enable lets a user in again. It reports whether the user was disabled.
func (l *List) Enable(ctx context.Context, user, by string) (bool, error) {
	if l.Denied(user) == nil {
		return false, nil
	}
	key := strings.ToLower(user)
	if err := l.change(ctx, change{user: key}); err != nil {
		return false, notTaken(err, "User %s is still disabled", user)
	}
	l.log.Warn("user enabled", "user", user, "by", by)
	return true, nil
}

// notTaken says what was not done as the store does not take it.
func notTaken(err error, what, user string) error {
	what = fmt.Sprintf(what, user)
	if errors.Is(err, discovery.ErrAway) {
		return errs.Wrap(errs.StoreAway, err, "%s: ZooKeeper cannot be reached, so no gateway would know. Try again in a minute.", what)
	}
	return errs.Fault(err, "%s: the store does not take it.", what)
}

// change writes to the store and then to memory. Who may come in is never
// known to nobody but this process. What the store tells meanwhile counts more than what was
// written: another gateway may have written later.
func (l *List) change(ctx context.Context, c change) error {
	select {
	case l.changing <- struct{}{}:
		defer func() { <-l.changing }()
	case <-ctx.Done():
		return errors.Join(errors.New("another change is under way"), context.Cause(ctx))
	}
	l.begin(&c)
	err := l.write(ctx, c)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.own = nil
	switch {
	case err != nil || c.told:
	case c.to == nil:
		delete(l.disabled, c.user)
		delete(l.others, c.user)
	default:
		l.disabled[c.user] = *c.to
	}
	return err
}

func (l *List) begin(c *change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.own = c
}

func (l *List) write(ctx context.Context, c change) error {
	if c.to == nil {
		return l.store.DeleteDisabled(ctx, c.user)
	}
	return l.store.PutDisabled(ctx, *c.to)
}
