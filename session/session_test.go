// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/engine"
	"roundhouse/internal/errs"
	"roundhouse/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fakeEngine struct {
	id   string
	done chan struct{}
	err  error
	conn grpc.ClientConnInterface
}

// refusing is a connection on which every call fails.
type refusing struct{ grpc.ClientConnInterface }

func (refusing) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return errors.New("refused")
}

func (e *fakeEngine) RefID() string                       { return e.id }
func (e *fakeEngine) Conn() grpc.ClientConnInterface      { return e.conn }
func (e *fakeEngine) Done() <-chan struct{}               { return e.done }
func (e *fakeEngine) Err() error                          { return e.err }
func (e *fakeEngine) Check(context.Context) engine.Health { return engine.Alive }

type fakeLease struct {
	e        *fakeEngine
	released *atomic.Int32
}

func (l fakeLease) Engine() Engine { return l.e }
func (l fakeLease) Release()       { l.released.Add(1) }

// fakeEngines launches when ready is closed, unless fail is set.
type fakeEngines struct {
	ready    chan struct{}
	fail     error
	acquired int
	released atomic.Int32
	expected chan string
	cause    error
	e        *fakeEngine
}

func newFakeEngines() *fakeEngines {
	return &fakeEngines{ready: make(chan struct{}), expected: make(chan string, 10), e: &fakeEngine{id: "e1", done: make(chan struct{})}}
}

func (f *fakeEngines) Acquire(ctx context.Context, _ engine.Spec) (Lease, error) {
	f.acquired++
	select {
	case <-ctx.Done():
		f.cause = context.Cause(ctx)
		return nil, errs.Wrap(errs.EngineStarting, f.cause, "spark-submit runs for 12 s")
	case <-f.ready:
	}
	if f.fail != nil {
		return nil, f.fail
	}
	return fakeLease{f.e, &f.released}, nil
}

func (f *fakeEngines) Resume(refID string) (Lease, bool) {
	if refID != f.e.id {
		return nil, false
	}
	return fakeLease{f.e, &f.released}, true
}

func (f *fakeEngines) Census(context.Context, string) (engine.Census, error) {
	return engine.Census{}, nil
}

func (f *fakeEngines) Expect(_ context.Context, refID string, within time.Duration) {
	f.expected <- fmt.Sprintf("%s for %v", refID, within)
}

func (f *fakeEngines) Progress(engine.Spec) (string, bool) { return "spark-submit runs for 12 s", true }

type rig struct {
	*Manager
	engines *fakeEngines
	store   *memoryStore
	key     Key
}

func box(t *testing.T) secret.Box {
	t.Helper()
	b, err := secret.NewBox(make([]byte, 32), SealLabel)
	require.NoError(t, err)
	return b
}

// inBubble runs test with a manager whose Run is under way, on a fake clock.
func inBubble(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{engines: newFakeEngines(), store: newMemoryStore(), key: Key{"alice", "s1"}}
		m, err := NewManager(Options{
			Gateway: "this", Namespace: "kyuubi", Lock: r.store, Follow: r.store, Box: box(t),
			Engines: r.engines, Store: r.store, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Hold: 9 * time.Minute, Linger: 2 * time.Minute, Unused: 10 * time.Minute,
			TombstoneKeep: 24 * time.Hour, Tombstones: 2,
		})
		require.NoError(t, err)
		r.Manager = m
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- m.Run(ctx) }()
		test(t, r)
		cancel()
		require.NoError(t, <-over)
	})
}

func (r *rig) open() *Session {
	s, _, _ := r.Open(context.Background(), Request{Key: r.key})
	return s
}

func (r *rig) opened(t *testing.T) *Session {
	t.Helper()
	close(r.engines.ready)
	s := r.open()
	_, err := r.Engine(t.Context(), s, func() {})
	require.NoError(t, err)
	return s
}

func TestSessionIsDurableBeforeItsEngineIsHandedOut(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.opened(t)
		require.Equal(t, "e1", r.store.all()[r.key].EngineRef)
	})
}

func TestSessionWithoutADurableRouteIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		close(r.engines.ready)
		s := r.open()
		r.store.setFail(errors.New("disk full"))
		_, _, err := r.Open(t.Context(), Request{Key: Key{"alice", "s2"}})
		require.Equal(t, codes.Internal, status.Code(err))
		_, err = r.Engine(t.Context(), s, func() {})
		require.Equal(t, codes.Internal, status.Code(err))
		require.EqualValues(t, 1, r.engines.released.Load())
	})
}

