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
	"roundhouse/server/frontend"
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

// property is what users have in this gateway.
type property struct {
	calls    *frontend.Director
	sessions *session.Manager
	engines  *engine.Manager
	// revoke ends all tokens of a user.
	revoke func(ctx context.Context, user string) (int, error)
}

// EndAll implements people.Property, for the name in any case of letters: a
// directory may not mind it. It kills the engines: a driver that is asked takes its
// time.
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

// endSessions ends the user's own sessions; closed is over when the engines of
// others have closed what the user opened there.
func (p property) endSessions(ctx context.Context, user, why string) (ended int, closed *sync.WaitGroup) {
	closed = &sync.WaitGroup{}
	for _, s := range p.sessions.List() {
		owns := strings.EqualFold(s.User, user)
		if !owns && !strings.EqualFold(s.OpenedBy(), user) {
			continue
		}
		ended++
		if owns {
			p.sessions.End(s.Key, session.End{Cause: session.Lost, Why: why}) // its engine is killed
			continue
		}
		closed.Go(func() { p.sessions.Close(ctx, s.Key, why) })
	}
	return ended, closed
}

func (p property) killEngines(ctx context.Context, user, why string) (killed int, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, e := range p.engines.Engines() {
		if !strings.EqualFold(e.User, user) || e.State == engine.Ended {
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

// Disable refuses the user and ends all that the user has, tokens too.
func (r restPeople) Disable(ctx context.Context, by auth.Identity, user, reason string) (string, error) {
	p := r.property
	p.revoke = func(ctx context.Context, user string) (int, error) { return r.tokens.RevokeUser(ctx, by, user) }
	ended, err := r.people.Disable(ctx, p, user, by.User, reason)
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
