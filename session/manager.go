// SPDX-License-Identifier: Apache-2.0

package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"roundhouse/discovery"
	"roundhouse/internal/errs"
	"roundhouse/internal/secret"
	pb "roundhouse/proto/gen/spark/connect"
)

// releaseTimeout bounds how long an engine may take to release a session.
const releaseTimeout = 10 * time.Second

// openTimeout bounds how long locks and writes may hold up the opening of a session.
const openTimeout = 15 * time.Second

// Options are the settings of a Manager.
type Options struct {
	// Gateway is the id of this gateway process, new with each start.
	Gateway string
	// Namespace is kyuubi.ha.namespace: the one of all sessions in the store.
	Namespace string
	Engines   Engines
	Store     discovery.SessionStore
	// Lock serialises what gateways decide, and Follow tells what they write.
	Lock   discovery.Locker
	Follow discovery.SessionFollower
	// Alive says whether another gateway process lives; nil means that there is none.
	Alive func(gateway string) bool
	// EngineGone says whether an engine is over for all gateways; nil means that one is
	// that cannot be resumed.
	EngineGone func(refID string) bool
	// Unusable says why this gateway cannot use an engine that lives; nil if it can, or may
	// soon. Optional.
	Unusable func(refID string) error
	// Box seals the options in records: clients set keys of object stores so.
	Box secret.Box
	Log *slog.Logger
	// Hold is the longest time that a call waits for an engine in one piece.
	Hold time.Duration
	// Linger is how long an opening session without a waiting call is kept.
	Linger time.Duration
	// Unused is how long an open session that was never used is kept.
	Unused time.Duration
	// TombstoneKeep and Tombstones bound the memory of ended sessions and their records,
	// TombstonesPerUser the records of one user's (0: any number).
	TombstoneKeep                 time.Duration
	Tombstones, TombstonesPerUser int
	Limits                        Limits
	// Opened and Failed are told of each session that is opened, or that could
	// not get its engine. Optional.
	Opened, Failed func()
	// OnOpened is told of each session that got its engine, OnEnded of each such one
	// that ended. They must not block for long. Optional.
	OnOpened func(s *Session, refID string)
	OnEnded  func(s *Session, e End)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Manager knows every session, also those of other gateways.
type Manager struct {
	Options
	graves *tombstones

	mu struct {
		sync.Mutex
		live    book
		watched map[string]bool // engines whose end is watched
		// late are sessions whose newest state is still to be written, doubts those whose
		// record is to be looked up.
		late   map[Key]*Session
		doubts map[Key]bool
		closed bool
		opened time.Time // when the last session opened
		// next is the look around that somebody waits for, nil if nobody does; looking says that
		// one is under way.
		next    *round
		looking bool
	}
	// doubted wakes whoever settles doubts, and crowded whoever removes tombstones.
	doubted, crowded chan struct{}
	// ends counts those since crowded was filled, and rooms how often a full store
	// was made to hold more.
	ends, rooms atomic.Int64
	// lastAway (epoch ms) is when the store was last found to be out of reach.
	lastAway atomic.Int64
	// work counts the goroutines that Run waits for; life ends them.
	work sync.WaitGroup
	life context.Context
	stop context.CancelFunc
}

// NewManager returns a Manager; Restore and Run complete it.
func NewManager(o Options) (*Manager, error) {
	if o.Gateway == "" || o.Lock == nil || o.Follow == nil {
		return nil, errors.New("sessions need the id of their gateway, a lock and a follower")
	}
	o.complete()
	graves, err := newTombstones(o.Tombstones, o.TombstoneKeep, o.Now)
	if err != nil {
		return nil, fmt.Errorf("session tombstones: %w", err)
	}
	m := &Manager{Options: o, graves: graves, doubted: make(chan struct{}, 1), crowded: make(chan struct{}, 1)}
	if m.mu.live, err = newBook(o.Limits); err != nil {
		return nil, fmt.Errorf("session counts: %w", err)
	}
	m.mu.watched, m.mu.late, m.mu.doubts = map[string]bool{}, map[Key]*Session{}, map[Key]bool{}
	m.life, m.stop = context.WithCancel(context.Background())
	return m, nil
}

func (o *Options) complete() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Alive == nil {
		o.Alive = func(string) bool { return false }
	}
	if o.EngineGone == nil {
		o.EngineGone = func(refID string) bool {
			lease, runs := o.Engines.Resume(refID)
			if runs {
				lease.Release()
			}
			return !runs
		}
	}
	if o.Unusable == nil {
		o.Unusable = func(string) error { return nil }
	}
	if o.TombstonesPerUser == 0 {
		o.TombstonesPerUser = o.Tombstones
	}
	if o.Opened == nil {
		o.Opened = func() {}
	}
	if o.Failed == nil {
		o.Failed = func() {}
	}
	if o.OnOpened == nil {
		o.OnOpened = func(*Session, string) {}
	}
	if o.OnEnded == nil {
		o.OnEnded = func(*Session, End) {}
	}
}

