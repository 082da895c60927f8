// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"net/url"
	"time"

	"roundhouse/discovery"
	"roundhouse/internal/errs"
)

// tries are how often a session is booked, and how often its record is added or deleted: what is in
// its way may go meanwhile.
const tries = 5

// Open returns the live session of r.Key, which may be that of another gateway, or
// opens it as r asks; its record is durable then, unless the store cannot be reached. An
// error is the client's answer: a limit is reached, or the session has ended. Deny
// lists are asked at the doors, for each call.
func (m *Manager) Open(ctx context.Context, r Request) (s *Session, opened bool, err error) {
	for range tries {
		s, first, err := m.book(r)
		if err != nil {
			return nil, false, err
		}
		if first {
			m.admit(ctx, s) // also for others, who wait for it: it ends without ctx
		}
		select {
		case <-s.settled:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
		if s.granted || s.refusal != nil {
			return s, first && s.granted, s.refusal
		}
	}
	return nil, false, errs.New(errs.StoreAway, "Session %s is opened and ended by several gateways at once. The client tries again by itself.", r.ID)
}

// book takes the key of r, or returns the session that has it.
func (m *Manager) book(r Request) (s *Session, first bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.mu.live.sessions[r.Key]; s != nil {
		return s, false, nil
	}
	if e := m.graves.get(r.Key); e != nil {
		return nil, false, e.Error(r.ID)
	}
	if user, taken := m.mu.live.openedBy[Key{r.OpenedBy(), r.ID}]; taken && user != r.User {
		return nil, false, errs.New(errs.Conflict, "User %s has opened session %s for %s just now; use another id for one of %s.", r.OpenedBy(), r.ID, user, r.User)
	}
	r.Plan.Spec.Session = r.ID // its calls share one launch also where sessions share no engine
	s = m.newSession(r, m.openedLocked())
	s.keptBy(m.Gateway)
	if before := m.mu.late[r.Key]; before != nil { // its end is still to be written
		before.buried.Store(true)
		s.writing = before.writing
		opened := before.clear.Load()
		if opened == nil { // else before has no record
			opened = &before.Opened
		}
		s.clear.Store(opened)
		delete(m.mu.late, r.Key)
	}
	m.mu.live.put(s)
	return s, true, nil
}

// openedLocked is the time at which a session opens. It tells sessions of one key
// apart, so it is another one for each, however coarse the clock is.
func (m *Manager) openedLocked() time.Time {
	now := m.Now()
	if !now.After(m.mu.opened) {
		now = m.mu.opened.Add(1)
	}
	m.mu.opened = now
	return now
}

// admit settles a booked session: counted and chosen for under the locks of what it
// concerns, so that all sessions of all gateways are known, and with a record.
func (m *Manager) admit(ctx context.Context, s *Session) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), openTimeout)
	defer cancel()
	unlock, err := m.lockFor(ctx, s)
	if err == nil {
		err = m.place(s)
	}
	if err != nil {
		_ = unlock() // nothing was written under it
		m.refuse(s, err)
		return
	}
	yielded, err := m.add(ctx, s)
	if lost := unlock(); lost != nil && err == nil && !yielded {
		err = m.judgeAgain(ctx, s)
	}
	switch {
	case yielded:
	case err != nil:
		m.Failed()
		m.end(s, End{Cause: Forgotten, Why: "It could not be opened.", Failure: err})
		s.settle(false, err)
	default:
		m.Opened()
		s.settle(true, nil)
	}
}

// add makes the record of s, or settles s because another session has its key. The
// error is the client's answer; without the store the record is written later.
func (m *Manager) add(ctx context.Context, s *Session) (yielded bool, err error) {
	for range tries {
		switch err = m.write(ctx, s); {
		case err == nil, errors.Is(err, discovery.ErrAway):
			return false, nil
		case errors.Is(err, discovery.ErrExists) && m.yield(ctx, s):
			return true, nil
		case errors.Is(err, discovery.ErrExists):
		case !errors.Is(err, discovery.ErrFull) || !m.makeRoom(ctx):
			return false, routeError(s, err)
		}
	}
	return false, routeError(s, err)
}

