// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"
	"sync"
	"time"
)

// maxTombstones bounds the closed sessions that an engine remembers, as
// spark.connect.session.manager.closedSessionsTombstonesSize does.
const maxTombstones = 1000

// CloseReason says why a session was closed.
type CloseReason string

// The close reasons.
const (
	ReasonReleased CloseReason = "released" // by the client's ReleaseSession
	ReasonExpired  CloseReason = "expired"  // by the engine's SessionTimeout
	ReasonClosed   CloseReason = "closed"   // by Engine.CloseSession
)

// SessionEvent tells of a session opened or closed.
type SessionEvent struct {
	User, ID string
	Opened   bool
	Reason   CloseReason // of a closed one
}

// SessionInfo describes an open session.
type SessionInfo struct {
	User, ID   string
	ServerSide string // server_side_session_id
	Opened     time.Time
	LastAccess time.Time
	Running    int   // operations that compute or whose result is being fetched
	Artifacts  int64 // bytes of artifacts received
}

type sessionKey struct{ user, id string }

// sessions is the session manager of an engine.
type sessions struct {
	opts Options
	ctx  context.Context // ends with the engine; executions derive from it
	work sync.WaitGroup  // executions

	mu struct {
		sync.Mutex
		open  map[sessionKey]*session
		tombs fifo[sessionKey, struct{}]
	}
}

func newSessions(ctx context.Context, o Options) *sessions {
	m := &sessions{opts: o, ctx: ctx}
	m.mu.open = make(map[sessionKey]*session)
	m.mu.tombs = newFIFO[sessionKey, struct{}](maxTombstones)
	return m
}

// obtain finds or opens the session of a call, for the RPCs that open sessions.
// The observed id is checked against the session even when it is new, in which
// case the new session stays: the real engine does so too.
func (m *sessions) obtain(c call) (*session, error) {
	s, opened, err := m.findOrOpen(c.key())
	if err != nil {
		return nil, err
	}
	if opened {
		m.tell(SessionEvent{User: s.key.user, ID: s.key.id, Opened: true})
	}
	return s, s.observed(c)
}

func (m *sessions) findOrOpen(k sessionKey) (*session, bool, error) {
	if !validUUID(k.id) {
		return nil, false, fail(errFormat, "handle", k.id)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.tombs.has(k) {
		return nil, false, fail(errSessionClosed, "handle", k.id)
	}
	if s := m.mu.open[k]; s != nil {
		s.touch()
		return s, false, nil
	}
	s := newSession(m, k)
	m.mu.open[k] = s
	return s, true, nil
}

// existing finds the session of a call that must not open one.
func (m *sessions) existing(c call) (*session, error) {
	m.mu.Lock()
	s, closed := m.mu.open[c.key()], m.mu.tombs.has(c.key())
	m.mu.Unlock()
	switch {
	case closed:
		return nil, fail(errSessionClosed, "handle", c.GetSessionId())
	case s == nil:
		return nil, fail(errSessionNotFound, "handle", c.GetSessionId())
	}
	s.touch()
	return s, s.observed(c)
}

// add puts a cloned session into the open ones.
func (m *sessions) add(s *session) *sparkError {
	m.mu.Lock()
	_, taken := m.mu.open[s.key]
	taken = taken || m.mu.tombs.has(s.key)
	if !taken {
		m.mu.open[s.key] = s
	}
	m.mu.Unlock()
	if taken {
		return fail(errCloneExists, "targetSessionId", s.key.id)
	}
	m.tell(SessionEvent{User: s.key.user, ID: s.key.id, Opened: true})
	return nil
}

// close ends a session and its executions; nil when it was not open. Without
// reconnect a tombstone refuses the id from then on. An id that was never open
// gets none: it can be used later.
func (m *sessions) close(k sessionKey, reconnect bool, why CloseReason) *session {
	m.mu.Lock()
	s := m.mu.open[k]
	delete(m.mu.open, k)
	if s != nil && !reconnect {
		m.mu.tombs.put(k, struct{}{})
	}
	m.mu.Unlock()
	if s == nil {
		return nil
	}
	s.endAll()
	m.tell(SessionEvent{User: k.user, ID: k.id, Reason: why})
	return s
}

func (m *sessions) tell(e SessionEvent) {
	if m.opts.OnSession != nil {
		m.opts.OnSession(e)
	}
}

func (m *sessions) all() []*session {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]*session, 0, len(m.mu.open))
	for _, s := range m.mu.open {
		out = append(out, s)
	}
	return out
}

func (m *sessions) list() []SessionInfo {
	all := m.all()
	out := make([]SessionInfo, 0, len(all))
	for _, s := range all {
		out = append(out, s.info())
	}
	return out
}

func (m *sessions) closeAll() {
	for _, s := range m.all() {
		s.endAll()
	}
}

// maintain closes idle sessions and abandoned operations until ctx ends.
func (m *sessions) maintain(ctx context.Context) {
	tick := time.NewTicker(m.opts.MaintenanceInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			m.sweep(now)
		}
	}
}

func (m *sessions) sweep(now time.Time) {
	for _, s := range m.all() {
		s.abandon(now.Add(-m.opts.DetachedTimeout))
		if m.opts.SessionTimeout < 0 {
			continue
		}
		if i := s.info(); i.Running == 0 && i.LastAccess.Before(now.Add(-m.opts.SessionTimeout)) {
			m.close(s.key, false, ReasonExpired)
		}
	}
}