// Run follows other gateways and sweeps what nobody uses until ctx ends, and then waits
// for the manager's goroutines. Sessions stay in the store: engines outlive a gateway.
func (m *Manager) Run(ctx context.Context) error {
	defer m.work.Wait()
	defer m.close()
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return m.Follow.FollowSessions(ctx, m.told) })
	parts.Go(func() error { return m.followLoop(ctx) })
	parts.Go(func() error { return m.sweepLoop(ctx) })
	return parts.Wait()
}

// close ends the manager's goroutines and lets none begin.
func (m *Manager) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.closed = true
	m.stop()
}

// background runs a task that Run waits for; it ends with life. False at the end of the
// manager.
func (m *Manager) background(task func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.mu.closed {
		m.work.Go(task)
	}
	return !m.mu.closed
}

// Lookup returns the live session of k that this gateway knows, or how it ended, or
// neither.
func (m *Manager) Lookup(k Key) (*Session, *End) {
	m.mu.Lock()
	s := m.mu.live.sessions[k]
	m.mu.Unlock()
	if s == nil {
		return nil, m.graves.get(k)
	}
	if e := s.Ended(); e != nil {
		return nil, e
	}
	if !s.open() {
		return nil, nil
	}
	return s, nil
}

// Find is Lookup that asks the store for what this gateway does not know, and for what
// became of a session that another gateway opens. The error is the client's answer: the
// store cannot be asked.
func (m *Manager) Find(ctx context.Context, k Key) (*Session, *End, error) {
	s, end := m.Lookup(k)
	if end != nil || s != nil && (s.Routed() || s.Gateway() == m.Gateway) {
		return s, end, nil
	}
	err := m.verify(ctx, k)
	s, end = m.Lookup(k)
	if s != nil || end != nil {
		err = nil // what is known goes on
	}
	return s, end, err
}

// ActsFor tells for whom a user opened the session with an id: for themselves or
// for somebody else, also when it has ended a while ago; false if the user has
// opened none that is known.
func (m *Manager) ActsFor(realUser, id string) (user string, known bool) {
	k := Key{realUser, id}
	m.mu.Lock()
	user, known = m.mu.live.openedBy[k]
	m.mu.Unlock()
	if !known {
		user, known = m.graves.openedBy.Get(k)
	}
	return user, known
}

// Clone registers newID as a session beside parent, on the same engine.
func (m *Manager) Clone(ctx context.Context, parent *Session, newID string) (*Session, error) {
	e := parent.Engine()
	if e == nil {
		return nil, parent.errorOr(errs.SessionChanged(parent.ID, "It has no engine yet."))
	}
	lease, ok := m.Engines.Resume(e.RefID())
	if !ok {
		return nil, errs.SessionChanged(parent.ID, reason(e))
	}
	s, opened, err := m.Open(ctx, parent.clone(newID))
	if err == nil && !opened {
		err = errs.New(errs.Conflict, "A session with the id %s exists already.", newID)
	}
	if err != nil {
		lease.Release()
		return nil, err
	}
	s.uploaded.Store(parent.uploaded.Load()) // the engine copies the artifacts
	if _, err := m.adopt(ctx, s, lease); err != nil {
		m.end(s, End{Cause: Forgotten})
		return nil, err
	}
	return s, nil
}