// judgeAgain refuses s, which has its record, if there are too many with it: it was counted
// under a lock that was lost.
func (m *Manager) judgeAgain(ctx context.Context, s *Session) error {
	unlock, err := m.lockFor(ctx, s)
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.mu.live.counted[s] {
		return s.errorOr(nil)
	}
	m.mu.live.add(s, -1)
	defer m.mu.live.add(s, 1)
	return m.mu.live.room(s.User, s.Address)
}

// refuse gives the booking of s back.
func (m *Manager) refuse(s *Session, why error) {
	m.drop(s, why)
	s.settle(false, why)
}

// drop takes a booked session out without a trace; what it was to clear is left to Run.
func (m *Manager) drop(s *Session, why error) {
	owes := s.clear.Load() != nil
	m.mu.Lock()
	m.mu.live.end(s, &End{Cause: Forgotten, Failure: why, told: !owes})
	if owes && !s.buried.Load() { // else the next session of its key has taken that over
		m.mu.late[s.Key] = s
	}
	m.mu.live.remove(s)
	m.mu.Unlock()
}

// place counts s and chooses its place in a pool.
func (m *Manager) place(s *Session) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := s.errorOr(nil); err != nil {
		return err
	}
	if err := m.mu.live.room(s.User, s.Address); err != nil {
		return err
	}
	if p := s.Plan.Pool; p.Active() {
		s.Plan.Spec.Subdomain = p.Subdomain(m.mu.live.choose(s.Plan))
		s.Plan.Pool = Pool{}
	}
	m.mu.live.count(s)
	return nil
}

// lockFor locks what the opening of s concerns, always in the same order. Without the
// store it is judged by what is known here. Unlock is never nil, and tells of a lock that was
// lost.
func (m *Manager) lockFor(ctx context.Context, s *Session) (unlock func() error, err error) {
	var paths []string
	switch {
	case !m.Limits.count(s.User):
	case m.Limits.PerAddress > 0:
		paths = append(paths, "/sessions/all")
	default:
		paths = append(paths, "/sessions/user/"+url.PathEscape(s.User))
	}
	if s.Plan.Pool.Active() {
		paths = append(paths, "/pools"+s.Plan.Spec.Path()) // the first member stands for all
	}
	var held []func() error
	unlock = func() (lost error) {
		for _, one := range held {
			lost = errors.Join(lost, one())
		}
		return lost
	}
	for _, path := range paths {
		one, err := m.Lock.Lock(ctx, path)
		switch {
		case errors.Is(err, discovery.ErrAway):
			return unlock, nil
		case err != nil:
			return unlock, errs.Wrap(errs.StoreAway, err, "Session %s was not opened, because others hold the lock %s for too long. The client tries again by itself.", s.ID, path)
		}
		held = append(held, one)
	}
	return unlock, nil
}

// yield looks at the record that is in the way of s: the session of another gateway
// takes the place of s, and s is settled; false to add s again.
func (m *Manager) yield(ctx context.Context, s *Session) bool {
	r, err := m.Store.GetSession(ctx, s.User, s.ID)
	switch {
	case err != nil:
		return false
	case s.is(r) && r.Gateway == m.Gateway: // added, and its answer was lost
		s.stored.Store(true)
		return false
	case r.Ended != nil:
		end := endOf(*r.Ended)
		m.refuse(s, end.Error(s.ID))
		m.take(r)
	default:
		m.drop(s, nil)
		m.take(r)
		s.settle(false, nil)
	}
	return true
}

func routeError(s *Session, err error) error {
	if errors.Is(err, discovery.ErrFull) {
		return errs.Wrap(errs.LimitExceeded, err, "This gateway keeps no more sessions. End some (spark.stop(), or DELETE /api/v1/sessions/<id>).")
	}
	return errs.Fault(err, "The route of session %s could not be stored, so the call was not forwarded.", s.ID)
}
