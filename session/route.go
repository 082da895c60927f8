// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"roundhouse/discovery"
	"roundhouse/engine"
	"roundhouse/internal/errs"
)

const (
	// unknownPatience is how long an engine of which a record speaks may be unknown here:
	// engines and sessions are told of one after the other.
	unknownPatience = 5 * time.Second
	// censusTimeout bounds the question to an engine before the first call.
	censusTimeout = 2 * time.Second
)

// Engine waits for the engine of s. onHold is called if that takes waiting. The
// error is the client's answer.
func (m *Manager) Engine(ctx context.Context, s *Session, onHold func()) (Engine, error) {
	e := s.Engine()
	if e == nil {
		var err error
		if e, err = m.hold(ctx, s, onHold); err != nil {
			s.unchecked.Store(true) // the client may go to another gateway, and come back
			return nil, err
		}
	}
	if err := m.check(ctx, s, e); err != nil {
		return nil, err
	}
	return e, nil
}

func (m *Manager) hold(ctx context.Context, s *Session, onHold func()) (Engine, error) {
	onHold()
	s.waiters.Add(1)
	defer func() {
		s.left.Store(m.Now().UnixMilli())
		s.waiters.Add(-1)
	}()
	ctx, cancel := m.holdContext(ctx, s)
	defer cancel()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return s.engineOr(m.holdError(ctx, s))
	}
	if s.Routed() {
		return m.rejoin(ctx, s)
	}
	m.keep(ctx, s)
	lease, err := m.Engines.Acquire(ctx, s.Plan.Spec)
	switch {
	case err == nil:
		return m.adopt(ctx, s, lease)
	case s.Routed():
		return m.rejoin(ctx, s) // another gateway was faster
	}
	return nil, m.acquireError(ctx, s, err)
}

// engineOr is the engine of the session, else otherwise.
func (s *Session) engineOr(otherwise error) (Engine, error) {
	if e := s.Engine(); e != nil {
		return e, nil
	}
	return nil, otherwise
}

// keep goes on with the opening of a session whose gateway is gone, for others to know
// that it is waited for.
func (m *Manager) keep(ctx context.Context, s *Session) {
	if m.kept(s) {
		return
	}
	s.keptBy(m.Gateway)
	if err := m.write(ctx, s); err != nil {
		m.Log.Warn("the other gateways do not know that a call waits here", "user", s.User, "session", s.ID, "err", err)
	}
}

// kept says whether a gateway that lives looks after the opening of s.
func (m *Manager) kept(s *Session) bool { return m.alive(s.Gateway()) }

// ours says whether it is for this gateway to say that s does not open.
func (m *Manager) ours(s *Session) bool { return s.Gateway() == m.Gateway || !m.kept(s) }

func (m *Manager) alive(gateway string) bool {
	return gateway == m.Gateway || gateway != "" && m.Alive(gateway)
}

// adopt makes the route durable and gives s its engine. The engine that another
// gateway has recorded before is the one of s.
func (m *Manager) adopt(ctx context.Context, s *Session, lease Lease) (Engine, error) {
	e := lease.Engine()
	if !s.claim(e.RefID()) {
		lease.Release()
		return m.rejoin(ctx, s)
	}
	err := m.write(ctx, s)
	switch {
	case errors.Is(err, discovery.ErrConflict):
		lease.Release()
		s.unclaim()
		if err := m.verify(ctx, s.Key); err != nil {
			return nil, err
		}
		return m.rejoin(ctx, s)
	case err != nil && !errors.Is(err, discovery.ErrAway): // then it is written later
		lease.Release()
		m.Failed()
		err = routeError(s, err)
		m.end(s, End{Cause: Forgotten, Why: "Its route could not be stored.", Failure: err})
		return nil, err
	}
	if !s.attach(lease) {
		lease.Release()
		return s.engineOr(s.errorOr(errUnrouted))
	}
	m.watch(e)
	m.OnOpened(s, e.RefID())
	m.Log.Info("session opened", "user", s.User, "session", s.ID, "engine", e.RefID(), "client", s.Client)
	return e, nil
}

