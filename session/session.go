// SPDX-License-Identifier: Apache-2.0

// Package session owns the routes of client sessions: which (user, session id)
// lives on which engine, how it came to be and how it ended. See DESIGN.md.
package session

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"roundhouse/engine"
)

// Key names a session. The engine keys sessions the same way, so an id that
// somebody guesses reaches nothing of another user.
type Key struct {
	User string
	ID   string
}

// Engine is what a session needs of its engine.
type Engine interface {
	RefID() string
	Conn() grpc.ClientConnInterface
	// Done is closed when the engine has ended; Err then says why.
	Done() <-chan struct{}
	Err() error
	// Check finds out within two seconds whether the engine lives.
	Check(ctx context.Context) engine.Health
}

// Lease keeps an engine from being stopped as unused.
type Lease interface {
	Engine() Engine
	Release()
}

// Engines finds or launches engines.
type Engines interface {
	// Acquire waits for an engine of spec as long as ctx lives.
	Acquire(ctx context.Context, spec engine.Spec) (Lease, error)
	// Resume leases an engine that runs already.
	Resume(refID string) (Lease, bool)
	// Progress says in one sentence how the launch of an engine space stands.
	Progress(spec engine.Spec) (string, bool)
	// Census asks an engine which sessions it has.
	Census(ctx context.Context, refID string) (engine.Census, error)
	// Expect tells an engine that a client may come for so long still.
	Expect(ctx context.Context, refID string, within time.Duration)
}

// Request describes a session that a client opens.
type Request struct {
	Key
	Plan Plan
	// RealUser is who opened the session; "" is the user of the key.
	RealUser string
	Client   string // client_type as sent, for people
	Address  string // client address without port

	ahead bool // opened before its client came
}

// OpenedBy is who opened the session: its user, or who acts for that one.
func (r Request) OpenedBy() string {
	if r.RealUser == "" {
		return r.User
	}
	return r.RealUser
}

// Session is one live session. It is opening until it has an engine.
type Session struct {
	Request
	// Opened is when; it tells sessions of one key apart.
	Opened time.Time
	entry

	// turn lets one caller at a time get the engine.
	turn chan struct{}
	// life ends with the session, and unrouted when it has its engine here.
	life, unrouted context.Context
	die, routed    context.CancelFunc
	// waiters counts callers that wait for the engine; used is set by the first
	// forwarded call, touched (epoch ms) by each begin and end of one.
	waiters atomic.Int64
	used    atomic.Bool
	touched atomic.Int64
	// left (epoch ms) is when the last call that waited gave up.
	left atomic.Int64
	// taken (zero: not at all) is when the session was taken in, which another gateway
	// opened, or an earlier one.
	taken time.Time
	// unchecked says that the engine has to be asked for the session before this
	// gateway forwards a call; checking lets one caller at a time do so.
	unchecked atomic.Bool
	checking  chan struct{}
	// firstUse, if not nil, is told of the first forwarded call.
	firstUse func()
	// operations counts the operations that were sent to the engine.
	operations atomic.Int64
	// uploaded counts the bytes of artifacts that the engine keeps.
	uploaded atomic.Int64
	// confirmed is set when the engine has answered a call: it knows the session.
	confirmed atomic.Bool
	// release is the Cause of the ReleaseSession that is under way, nil if none is.
	release atomic.Pointer[Cause]
	// preparing lets one caller at a time run Prepare; prepared ends it.
	preparing chan struct{}
	prepared  atomic.Bool

	mu struct {
		sync.Mutex
		// gateway looks after the session until it has its engine: the one that opened it,
		// or one that goes on with it.
		gateway string
		// ref is the engine of the record, "" while there is none; with claimed it is about
		// to be recorded.
		ref     string
		claimed bool
		lease   Lease
		end     *End
		held    map[*HeldCall]bool
	}
}

func newSession(r Request, now time.Time) *Session {
	s := &Session{
		Request: r, Opened: now, entry: newEntry(),
		turn: make(chan struct{}, 1), preparing: make(chan struct{}, 1), checking: make(chan struct{}, 1),
	}
	s.life, s.die = context.WithCancel(context.Background())
	s.unrouted, s.routed = context.WithCancel(context.Background())
	return s
}

// Engine returns the engine of an open session, nil while it is opening.
func (s *Session) Engine() Engine {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.lease == nil {
		return nil
	}
	return s.mu.lease.Engine()
}

// on says whether the session is on the engine refID, also one that is not known
// here.
func (s *Session) on(refID string) bool { return refID != "" && s.ref() == refID }

// ref is the engine of the session, "" while it has none.
func (s *Session) ref() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.ref
}

