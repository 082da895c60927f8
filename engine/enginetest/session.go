// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	connect "roundhouse/proto/gen/spark/connect"
)

// How much a session remembers; the real engine has caches of such sizes.
const (
	maxErrors   = 20
	maxFinished = 1000
)

// call is what every request says about its session.
type call struct {
	request
	observed string
}

// request is what the messages of all RPCs have in common.
type request interface {
	GetSessionId() string
	GetUserContext() *connect.UserContext
}

func (c call) key() sessionKey { return sessionKey{c.GetUserContext().GetUserId(), c.GetSessionId()} }

// observing is a request that can name the server side session that it knows.
type observing interface {
	request
	GetClientObservedServerSideSessionId() string
}

func callOf(r observing) call { return call{r, r.GetClientObservedServerSideSessionId()} }

// session is one client session; it costs no goroutine while nothing runs.
type session struct {
	manager    *sessions
	key        sessionKey
	serverSide string
	opened     time.Time
	accessed   atomic.Int64 // Unix nanoseconds

	mu struct {
		sync.Mutex
		ended     bool
		confs     map[string]string
		artifacts map[string]int64 // bytes by name
		active    map[string]*execution
		finished  fifo[string, finished]
		errors    fifo[string, *sparkError] // by error id
	}
}

// finished is what stays of an operation that is gone.
type finished struct {
	state     connect.GetStatusResponse_OperationStatus_OperationState
	abandoned bool
}

func newSession(m *sessions, k sessionKey) *session {
	s := &session{manager: m, key: k, serverSide: uuid.NewString(), opened: time.Now()}
	s.mu.finished = newFIFO[string, finished](maxFinished)
	s.mu.errors = newFIFO[string, *sparkError](maxErrors)
	s.touch()
	return s
}

func (s *session) touch() { s.accessed.Store(time.Now().UnixNano()) }

// observed compares the server side id that a call names with ours.
func (s *session) observed(c call) error {
	if c.observed == "" || c.observed == s.serverSide {
		return nil
	}
	return s.failed(fail(errSessionChanged, "handle", s.key.id))
}

// failed keeps an error for FetchErrorDetails and gives it its id. In a session
// that is closed nobody could fetch it, so it gets none.
func (s *session) failed(e *sparkError) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.ended {
		return e
	}
	kept := *e
	kept.id = uuid.NewString()
	s.mu.errors.put(kept.id, &kept)
	return &kept
}

func (s *session) takeError(id string) *sparkError {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, _ := s.mu.errors.take(id)
	return e
}

func (s *session) info() SessionInfo {
	i := SessionInfo{
		User: s.key.user, ID: s.key.id, ServerSide: s.serverSide,
		Opened: s.opened, LastAccess: time.Unix(0, s.accessed.Load()),
	}
	for _, x := range s.executions() {
		if x.busy() {
			i.Running++
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.mu.artifacts {
		i.Artifacts += n
	}
	return i
}

func (s *session) executions() []*execution {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*execution, 0, len(s.mu.active))
	for _, x := range s.mu.active {
		out = append(out, x)
	}
	return out
}

// clone copies confs and artifacts into a new session of the same user.
func (s *session) clone(id string) *session {
	c := newSession(s.manager, sessionKey{s.key.user, id})
	s.mu.Lock()
	defer s.mu.Unlock()
	c.mu.confs = maps.Clone(s.mu.confs)
	c.mu.artifacts = maps.Clone(s.mu.artifacts)
	return c
}

// start puts an execution into the session and lets it run. When the operation
// is known already it returns that one, or the reason to refuse.
func (s *session) start(x *execution) (*execution, error) {
	s.mu.Lock()
	if s.mu.ended {
		s.mu.Unlock()
		return nil, fail(errSessionClosed, "handle", s.key.id)
	}
	old, gone := s.mu.active[x.id], s.mu.finished.has(x.id)
	if old == nil && !gone {
		if s.mu.active == nil {
			s.mu.active = make(map[string]*execution)
		}
		s.mu.active[x.id] = x
		s.manager.work.Go(x.run) // Engine.Close waits
	}
	s.mu.Unlock()
	switch {
	case gone:
		return nil, s.failed(fail(errOperationAbandoned, "handle", x.id))
	case old == nil:
		return x, nil
	case !old.samePlan(x):
		return nil, s.failed(fail(errOperationExists, "handle", x.id))
	}
	return old, nil
}

// lookup finds a running or unreleased operation, nil when there is none.
func (s *session) lookup(id string) *execution {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.active[id]
}

// execution finds a running or unreleased operation, or the error that says
// what became of it.
func (s *session) execution(id string) (*execution, error) {
	s.mu.Lock()
	x, gone := s.mu.active[id], s.mu.finished.m[id]
	s.mu.Unlock()
	switch {
	case x != nil:
		return x, nil
	case gone.abandoned:
		return nil, s.failed(fail(errOperationAbandoned, "handle", id))
	}
	return nil, s.failed(fail(errOperationNotFound, "handle", id))
}

// remove ends an operation and remembers how it ended.
func (s *session) remove(x *execution, abandoned bool) {
	state := x.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.active[x.id] == x {
		delete(s.mu.active, x.id)
		s.mu.finished.put(x.id, finished{state, abandoned})
	}
}

func (s *session) abandon(before time.Time) {
	for _, x := range s.executions() {
		if x.detachedBefore(before) {
			s.remove(x, true)
		}
	}
}

// endAll ends the session's operations; nothing starts in it any more.
func (s *session) endAll() {
	s.mu.Lock()
	s.mu.ended = true
	s.mu.Unlock()
	for _, x := range s.executions() {
		s.remove(x, false)
	}
}
