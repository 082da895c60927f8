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
	"time"

	"roundhouse/discovery"
	"roundhouse/internal/errs"
	"roundhouse/internal/secret"
	pb "roundhouse/proto/gen/spark/connect"
)

// releaseTimeout bounds how long an engine may take to release a session.
const releaseTimeout = 10 * time.Second

// storeTimeout bounds one write to the store.
const storeTimeout = 5 * time.Second

// Options are the settings of a Manager.
type Options struct {
	Engines Engines
	Store   discovery.SessionStore
	// Box seals the options in records: clients set keys of object stores so.
	Box secret.Box
	Log *slog.Logger
	// Hold is the longest time that a call waits for an engine in one piece.
	Hold time.Duration
	// Linger is how long an opening session without a waiting call is kept.
	Linger time.Duration
	// Unused is how long an open session that was never used is kept.
	Unused time.Duration
	// TombstoneKeep and Tombstones bound the memory of ended sessions.
	TombstoneKeep time.Duration
	Tombstones    int
	Limits        Limits
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

// Manager knows every session of this gateway.
type Manager struct {
	Options
	graves *tombstones

	mu struct {
		sync.Mutex
		live    book
		watched map[string]bool // engines whose end is watched
	}
	// work counts the goroutines that Run waits for; life ends them.
	work sync.WaitGroup
	life context.Context
	stop context.CancelFunc
}

// NewManager returns a Manager; Restore and Run complete it.
func NewManager(o Options) (*Manager, error) {
	o.complete()
	graves, err := newTombstones(o.Tombstones, o.TombstoneKeep, o.Now)
	if err != nil {
		return nil, fmt.Errorf("session tombstones: %w", err)
	}
	m := &Manager{Options: o, graves: graves}
	m.mu.live = newBook(o.Limits)
	m.mu.watched = map[string]bool{}
	m.life, m.stop = context.WithCancel(context.Background())
	return m, nil
}

func (o *Options) complete() {
	if o.Now == nil {
		o.Now = time.Now
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

// Run sweeps sessions that nobody uses until ctx ends, and then waits for the
// manager's goroutines. Sessions stay in the store: engines outlive a gateway.
func (m *Manager) Run(ctx context.Context) error {
	defer m.work.Wait()
	defer m.stop()
	tick := time.NewTicker(max(min(m.Linger, m.Unused)/4, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			m.sweep()
		}
	}
}

// Lookup returns the live session of k, or how it ended, or neither.
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
	return s, nil
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

// Open returns the live session of r.Key, or opens it as r asks. An error says
// that a limit is reached. Deny lists are asked at the doors, for each call.
func (m *Manager) Open(r Request) (s *Session, opened bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.mu.live.sessions[r.Key]; s != nil {
		return s, false, nil
	}
	if user, taken := m.mu.live.openedBy[Key{r.OpenedBy(), r.ID}]; taken && user != r.User {
		return nil, false, errs.New(errs.Conflict, "User %s has opened session %s for %s just now; use another id for one of %s.", r.OpenedBy(), r.ID, user, r.User)
	}
	if err := m.mu.live.room(r.User, r.Address); err != nil {
		return nil, false, err
	}
	r.Plan.Spec.Session = r.ID // its calls share one launch also where sessions share no engine
	s = m.newSession(r, m.Now())
	m.mu.live.put(s)
	m.Opened()
	return s, true, nil
}

// Engine waits for the engine of s. onHold is called if that takes waiting. The
// error is the client's answer.
func (m *Manager) Engine(ctx context.Context, s *Session, onHold func()) (Engine, error) {
	if e := s.Engine(); e != nil {
		return e, nil
	}
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
		return nil, m.holdError(ctx, s)
	}
	if e := s.Engine(); e != nil {
		return e, nil
	}
	lease, err := m.Engines.Acquire(ctx, s.Plan.Spec)
	if err != nil {
		return nil, m.acquireError(ctx, s, err)
	}
	return m.adopt(ctx, s, lease)
}

// adopt makes the route durable and gives s its engine.
func (m *Manager) adopt(ctx context.Context, s *Session, lease Lease) (Engine, error) {
	e := lease.Engine()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err := m.store(ctx, s, e.RefID()); err != nil {
		lease.Release()
		m.Failed()
		err = routeError(s, err)
		m.End(s.Key, End{Cause: Forgotten, Why: "Its route could not be stored.", Failure: err})
		return nil, err
	}
	if !s.attach(lease) {
		lease.Release()
		m.forget(s.Key)
		return nil, s.Ended().Error(s.ID)
	}
	m.watch(e)
	m.OnOpened(s, e.RefID())
	m.Log.Info("session opened", "user", s.User, "session", s.ID, "engine", e.RefID(), "client", s.Client)
	return e, nil
}

func routeError(s *Session, err error) error {
	if errors.Is(err, discovery.ErrFull) {
		return errs.Wrap(errs.LimitExceeded, err, "This gateway keeps no more sessions. End some (spark.stop(), or DELETE /api/v1/sessions/<id>).")
	}
	return errs.Fault(err, "The route of session %s could not be stored, so the call was not forwarded.", s.ID)
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
	s, opened, err := m.Open(parent.clone(newID))
	if err == nil && !opened {
		err = errs.New(errs.Conflict, "A session with the id %s exists already.", newID)
	}
	if err != nil {
		lease.Release()
		return nil, err
	}
	s.uploaded.Store(parent.uploaded.Load()) // the engine copies the artifacts
	if _, err := m.adopt(ctx, s, lease); err != nil {
		m.End(s.Key, End{Cause: Forgotten})
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

// End ends the session of k, if it lives: calls that wait for its engine fail,
// its record goes, and a tombstone tells later calls. It reports whether k was
// live.
func (m *Manager) End(k Key, e End) bool {
	e.At = m.Now()
	m.mu.Lock()
	s := m.mu.live.sessions[k]
	lease, first := m.mu.live.end(k, &e)
	m.mu.Unlock()
	if !first {
		return false
	}
	m.graves.put(k, &e)
	if lease != nil {
		m.forget(k) // before the id is free for a new session
		lease.Release()
	}
	m.graves.remember(s.Request)
	m.mu.Lock()
	m.mu.live.remove(k)
	m.mu.Unlock()
	if lease != nil {
		m.OnEnded(s, e)
	}
	m.Log.Info("session ended", "user", k.User, "session", k.ID, "why", e.Why)
	return true
}

// Close ends the session of k for a reason that its client is told, at the
// engine too. It reports whether k was live.
func (m *Manager) Close(ctx context.Context, k Key, why string) bool {
	s, _ := m.Lookup(k)
	if s == nil {
		return false
	}
	e := s.Engine()
	if !m.End(k, End{Cause: Lost, Why: why}) {
		return false
	}
	if e != nil {
		m.release(ctx, k, e)
	}
	return true
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

func (m *Manager) forget(k Key) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.life), storeTimeout)
	defer cancel()
	if err := m.Store.DeleteSession(ctx, k.User, k.ID); err != nil && !errors.Is(err, discovery.ErrNotFound) {
		m.Log.Error("session record stays behind", "user", k.User, "session", k.ID, "err", err)
	}
}
