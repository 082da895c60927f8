// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"roundhouse/auth"
	"roundhouse/engine"
	"roundhouse/internal/errs"
	"roundhouse/server/people"
	"roundhouse/server/rest"
	"roundhouse/session"
)

const (
	// endTime bounds the end of all that a user has.
	endTime = 30 * time.Second
	// passes are how often is looked for what a call that was let in before opened
	// in the meantime.
	passes = 3
)

// property is what users have: their calls in this gateway, and their sessions and
// engines in all of them.
type property struct {
	calls interface {
		Cut(user string, why error) int
	}
	sessions interface {
		List() []*session.Session
		End(k session.Key, e session.End) bool
		Close(ctx context.Context, k session.Key, why string) error
	}
	engines interface {
		Engines() []engine.Info
		Stop(ctx context.Context, refID string, kill bool, reason string) error
	}
	// revoke ends all tokens of a user, and says how many were good.
	revoke func(ctx context.Context, user string) (int, error)
}

// EndAll implements people.Property. Each gateway ends the calls that it carries; sessions
// and engines are known to all, and the first one ends them. It is for the name in any
// case of letters: a directory may not mind it. It kills the engines: a driver that is
// asked takes its time.
func (p property) EndAll(ctx context.Context, user, why string) (people.Ended, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	var total people.Ended
	var err error
	for range passes {
		var one people.Ended
		var notRevoked, notKilled error
		one.Tokens, notRevoked = p.revoke(ctx, user)
		one.Calls = p.calls.Cut(user, errs.New(errs.PermissionDenied, "%s", why))
		sessions, closed := p.endSessions(ctx, user, why)
		one.Sessions = sessions
		one.Engines, notKilled = p.killEngines(ctx, user, why) // meanwhile: an engine of somebody else may take its time
		closed.Wait()
		total.Calls, total.Sessions, total.Engines, total.Tokens = total.Calls+one.Calls, total.Sessions+one.Sessions, total.Engines+one.Engines, total.Tokens+one.Tokens
		if err = errors.Join(notRevoked, notKilled); one == (people.Ended{}) || err != nil {
			break
		}
	}
	return total, err
}

// endSessions ends the user's own sessions and those opened for others; closed is over
// when engines that others use, too, have closed theirs.
func (p property) endSessions(ctx context.Context, user, why string) (ended int, closed *sync.WaitGroup) {
	closed = &sync.WaitGroup{}
	for _, s := range p.sessions.List() {
		owns := strings.EqualFold(s.User, user)
		if !owns && !strings.EqualFold(s.OpenedBy(), user) {
			continue
		}
		ended++
		if owns && killable(s.Plan.Spec.ShareLevel, s.Plan.Spec.Owner, user) {
			p.sessions.End(s.Key, session.End{Cause: session.Lost, Why: why}) // with its engine
			continue
		}
		closed.Go(func() { _ = p.sessions.Close(ctx, s.Key, why) }) // fails where it has ended by now
	}
	return ended, closed
}

// killable says whether an engine ends with a user: it is theirs alone, as whomever it
// runs. One of a group or of the server serves others, also where its owner is called the same.
func killable(level engine.ShareLevel, owner, user string) bool {
	return !level.Shared() && strings.EqualFold(owner, user)
}

func (p property) killEngines(ctx context.Context, user, why string) (killed int, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, e := range p.engines.Engines() {
		if !killable(e.ShareLevel, e.User, user) || e.State == engine.Ended {
			continue
		}
		killed++
		all.Go(func() {
			fault := p.engines.Stop(ctx, e.RefID, true, why)
			if fault == nil || errs.Is(fault, errs.NotFound) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			err = errors.Join(err, fmt.Errorf("engine %s of %s goes on: %w", e.RefID, user, fault))
		})
	}
	all.Wait()
	return killed, err
}

// restPeople shows the disabled users as REST serves them.
type restPeople struct {
	people   *people.List
	property property
	tokens   interface {
		RevokeUser(ctx context.Context, by auth.Identity, user string) (int, error)
	}
}

// Run ends what users have whom another gateway disables, until ctx ends. That gateway
// has said and written down who did it.
func (r restPeople) Run(ctx context.Context) error {
	return r.people.Run(ctx, r.propertyFor(auth.Identity{}))
}

// propertyFor is the property of users, whose tokens fall by an order of somebody.
func (r restPeople) propertyFor(by auth.Identity) property {
	p := r.property
	p.revoke = func(ctx context.Context, user string) (int, error) { return r.tokens.RevokeUser(ctx, by, user) }
	return p
}

// Disable refuses the user and ends all that the user has, tokens too.
func (r restPeople) Disable(ctx context.Context, by auth.Identity, user, reason string) (string, error) {
	ended, err := r.people.Disable(ctx, r.propertyFor(by), user, by.User, reason)
	return fmt.Sprintf("User %s is disabled. Ended: calls %d, sessions %d, engines %d; tokens revoked: %d.", user,
		ended.Calls, ended.Sessions, ended.Engines, ended.Tokens), err
}

// Enable lets a user in again.
func (r restPeople) Enable(ctx context.Context, by auth.Identity, user string) (string, error) {
	was, err := r.people.Enable(ctx, user, by.User)
	if err == nil && !was {
		return fmt.Sprintf("User %s was not disabled.", user), nil
	}
	return fmt.Sprintf("User %s may come in again. Tokens that were revoked stay revoked.", user), err
}

// List are those who are disabled.
func (r restPeople) List() []rest.DisabledView {
	all := []rest.DisabledView{}
	for _, d := range r.people.All() {
		all = append(all, rest.DisabledView(d))
	}
	return all
}