func TestCallsOfOneSessionShareItsEngine(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		s := r.open()
		got := make(chan error, 5)
		for range 5 {
			go func() { _, err := r.Engine(t.Context(), s, func() {}); got <- err }()
		}
		synctest.Wait()
		close(r.engines.ready)
		for range 5 {
			require.NoError(t, <-got)
		}
		require.Equal(t, 1, r.engines.acquired)
	})
}

func TestHeldCallIsAnsweredBeforeItsDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		held := false
		_, err := r.Engine(ctx, r.open(), func() { held = true })
		require.True(t, held)
		require.Equal(t, 55*time.Second, time.Since(start))
		require.Equal(t, codes.Unavailable, status.Code(err))
		require.Contains(t, err.Error(), "spark-submit runs for 12 s")
		s, _ := r.Lookup(r.key)
		require.NotNil(t, s, "the session goes on opening for the client's next try")
	})
}

func TestHeldCallWithoutDeadlineIsAnsweredAfterTheHoldTime(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		start := time.Now()
		_, err := r.Engine(t.Context(), r.open(), func() {})
		require.Equal(t, codes.Unavailable, status.Code(err))
		require.Equal(t, 9*time.Minute, time.Since(start))
	})
}

func TestReleaseWhileOpeningEndsTheWaitAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		s := r.open()
		got := make(chan error)
		go func() { _, err := r.Engine(t.Context(), s, func() {}); got <- err }()
		synctest.Wait()
		require.True(t, r.End(r.key, End{Cause: Released, Why: "The client released it."}))
		err := <-got
		require.Contains(t, err.Error(), "SESSION_CLOSED")
		require.ErrorIs(t, r.engines.cause, engine.ErrReleased)
	})
}

func TestFailedLaunchForgetsTheSession(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engines.fail = errors.New("no memory")
		close(r.engines.ready)
		_, err := r.Engine(t.Context(), r.open(), func() {})
		require.ErrorContains(t, err, "no memory")
		s, end := r.Lookup(r.key)
		require.Nil(t, s)
		require.Nil(t, end)
	})
}

func TestEndOfTheEngineEndsItsSessions(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.opened(t)
		r.engines.e.err = errors.New("Engine e1 was killed by root.")
		close(r.engines.e.done)
		synctest.Wait()
		s, end := r.Lookup(r.key)
		require.Nil(t, s)
		require.Equal(t, Lost, end.Cause)
		require.Contains(t, end.Error("s1").Error(), "Engine e1 was killed by root.")
		require.Contains(t, end.Error("s1").Error(), "SESSION_CHANGED")
		require.Equal(t, "lost", r.store.all()[r.key].Ended.Cause)
		require.Contains(t, r.store.all()[r.key].Ended.Why, "killed by root")
		require.EqualValues(t, 1, r.engines.released.Load())
	})
}

func TestTombstonesAreBoundedInNumberAndAge(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for _, id := range []string{"a", "b", "c"} {
			_, _, err := r.Open(t.Context(), Request{Key: Key{"alice", id}})
			require.NoError(t, err)
			r.End(Key{"alice", id}, End{Cause: Lost})
		}
		_, a := r.Lookup(Key{"alice", "a"})
		_, c := r.Lookup(Key{"alice", "c"})
		require.Nil(t, a)
		require.NotNil(t, c)
		<-time.After(2 * time.Minute) // fake clock: a sweep
		require.Len(t, r.store.all(), 2)
		<-time.After(25 * time.Hour) // fake clock
		_, c = r.Lookup(Key{"alice", "c"})
		require.Nil(t, c)
		require.Empty(t, r.store.all())
	})
}

func TestReleaseWithReconnectFreesTheID(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.opened(t)
		r.End(r.key, End{Cause: Forgotten})
		s, end := r.Lookup(r.key)
		require.Nil(t, s)
		require.Nil(t, end)
		_, opened, err := r.Open(t.Context(), Request{Key: r.key})
		require.NoError(t, err)
		require.True(t, opened)
	})
}

func TestSessionClosedByTheEngine(t *testing.T) {
	for name, c := range map[string]struct {
		ref, reason string
		cause       Cause
		ends        bool
	}{
		"idle":           {"e1", "idle", Lost, true},
		"expired":        {"e1", "expired", Lost, true},
		"released":       {"e1", "released", Released, true},
		"another engine": {"e2", "idle", Lost, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				one := r.opened(t)
				r.SessionClosed("e1", "alice", "s1", "released") // told late, of an earlier session of this id
				require.Nil(t, one.Ended())
				one.Releasing(Released)
				r.SessionClosed(c.ref, "alice", "s1", c.reason)
				s, end := r.Lookup(r.key)
				require.Equal(t, c.ends, s == nil)
				if c.ends {
					require.Equal(t, c.cause, end.Cause)
				}
			})
		})
	}
}