// errorOr is the error of an ended session, else otherwise.
func (s *Session) errorOr(otherwise error) error {
	if e := s.Ended(); e != nil {
		return e.Error(s.ID)
	}
	return otherwise
}

// End ends the session of k, if it lives: calls that wait for its engine fail, and a
// tombstone tells later calls, at all gateways. It reports whether k was live.
func (m *Manager) End(k Key, e End) bool {
	if e.Guess && !m.away() {
		asking, cancel := context.WithTimeout(m.life, guessPatience)
		_ = m.verify(asking, k) // without the store the guess counts
		cancel()
	}
	m.mu.Lock()
	s := m.mu.live.sessions[k]
	m.mu.Unlock()
	if s == nil {
		return false
	}
	first := m.end(s, e)
	if !first {
		_ = m.write(context.WithoutCancel(m.life), s) // who was faster may still be writing; Run goes on trying
	}
	return first
}

func (m *Manager) end(s *Session, e End) bool {
	if !e.told {
		e.At = m.Now()
	}
	m.mu.Lock()
	lease, first := m.mu.live.end(s, &e)
	m.mu.Unlock()
	if !first {
		return false
	}
	m.graves.put(s.Key, &e)
	m.graves.over.Add(s.Key, s.Opened)
	_ = m.write(context.WithoutCancel(m.life), s) // before the id is free for a new session; Run goes on trying
	if !e.told && e.Cause != Forgotten {
		m.countEnd()
	}
	if lease != nil {
		lease.Release()
	}
	m.graves.remember(s.Request)
	m.mu.Lock()
	m.mu.live.remove(s)
	m.mu.Unlock()
	if lease != nil && !e.told {
		m.OnEnded(s, e)
	}
	m.Log.Info("session ended", "user", s.User, "session", s.ID, "why", e.Why)
	return true
}

// endLater ends s in a while unless its record tells by then how it ended: another
// gateway, which has heard more, may be writing it.
func (m *Manager) endLater(s *Session, e End) {
	m.background(func() { // waited for by Run; ends with the manager
		select {
		case <-m.life.Done():
			return
		case <-s.life.Done():
			return
		case <-time.After(doubtPatience):
		}
		if err := m.verify(m.life, s.Key); err == nil {
			m.end(s, e)
		}
	})
}

// guessPatience bounds the question whether a guess is right.
const guessPatience = 2 * time.Second

// doubtPatience is how long a gateway may take to record the end of a session that it
// has released.
const doubtPatience = 3 * time.Second

// Close ends the session of k for a reason that its client is told, at the
// engine too. The error is the caller's answer: k is not live, or the store cannot be asked.
func (m *Manager) Close(ctx context.Context, k Key, why string) error {
	gone := errs.New(errs.NotFound, "There is no session %s.", k.ID)
	s, _, err := m.Find(ctx, k)
	switch {
	case err != nil:
		return err
	case s == nil:
		return gone
	}
	e := s.Engine()
	if !m.End(k, End{Cause: Lost, Why: why}) {
		return gone
	}
	if e != nil {
		m.release(ctx, k, e)
	}
	return nil
}

// release tells the engine that a session is over. An engine that does not hear
// it closes the session as idle later.
func (m *Manager) release(ctx context.Context, k Key, e Engine) {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	in := &pb.ReleaseSessionRequest{SessionId: k.ID, UserContext: &pb.UserContext{UserId: k.User, UserName: k.User}}
	if _, err := pb.NewSparkConnectServiceClient(e.Conn()).ReleaseSession(ctx, in); err != nil {
		m.Log.Warn("the engine did not release a session", "session", k.ID, "engine", e.RefID(), "err", err)
	}
}

// List returns the live sessions, oldest first.
func (m *Manager) List() []*Session {
	m.mu.Lock()
	all := make([]*Session, 0, len(m.mu.live.sessions))
	for _, s := range m.mu.live.sessions {
		all = append(all, s)
	}
	m.mu.Unlock()
	slices.SortFunc(all, func(a, b *Session) int {
		return cmp.Or(a.Opened.Compare(b.Opened), cmp.Compare(a.ID, b.ID))
	})
	return all
}