// errUnrouted is never seen: a session without its engine that has not ended gets it.
var errUnrouted = errors.New("the session has no engine")

// rejoin gets the engine that the record of s names, which may have to become known
// here first. Nobody waits for one that this gateway cannot use.
func (m *Manager) rejoin(ctx context.Context, s *Session) (Engine, error) {
	m.resume(s)
	if why := m.Unusable(s.ref()); why != nil {
		return s.engineOr(errs.Wrap(errs.EngineElsewhere, why, "This gateway cannot reach engine %s of session %s: %v. "+
			"Connect to a gateway on that machine, or make a new session.", s.ref(), s.ID, why))
	}
	if s.Engine() == nil && m.lostTrack(ctx, s) {
		return nil, s.errorOr(errUnrouted)
	}
	patience := time.NewTimer(unknownPatience)
	defer patience.Stop()
	select {
	case <-s.unrouted.Done():
		return s.engineOr(s.errorOr(errUnrouted))
	case <-ctx.Done():
		return s.engineOr(m.holdError(ctx, s))
	case <-patience.C:
	}
	return nil, errs.New(errs.EngineUnreachable, "Engine %s of session %s is not known to this gateway yet. The client tries again by itself.", s.ref(), s.ID)
}

// lostTrack ends s if its engine is gone, as far as all gateways know.
func (m *Manager) lostTrack(ctx context.Context, s *Session) bool {
	if !m.catchUp(ctx) {
		return false
	}
	ref := s.ref() // which may just have become known
	return ref != "" && s.Engine() == nil && m.EngineGone(ref) && m.end(s, engineLost(ref))
}

// resume leases the engine of s if it is known here.
func (m *Manager) resume(s *Session) {
	ref := s.resumable()
	if ref == "" {
		return
	}
	lease, ok := m.Engines.Resume(ref)
	if !ok {
		return
	}
	if !s.attach(lease) {
		lease.Release()
		return
	}
	m.watch(lease.Engine())
}

func engineLost(ref string) End {
	return End{Cause: Lost, Why: fmt.Sprintf("Its engine %s ended, and no gateway was there to hear why; its log tells, if it is left.", ref)}
}

// EngineKnown tells that the engine refID can be leased now: its sessions, which other
// gateways opened, get it.
func (m *Manager) EngineKnown(refID string) {
	for _, s := range m.List() {
		if s.on(refID) {
			m.resume(s)
		}
	}
}

// check asks the engine for a session of another gateway, and for one whose client did not wait for
// it here, once, before the first call that this one forwards: the other one may have ended between the
// record and the call, or without hearing of the end, and this one cannot tell whether the client
// has been elsewhere. An engine that does not answer is taken at the record's word.
func (m *Manager) check(ctx context.Context, s *Session, e Engine) error {
	if !s.unchecked.Load() {
		return nil
	}
	select {
	case s.checking <- struct{}{}:
		defer func() { <-s.checking }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if !s.unchecked.Load() {
		return s.errorOr(nil)
	}
	asking, cancel := context.WithTimeout(ctx, censusTimeout)
	defer cancel()
	census, err := m.Engines.Census(asking, e.RefID())
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		m.Log.Warn("an engine was not asked for a session of another gateway", "engine", e.RefID(), "user", s.User, "session", s.ID, "err", err)
		s.unchecked.Store(false)
		return s.errorOr(nil)
	}
	fate, reason := census.Fate(s.User, s.ID, s.Opened, s.Confirmed())
	if fate == engine.Closed && s.doubtful(reason) {
		_ = m.verify(ctx, s.Key) // without the store the engine is believed
	}
	m.meet(s, fate, reason)
	if fate == engine.Present {
		s.prepared.Store(true) // by the gateway that forwarded its first call
	}
	return s.errorOr(nil)
}