// Routed says whether the session has an engine, be it one that is not known here yet.
func (s *Session) Routed() bool { return s.ref() != "" }

// claim makes refID the engine of the session, unless it has another one; until it is
// recorded nobody else gives the session its engine.
func (s *Session) claim(refID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.ref == "" {
		s.mu.ref, s.mu.claimed = refID, true
	}
	return s.mu.ref == refID
}

// recorded notes that a record has refID as the engine of the session; false if another
// one is claimed.
func (s *Session) recorded(refID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.ref == "" || s.mu.ref == refID {
		s.mu.ref, s.mu.claimed = refID, false
	}
	return s.mu.ref == refID
}

// resumable is the engine of the session that is recorded and not attached, else "".
func (s *Session) resumable() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.claimed || s.mu.lease != nil {
		return ""
	}
	return s.mu.ref
}

// unclaim takes back a claim that the store refused.
func (s *Session) unclaim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.ref, s.mu.claimed = "", false
}

// Gateway is the id of the gateway that opened the session, or that went on with its
// opening. While it is opening that one looks after it.
func (s *Session) Gateway() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.gateway
}

func (s *Session) keptBy(gateway string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.gateway = gateway
}

// Ended says how the session ended, nil while it lives.
func (s *Session) Ended() *End {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.end
}

// Begin notes that a call is forwarded; the returned function notes its end.
func (s *Session) Begin() (done func()) {
	first := !s.used.Swap(true)
	s.touched.Store(time.Now().UnixMilli())
	if first && s.firstUse != nil {
		s.firstUse()
	}
	return func() { s.touched.Store(time.Now().UnixMilli()) }
}

// Executing notes that an operation (an ExecutePlan) goes to the engine.
func (s *Session) Executing() { s.operations.Add(1) }

// Operations is how many operations went to the engine through this gateway.
func (s *Session) Operations() int { return int(s.operations.Load()) }

// Seen says whether LastAccess and Operations tell about the session: calls of it came to
// this gateway, or none came to any. Only the gateway that carries a call knows of it.
func (s *Session) Seen() bool { return s.touched.Load() != 0 || !s.used.Load() }

// Confirm says that the engine has answered a call of the session.
func (s *Session) Confirm() { s.confirmed.Store(true) }

// Confirmed says whether the engine ever answered a call of the session.
func (s *Session) Confirmed() bool { return s.confirmed.Load() }

// Releasing notes how the release that is under way ends the session, for the
// engine may tell of it before its answer arrives.
func (s *Session) Releasing(c Cause) { s.release.Store(&c) }

// Released is the cause of the release that is under way; false if none is.
func (s *Session) Released() (Cause, bool) {
	if c := s.release.Load(); c != nil {
		return *c, true
	}
	return 0, false
}

// Prepare runs f before the first forwarded call of the session, and again
// before the next one if it fails; callers wait for each other.
func (s *Session) Prepare(ctx context.Context, f func() error) error {
	if s.prepared.Load() {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case s.preparing <- struct{}{}:
		defer func() { <-s.preparing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s.prepared.Load() {
		return nil
	}
	err := f()
	s.prepared.Store(err == nil)
	return err
}

// attach gives the session its engine; false if it has one, or has ended meanwhile.
func (s *Session) attach(l Lease) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.end != nil || s.mu.lease != nil {
		return false
	}
	s.mu.lease, s.mu.claimed = l, false
	s.routed()
	return true
}

// finish ends the session once and returns the lease to release.
func (s *Session) finish(e *End) (Lease, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.end != nil {
		return nil, false
	}
	s.mu.end = e
	s.die()
	l := s.mu.lease
	s.mu.lease = nil
	return l, true
}

// clone is what a clone of the session is opened with: the engine copies the
// options that the parent has by now, and its client has had the warnings.
func (s *Session) clone(id string) Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.Request
	r.ID, r.ahead = id, false
	r.Plan.Options.Session, r.Plan.Warnings = nil, nil
	return r
}

// TakeWarnings returns the warnings that the client has not been given yet.
func (s *Session) TakeWarnings() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.Plan.Warnings
	s.Plan.Warnings = nil
	return w
}

// waited is when somebody last waited for the engine.
func (s *Session) waited() time.Time {
	if at := s.left.Load(); at != 0 {
		return time.UnixMilli(at)
	}
	return s.Opened
}

// LastAccess is when the last forwarded call of the session began or ended.
func (s *Session) LastAccess() time.Time {
	if at := s.touched.Load(); at != 0 {
		return time.UnixMilli(at)
	}
	return s.Opened
}