func TestCloneLivesOnTheSameEngineAndLeavesNothingWhenItFails(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		parent := r.opened(t)
		c, err := r.Clone(t.Context(), parent, "s2")
		require.NoError(t, err)
		require.Equal(t, "e1", c.Engine().RefID())
		require.Contains(t, r.store.all(), Key{"alice", "s2"})
		_, err = r.Clone(t.Context(), parent, "s2")
		require.ErrorContains(t, err, "exists already")
		r.End(c.Key, End{Cause: Forgotten})
		require.NotContains(t, r.store.all(), Key{"alice", "s2"})
	})
}

func TestSweepForgetsWhatNobodyUses(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		waiting := r.open()
		got := make(chan error)
		go func() { _, err := r.Engine(t.Context(), waiting, func() {}); got <- err }()
		_, _, err := r.Open(t.Context(), Request{Key: Key{"bob", "left"}})
		require.NoError(t, err)
		<-time.After(4 * time.Minute) // fake clock
		s, _ := r.Lookup(Key{"bob", "left"})
		require.Nil(t, s)
		close(r.engines.ready)
		require.NoError(t, <-got)
		<-time.After(15 * time.Minute) // fake clock: opened, never used
		s, end := r.Lookup(r.key)
		require.Nil(t, s)
		require.Contains(t, end.Why, "not used")
	})
}

func TestUserMayHaveSoManySessions(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.mu.live.limits.PerUser = func(user string) int { return map[string]int{"alice": 1}[user] }
		close(r.engines.ready)
		parent := r.open()
		_, err := r.Engine(t.Context(), parent, func() {})
		require.NoError(t, err)
		_, _, err = r.Open(t.Context(), Request{Key: Key{"alice", "s2"}})
		require.Equal(t, codes.ResourceExhausted, status.Code(err))
		_, err = r.Clone(t.Context(), parent, "s2")
		require.Equal(t, codes.ResourceExhausted, status.Code(err))
		require.EqualValues(t, 1, r.engines.released.Load(), "the clone's lease is given back")
		_, opened, err := r.Open(t.Context(), Request{Key: Key{"bob", "s2"}})
		require.NoError(t, err)
		require.True(t, opened)
		require.True(t, r.End(r.key, End{Cause: Released}))
		_, opened, err = r.Open(t.Context(), Request{Key: Key{"alice", "s2"}})
		require.NoError(t, err)
		require.True(t, opened)
	})
}

func TestEveryWaitingCallHearsWhyTheLaunchFailed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		s := r.open()
		got := make(chan error, 3)
		for range 3 {
			go func() { _, err := r.Engine(t.Context(), s, func() {}); got <- err }()
		}
		synctest.Wait()
		r.engines.fail = errors.New("no memory")
		close(r.engines.ready)
		for range 3 {
			require.ErrorContains(t, <-got, "no memory")
		}
	})
}

func TestFailedLaunchOfASessionOpenedAheadIsRemembered(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engines.fail = errors.New("no memory")
		close(r.engines.ready)
		_, err := r.OpenAhead(t.Context(), Request{Key: r.key}, func() {})
		require.NoError(t, err)
		synctest.Wait()
		s, end := r.Lookup(r.key)
		require.Nil(t, s)
		require.ErrorContains(t, end.Error("s1"), "no memory")
	})
}

func TestShortDeadlinesStillGetAnEngineThatRuns(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		close(r.engines.ready)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.Engine(ctx, r.open(), func() {})
		require.NoError(t, err)
	})
}

func TestPrepareIsTriedAgainAfterAFailure(t *testing.T) {
	s := newSession(Request{}, time.Now())
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	calls := 0
	count := func(err error) func() error { return func() error { calls++; return err } }
	require.Error(t, s.Prepare(gone, count(nil)))
	require.Error(t, s.Prepare(t.Context(), count(errors.New("the hop broke"))))
	require.NoError(t, s.Prepare(t.Context(), count(nil)))
	require.NoError(t, s.Prepare(t.Context(), count(errors.New("never run"))))
	require.Equal(t, 2, calls)
}
