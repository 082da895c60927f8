// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"roundhouse/discovery"
	"roundhouse/internal/errs"
)

// told hears of a record as some gateway wrote it. What contradicts a session here is
// not believed but looked up (verify), because it may be an old state.
func (m *Manager) told(r discovery.SessionRecord, gone bool) {
	k := Key{r.User, r.SessionID}
	m.mu.Lock()
	s := m.mu.live.sessions[k]
	m.mu.Unlock()
	switch {
	case m.ending(k), s != nil && !s.stored.Load(): // what is written here finds out
	case gone && s == nil:
		m.graves.byKey.Remove(k)
	case gone, s != nil && !s.is(r), s == nil && r.Ended == nil && m.graves.buried(r):
		m.doubt(k)
	default:
		m.take(r)
	}
}

// ending says whether the end of a session of k is still to be written.
func (m *Manager) ending(k Key) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.late[k] != nil && m.mu.late[k] != m.mu.live.sessions[k]
}

// is says whether r is a record of s, and not of another session with its key.
func (s *Session) is(r discovery.SessionRecord) bool { return s.Opened.Equal(r.Opened) }

// has says whether r is a record of s as it is known here, and not one of a gateway that has
// gone on with it on another engine.
func (s *Session) has(r discovery.SessionRecord) bool {
	return s.is(r) && (r.EngineRef == "" || s.on(r.EngineRef))
}

// take takes in a record as another gateway, or an earlier one, wrote it. It does no
// I/O. A session with its key is the same one.
func (m *Manager) take(r discovery.SessionRecord) {
	if r.Ended != nil {
		m.takeEnd(r)
		return
	}
	s := m.takeLive(r)
	if !s.stored.Load() || !s.is(r) {
		return // opened here this moment; what is written finds out
	}
	if r.EngineRef == "" {
		if s.Gateway() != m.Gateway {
			s.keptBy(r.Gateway)
		}
		return
	}
	if s.ahead && !r.Unused { // its client has come, elsewhere
		s.used.Store(true)
	}
	if s.recorded(r.EngineRef) {
		m.resume(s)
	}
}

// takeLive is the session of a record, made if it is not here.
func (m *Manager) takeLive(r discovery.SessionRecord) *Session {
	k := Key{r.User, r.SessionID}
	m.mu.Lock()
	s := m.mu.live.sessions[k]
	m.mu.Unlock()
	if s != nil {
		return s
	}
	s = m.newSession(Request{Key: k, RealUser: r.RealUser, Client: r.Client, Address: r.Address, Plan: m.plan(r), ahead: r.Unused}, r.Opened)
	s.taken = m.Now()
	s.left.Store(s.taken.UnixMilli())
	s.unchecked.Store(true)
	s.used.Store(!r.Unused)
	s.confirmed.Store(!r.Unused)
	s.prepared.Store(!r.Unused)
	s.stored.Store(true)
	s.keptBy(r.Gateway)
	s.settle(true, nil)
	m.mu.Lock()
	defer m.mu.Unlock()
	if other := m.mu.live.sessions[k]; other != nil {
		return other
	}
	m.graves.byKey.Remove(k)
	m.mu.live.put(s)
	m.mu.live.count(s)
	return s
}

// takeEnd ends a session as another gateway ended it.
func (m *Manager) takeEnd(r discovery.SessionRecord) {
	k, e := Key{r.User, r.SessionID}, endOf(*r.Ended)
	m.mu.Lock()
	s := m.mu.live.sessions[k]
	m.mu.Unlock()
	switch {
	case s == nil:
		m.graves.put(k, &e)
		m.graves.remember(Request{Key: k, RealUser: r.RealUser})
	case !s.is(r): // another one, which is ending
		m.doubtLater(k)
	case !m.end(s, e): // it is ending here, too: the record counts
		m.graves.put(k, &e)
	}
}

// doubtLater has the record of k looked up with what is late.
func (m *Manager) doubtLater(k Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.doubts[k] = true
}

// doubt has the record of k looked up at once.
func (m *Manager) doubt(k Key) {
	m.doubtLater(k)
	select {
	case m.doubted <- struct{}{}:
	default:
	}
}

// settleDoubts looks up the records of all sessions in doubt.
func (m *Manager) settleDoubts(ctx context.Context) {
	m.mu.Lock()
	doubts := slices.Collect(maps.Keys(m.mu.doubts))
	m.mu.Unlock()
	for _, k := range doubts {
		m.mu.Lock()
		delete(m.mu.doubts, k)
		m.mu.Unlock()
		if err := m.verify(ctx, k); err != nil {
			m.doubtLater(k) // until the store answers, and so for the others
			return
		}
	}
}

// verify takes in the record of k as it is in the store now. The error is a client's
// answer and says that the store cannot be asked.
func (m *Manager) verify(ctx context.Context, k Key) error {
	m.mu.Lock()
	s := m.mu.live.sessions[k]
	m.mu.Unlock()
	if s != nil && !s.stored.Load() {
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	r, err := m.Store.GetSession(asking, k.User, k.ID)
	switch {
	case errors.Is(err, discovery.ErrNotFound) && s != nil:
		m.end(s, End{Cause: Forgotten, Why: "Another gateway ended it.", told: true})
	case errors.Is(err, discovery.ErrNotFound), err == nil && m.ending(k):
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return errs.Wrap(errs.StoreAway, err, "This gateway cannot find out now whether another one has session %s. The client tries again by itself.", k.ID)
	case s != nil && !s.is(r):
		m.end(s, End{Cause: Forgotten, Why: "Another gateway ended it.", told: true})
		m.take(r)
	default:
		m.take(r)
	}
	return nil
}

// followLoop looks up what is in doubt and writes what is late, until ctx ends.
func (m *Manager) followLoop(ctx context.Context) error {
	tick := time.NewTicker(lateInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.doubted:
		case <-tick.C:
			m.flush(ctx)
			m.resumeAll()
		}
		m.settleDoubts(ctx)
	}
}

// lateInterval is how often it is tried again what could not be done.
const lateInterval = time.Second

// resumeAll gives sessions whose engine was not known their engine.
func (m *Manager) resumeAll() {
	for _, s := range m.List() {
		m.resume(s)
	}
}
