// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/conf"
	"roundhouse/discovery"
	"roundhouse/engine"
	"roundhouse/internal/errs"
)

// lag is how late the gateways of these tests hear of each other.
const lag = 50 * time.Millisecond

// sharedEngines are the engines of one gateway, which may not know all that there are.
type sharedEngines struct {
	mu      sync.Mutex
	known   map[string]*fakeEngine
	launch  string // the engine that Acquire gives
	fail    error
	wait    chan struct{} // if not nil, Acquire waits for it
	silent  bool
	leases  int
	asked   int
	waiting int
}

func (f *sharedEngines) lease(id string) Lease {
	f.leases++
	return &sharedLease{f: f, e: f.known[id]}
}

type sharedLease struct {
	f    *sharedEngines
	e    *fakeEngine
	once sync.Once
}

func (l *sharedLease) Engine() Engine { return l.e }
func (l *sharedLease) Release() {
	l.once.Do(func() { l.f.mu.Lock(); l.f.leases--; l.f.mu.Unlock() })
}

func (f *sharedEngines) Acquire(ctx context.Context, _ engine.Spec) (Lease, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if wait := f.wait; wait != nil {
		f.waiting++
		f.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
		}
		f.mu.Lock()
		f.waiting--
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if f.fail != nil {
		return nil, f.fail
	}
	return f.lease(f.launch), nil
}

func (f *sharedEngines) Resume(id string) (Lease, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known[id] == nil {
		return nil, false
	}
	return f.lease(id), true
}

func (f *sharedEngines) learn(e *fakeEngine) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known[e.id] = e
}

func (f *sharedEngines) Progress(engine.Spec) (string, bool) { return "", false }

func (f *sharedEngines) Census(context.Context, string) (engine.Census, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.silent {
		return engine.Census{}, errors.New("silent")
	}
	return engine.Census{}, nil
}

// member is one gateway.
type member struct {
	*Manager
	store   *gatewayStore
	engines *sharedEngines
	ended   atomic.Int32
	die     func() // ends it as a crash does
}

// house are two gateways on one store, with engines e1 and e2.
type house struct {
	store  *memoryStore
	a, b   *member
	e1, e2 *fakeEngine
	key    Key
	dead   sync.Map
	gone   sync.Map
}

func (h *house) options(t *testing.T, id string, limits Limits) *member {
	t.Helper()
	g := &member{store: h.store.join(lag), engines: &sharedEngines{known: map[string]*fakeEngine{"e1": h.e1, "e2": h.e2}, launch: "e1"}}
	m, err := NewManager(Options{
		Gateway: id, Namespace: "kyuubi", Lock: g.store, Follow: g.store, Store: g.store, Engines: g.engines, Box: box(t),
		Alive:      func(id string) bool { _, dead := h.dead.Load(id); return !dead },
		EngineGone: func(ref string) bool { _, gone := h.gone.Load(ref); return gone },
		Log:        slog.New(slog.NewTextHandler(io.Discard, nil)),
		Hold:       9 * time.Minute, Linger: 2 * time.Minute, Unused: 10 * time.Minute, TombstoneKeep: 24 * time.Hour, Tombstones: 100,
		Limits: limits, OnEnded: func(*Session, End) { g.ended.Add(1) },
	})
	require.NoError(t, err)
	g.Manager = m
	return g
}

// twoGateways runs test with two gateways, on a fake clock.
func twoGateways(t *testing.T, limits Limits, test func(t *testing.T, h *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &house{
			store: newMemoryStore(), key: Key{"alice", "s1"},
			e1: &fakeEngine{id: "e1", done: make(chan struct{})}, e2: &fakeEngine{id: "e2", done: make(chan struct{})},
		}
		h.a, h.b = h.options(t, "a", limits), h.options(t, "b", limits)
		for _, g := range []*member{h.a, h.b} {
			h.start(t, g)
			defer g.die()
		}
		test(t, h)
	})
}

// start runs a gateway until its die is called.
func (h *house) start(t *testing.T, g *member) {
	t.Helper()
	require.NoError(t, g.Restore(t.Context()))
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- g.Run(ctx) }() // die waits for it
	synctest.Wait()                    // it follows
	g.die = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-over)
		h.dead.Store(g.Gateway, true)
		g.store.setAway(true)
	})
}

// open opens a session at g and gets its engine.
func (g *member) open(t *testing.T, k Key) *Session {
	t.Helper()
	s, _, err := g.Open(t.Context(), Request{Key: k, Address: "1.1.1.1"})
	require.NoError(t, err)
	_, err = g.Engine(t.Context(), s, func() {})
	require.NoError(t, err)
	return s
}

// hear waits until the gateways have told each other.
func hear() { <-time.After(2*lag + time.Millisecond) } // on the bubble's clock

func (g *member) count(user string) int {
	g.Manager.mu.Lock()
	defer g.Manager.mu.Unlock()
	return g.Manager.mu.live.counts[pair{user, ""}]
}

func TestSessionIsServedByTheOtherGateway(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		options := map[string]string{"spark.sql.ansi.enabled": "true"}
		spec := engine.Spec{Namespace: "kyuubi", ShareLevel: engine.Connection, Owner: "alice", LaunchUser: "alice", Subdomain: "x", Python: "/py", Options: options}
		s, _, err := h.a.Open(t.Context(), Request{Key: h.key, RealUser: "portal", Client: "c", Address: "1.1.1.1",
			Plan: Plan{Spec: spec, Options: conf.Options{Session: options, Name: "n"}}})
		require.NoError(t, err)
		require.Empty(t, h.store.records[h.key].EngineRef, "recorded before it has its engine")
		_, err = h.a.Engine(t.Context(), s, func() {})
		require.NoError(t, err)
		hear()
		other, _ := h.b.Lookup(h.key)
		require.NotNil(t, other)
		require.Equal(t, s.Plan.Spec, other.Plan.Spec)
		require.Equal(t, options, other.Plan.Options.Session)
		require.Equal(t, "e1", other.Engine().RefID())
		require.Equal(t, 1, h.b.engines.leases)
		require.Equal(t, 1, h.b.count("alice"))
		user, known := h.b.ActsFor("portal", "s1")
		require.True(t, known)
		require.Equal(t, "alice", user)

		var calls sync.WaitGroup
		for range 5 {
			calls.Go(func() {
				_, err := h.b.Engine(t.Context(), other, func() {})
				require.NoError(t, err)
			})
		}
		calls.Wait()
		require.Equal(t, 1, h.b.engines.asked, "the first calls share a census")
		prepared := false
		require.NoError(t, other.Prepare(t.Context(), func() error { prepared = true; return nil }))
		require.True(t, prepared, "the engine has not seen it")
		require.Zero(t, h.a.engines.asked)
	})
}

func TestSilentEngineIsTakenAtTheRecordsWord(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.b.engines.silent = true
		h.a.open(t, h.key)
		hear()
		s, _ := h.b.Lookup(h.key)
		_, err := h.b.Engine(t.Context(), s, func() {})
		require.NoError(t, err)
		require.True(t, s.Confirmed())
	})
}

func TestOneIDAtBothGatewaysAtOnceIsOneSession(t *testing.T) {
	twoGateways(t, Limits{PerUser: func(string) int { return 100 }}, func(t *testing.T, h *house) {
		h.b.engines.launch = "e2"
		for i := range 20 {
			k := Key{"alice", fmt.Sprint(i)}
			var refs [2][3]string
			var calls sync.WaitGroup
			for n, g := range []*member{h.a, h.b} {
				for c := range refs[n] {
					calls.Go(func() { refs[n][c] = g.open(t, k).Engine().RefID() })
				}
			}
			calls.Wait()
			for n := range refs {
				for _, ref := range refs[n] {
					require.Equal(t, h.store.records[k].EngineRef, ref)
				}
			}
		}
		hear()
		require.Equal(t, 20, h.a.count("alice"))
		require.Equal(t, 20, h.b.count("alice"))
		require.Equal(t, 20, h.a.engines.leases, "one for each session")
		require.Equal(t, 20, h.b.engines.leases)
	})
}

func TestEndIsTheSameAtAllGateways(t *testing.T) {
	for name, end := range map[string]End{
		"released":  {Cause: Released, Why: "The client released it."},
		"lost":      {Cause: Lost, Why: "An administrator ended it."},
		"forgotten": {Cause: Forgotten, Why: "The client may come back."},
	} {
		t.Run(name, func(t *testing.T) {
			twoGateways(t, Limits{}, func(t *testing.T, h *house) {
				h.a.open(t, h.key)
				hear()
				require.True(t, h.b.End(h.key, end), "any gateway may end it")
				hear()
				for _, g := range []*member{h.a, h.b} {
					s, told := g.Lookup(h.key)
					require.Nil(t, s)
					require.Equal(t, end.Cause == Forgotten, told == nil)
					if told != nil {
						require.Equal(t, end.Error("s1").Error(), told.Error("s1").Error())
					}
					require.Zero(t, g.engines.leases)
					require.Zero(t, g.count("alice"))
				}
				require.Equal(t, int32(1), h.a.ended.Load()+h.b.ended.Load(), "told once")
				_, opened, err := h.a.Open(t.Context(), Request{Key: h.key})
				require.Equal(t, end.Cause == Forgotten, opened, "%v", err)
			})
		})
	}
}

func TestEngineEndsSessionsOfAllGateways(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.a.open(t, h.key)
		hear()
		h.e1.err = errors.New("Engine e1 was killed")
		close(h.e1.done)
		hear()
		for _, g := range []*member{h.a, h.b} {
			_, end := g.Lookup(h.key)
			require.ErrorContains(t, end.Error("s1"), "Engine e1 was killed.")
		}
		require.Equal(t, "lost", h.store.records[h.key].Ended.Cause)
	})
}

// held is the answer to a call at g that waits for the engine of the session h.key.
func (h *house) held(t *testing.T, g *member) <-chan error {
	t.Helper()
	s, _, err := g.Find(t.Context(), h.key)
	require.NoError(t, err)
	require.NotNil(t, s)
	answer := make(chan error, 1)
	go func() { _, err := g.Engine(context.Background(), s, func() {}); answer <- err }() // the caller reads it
	synctest.Wait()
	return answer
}

func TestCallHeldByTheOtherGateway(t *testing.T) {
	for name, c := range map[string]struct {
		then  func(h *house)
		class string
	}{
		"gets the engine that the first one finds": {func(h *house) { close(h.a.engines.wait) }, ""},
		"ends with the session":                    {func(h *house) { h.a.End(h.key, End{Cause: Released}) }, "SESSION_CLOSED"},
		"ends with the session's launch": {func(h *house) {
			h.a.engines.fail = errs.New(errs.EngineLaunchFailed, "No memory.")
			close(h.a.engines.wait)
		}, "SESSION_CHANGED"},
	} {
		t.Run(name, func(t *testing.T) {
			twoGateways(t, Limits{}, func(t *testing.T, h *house) {
				h.a.engines.wait, h.b.engines.wait = make(chan struct{}), make(chan struct{})
				_, _, err := h.a.Open(t.Context(), Request{Key: h.key})
				require.NoError(t, err)
				first, second := h.held(t, h.a), h.held(t, h.b)
				require.Equal(t, 1, h.b.engines.waiting)
				c.then(h)
				err = <-second
				<-first
				if c.class == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, c.class)
				}
				require.Zero(t, h.b.engines.waiting)
			})
		})
	}
}

// TestFailureElsewhereIsNoEnd: the gateway that opened the session may have more luck.
func TestFailureElsewhereIsNoEnd(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.a.engines.wait = make(chan struct{})
		h.b.engines.fail = errs.New(errs.EngineLaunchFailed, "No Spark here.")
		_, _, err := h.a.Open(t.Context(), Request{Key: h.key})
		require.NoError(t, err)
		first := h.held(t, h.a)
		require.ErrorContains(t, <-h.held(t, h.b), "No Spark here")
		close(h.a.engines.wait)
		require.NoError(t, <-first)
	})
}

func TestLimitsCountOverGateways(t *testing.T) {
	for name, limits := range map[string]Limits{
		"user":            {PerUser: func(string) int { return 7 }},
		"address":         {PerAddress: 7},
		"user at address": {PerUserAddress: 7},
	} {
		t.Run(name, func(t *testing.T) {
			twoGateways(t, limits, func(t *testing.T, h *house) {
				var calls sync.WaitGroup
				var opened, refused atomic.Int32
				for i := range 30 {
					calls.Go(func() {
						g := []*member{h.a, h.b}[i%2]
						_, _, err := g.Open(t.Context(), Request{Key: Key{"alice", fmt.Sprint(i)}, Address: "1.1.1.1"})
						if err == nil {
							opened.Add(1)
						} else if status.Code(err) == codes.ResourceExhausted {
							refused.Add(1)
						}
					})
				}
				calls.Wait()
				require.Equal(t, int32(7), opened.Load())
				require.Equal(t, int32(23), refused.Load())
				one := h.a.List()[0]
				require.True(t, h.a.End(one.Key, End{Cause: Released}))
				_, _, err := h.b.Open(t.Context(), Request{Key: Key{"alice", "more"}, Address: "1.1.1.1"})
				require.NoError(t, err, "a place that is free at one gateway is free at once at the other")
			})
		})
	}
}

func TestPoolIsBalancedOverGateways(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		p := Pool{Name: "engine-pool", Size: 4, Policy: conf.PoolLeastSessions}
		plan := Plan{Pool: p, Spec: engine.Spec{Namespace: "kyuubi", ShareLevel: engine.User, Owner: "alice", LaunchUser: "alice", Subdomain: p.Subdomain(0)}}
		var calls sync.WaitGroup
		for i := range 42 {
			calls.Go(func() {
				g := []*member{h.a, h.b}[i%2]
				s, _, err := g.Open(t.Context(), Request{Key: Key{"alice", fmt.Sprint(i)}, Plan: plan})
				require.NoError(t, err)
				require.False(t, s.Plan.Pool.Active())
			})
		}
		calls.Wait()
		members := map[string]int{}
		for _, r := range h.store.records {
			members[r.Spec.Subdomain]++
		}
		require.Len(t, members, 4)
		for name, n := range members {
			require.Contains(t, []int{10, 11}, n, name)
		}
	})
}

func TestWithoutTheStore(t *testing.T) {
	twoGateways(t, Limits{PerUser: func(string) int { return 2 }}, func(t *testing.T, h *house) {
		old := Key{"alice", "old"}
		h.a.open(t, old)
		hear()
		h.a.store.setAway(true)
		require.NotNil(t, h.a.open(t, h.key), "a session opens all the same")
		_, _, err := h.a.Open(t.Context(), Request{Key: Key{"alice", "s3"}})
		require.Equal(t, codes.ResourceExhausted, status.Code(err), "what is known counts")
		require.True(t, h.a.End(old, End{Cause: Released}))
		s, end, err := h.a.Find(t.Context(), Key{"alice", "nobody's"})
		require.Nil(t, s)
		require.Nil(t, end)
		require.Equal(t, codes.Unavailable, status.Code(err))
		require.NotContains(t, h.store.records, h.key)
		<-time.After(5 * time.Second)
		h.a.store.setAway(false)
		<-time.After(2 * time.Second)
		require.Equal(t, "e1", h.store.records[h.key].EngineRef)
		require.NotNil(t, h.store.records[old].Ended)
		hear()
		other, _ := h.b.Lookup(h.key)
		require.NotNil(t, other)
		_, end = h.b.Lookup(old)
		require.Equal(t, Released, end.Cause)
		require.Empty(t, h.a.mu.late)
	})
}

// TestTwoSessionsOfOneID: while one gateway cannot reach the store the other one opens the
// same session on another engine. One of them remains.
func TestTwoSessionsOfOneID(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.b.engines.launch = "e2"
		h.a.store.setAway(true)
		mine := h.a.open(t, h.key)
		<-time.After(time.Millisecond)
		h.e1.conn = refusing{}
		theirs := h.b.open(t, h.key)
		h.a.store.setAway(false)
		<-time.After(3 * time.Second)
		require.ErrorContains(t, mine.errorOr(nil), "Another gateway opened it")
		require.Nil(t, theirs.Ended())
		now, _ := h.a.Lookup(h.key)
		require.Equal(t, "e2", now.Engine().RefID())
		require.Equal(t, 1, h.a.engines.leases)
	})
}

func TestIDThatIsFreeAgainWhileItsRecordIsNotGone(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.a.open(t, h.key)
		h.a.store.setAway(true)
		require.True(t, h.a.End(h.key, End{Cause: Forgotten}))
		<-time.After(time.Millisecond)
		again := h.a.open(t, h.key)
		h.a.store.setAway(false)
		<-time.After(2 * time.Second)
		require.True(t, again.is(h.store.records[h.key]))
		hear()
		other, _ := h.b.Lookup(h.key)
		require.True(t, other.is(h.store.records[h.key]), "not the earlier one")
	})
}

func TestFindKnowsBeforeTheGatewayIsTold(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.a.open(t, h.key)
		s, _ := h.b.Lookup(h.key)
		require.Nil(t, s)
		s, _, err := h.b.Find(t.Context(), h.key)
		require.NoError(t, err)
		require.Equal(t, "e1", s.Engine().RefID())
		h.a.End(h.key, End{Cause: Lost, Why: "It was closed."})
		hear()
		_, _, err = h.b.Open(t.Context(), Request{Key: h.key})
		require.ErrorContains(t, err, "It was closed")
		_, end, err := h.b.Find(t.Context(), Key{"alice", "unknown"})
		require.NoError(t, err)
		require.Nil(t, end)
	})
}

func TestEngineThatIsNotKnownHereYet(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.a.engines.learn(&fakeEngine{id: "e3", done: make(chan struct{})})
		h.a.engines.launch = "e3"
		h.a.open(t, h.key)
		hear()
		waiting := h.held(t, h.b)
		began := time.Now()
		err := <-waiting
		require.Equal(t, unknownPatience, time.Since(began))
		require.True(t, errs.Is(err, errs.EngineUnreachable), "%v", err)
		s, _ := h.b.Lookup(h.key)
		require.NotNil(t, s, "the other gateway has the engine")

		waiting = h.held(t, h.b)
		h.b.engines.learn(h.a.engines.known["e3"])
		h.b.EngineKnown("e3")
		require.NoError(t, <-waiting)
	})
}

func TestEngineThatIsGone(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		for i, id := range []string{"asked for", "swept"} {
			h.a.engines.learn(&fakeEngine{id: fmt.Sprint("x", i), done: make(chan struct{})})
			h.a.engines.launch = fmt.Sprint("x", i)
			h.a.open(t, Key{"alice", id})
		}
		hear()
		h.a.die()
		h.gone.Store("x0", true)
		h.gone.Store("x1", true)
		s, _ := h.b.Lookup(Key{"alice", "asked for"})
		_, err := h.b.Engine(t.Context(), s, func() {})
		require.ErrorContains(t, err, "Its engine x0 ended")
		<-time.After(time.Minute)
		_, end := h.b.Lookup(Key{"alice", "swept"})
		require.Contains(t, end.Why, "Its engine x1 ended")
	})
}

// TestGatewayDiesWhileItOpens: a call at another one goes on with the session, and one
// that nobody waits for is forgotten.
func TestGatewayDiesWhileItOpens(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.a.engines.wait, h.b.engines.wait = make(chan struct{}), make(chan struct{})
		for _, k := range []Key{h.key, {"alice", "left"}} {
			_, _, err := h.a.Open(t.Context(), Request{Key: k})
			require.NoError(t, err)
		}
		_, err := h.a.OpenAhead(t.Context(), Request{Key: Key{"alice", "ahead"}}, func() {})
		require.NoError(t, err)
		<-time.After(3 * time.Minute) // longer than the linger time
		hear()
		require.Len(t, h.b.List(), 1, "their gateway says that nobody waits for the first ones")
		_, _, err = h.a.Open(t.Context(), Request{Key: h.key})
		require.NoError(t, err)
		_, _, err = h.a.Open(t.Context(), Request{Key: Key{"alice", "left"}})
		require.NoError(t, err)
		hear()
		h.a.die()
		waiting := h.held(t, h.b)
		require.Equal(t, "b", h.store.records[h.key].Gateway)
		<-time.After(4 * time.Minute)
		require.NotContains(t, h.store.records, Key{"alice", "left"})
		require.Contains(t, h.store.records, Key{"alice", "ahead"})
		close(h.b.engines.wait)
		require.NoError(t, <-waiting)
		<-time.After(15 * time.Minute)
		require.NotContains(t, h.store.records, Key{"alice", "ahead"})
	})
}

// TestGatewayComesBackAlone after both were killed.
func TestGatewayComesBackAlone(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.a.open(t, Key{"alice", "open"})
		h.b.open(t, Key{"alice", "ended"})
		h.b.End(Key{"alice", "ended"}, End{Cause: Lost, Why: "It was idle."})
		h.a.engines.wait = make(chan struct{})
		_, _, err := h.a.Open(t.Context(), Request{Key: Key{"alice", "opening"}})
		require.NoError(t, err)
		_, err = h.a.OpenAhead(t.Context(), Request{Key: Key{"alice", "ahead"}}, func() {})
		require.NoError(t, err)
		h.b.die()
		h.a.die()
		c := h.options(t, "c", Limits{})
		h.start(t, c)
		defer c.die()
		require.Len(t, c.List(), 2)
		_, end := c.Lookup(Key{"alice", "ended"})
		require.Contains(t, end.Error("ended").Error(), "It was idle.")
		require.NotContains(t, h.store.records, Key{"alice", "opening"})
		s, _ := c.Lookup(Key{"alice", "ahead"})
		_, err = c.Engine(t.Context(), s, func() {})
		require.NoError(t, err, "its client comes")
	})
}

func TestUnusedHereMayBeUsedThere(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		_, err := h.a.OpenAhead(t.Context(), Request{Key: h.key}, func() {})
		require.NoError(t, err)
		hear()
		s, _ := h.b.Lookup(h.key)
		_, err = h.b.Engine(t.Context(), s, func() {})
		require.NoError(t, err)
		s.Begin()()
		require.False(t, h.store.records[h.key].Unused)
		<-time.After(time.Hour)
		require.Nil(t, s.Ended())
	})
}

func TestReleaseAtTheOtherGatewayIsBelieved(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		s := h.a.open(t, h.key)
		hear()
		require.False(t, h.b.SessionClosed("e1", "alice", "s1", "released"), "only a census can tell")
		other, _ := h.b.Lookup(h.key)
		h.b.endLater(other, other.closed("released"))
		s.Releasing(Forgotten)
		h.a.SessionClosed("e1", "alice", "s1", "released")
		<-time.After(2 * doubtPatience)
		require.Equal(t, Forgotten, other.Ended().Cause, "allow_reconnect, as its gateway knows")
		require.Empty(t, h.store.records)
	})
}

// TestGatewaysAgree whatever happens at both of them at once.
func TestGatewaysAgree(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			moody := &moodyEngines{rand: rand.New(rand.NewPCG(seed, 3)), e: &fakeEngine{id: "e1", done: make(chan struct{}), conn: refusing{}}}
			h := &house{store: newMemoryStore(), e1: moody.e}
			limits := Limits{PerUser: func(string) int { return 5 }, PerAddress: 6, PerUserAddress: 4, Unlimited: []string{"etl"}}
			h.a, h.b = h.options(t, "a", limits), h.options(t, "b", limits)
			gateways := []*member{h.a, h.b}
			for _, g := range gateways {
				g.Engines = moody
				h.start(t, g)
				defer g.die()
			}
			var clients sync.WaitGroup
			for i := range 12 {
				clients.Go(func() { wander(t, gateways, moody, i) })
			}
			clients.Wait()
			h.a.store.setAway(false)
			h.b.store.setAway(false)
			<-time.After(5 * time.Minute) // what was late is written, what was left is swept
			h.requireAgreement(t, seed)
		})
	}
}

// wander opens, uses and ends sessions now here, now there; sometimes a gateway
// cannot reach the store.
func wander(t *testing.T, gateways []*member, moody *moodyEngines, id int) {
	user := []string{"alice", "bob", "etl"}[id%3]
	for range 15 {
		g := gateways[moody.draw(2)]
		if moody.draw(10) == 0 {
			g.store.setAway(moody.draw(2) == 0)
		}
		key := Key{user, fmt.Sprint(moody.draw(8))}
		s, _, err := g.Open(t.Context(), Request{Key: key, Address: "1.1.1.1"})
		if err != nil {
			<-time.After(time.Duration(moody.draw(100)) * time.Millisecond)
			continue
		}
		ctx, giveUp := context.WithTimeout(t.Context(), time.Duration(1+moody.draw(4000))*time.Millisecond)
		_, _ = g.Engine(ctx, s, func() {})
		giveUp()
		if cause := Cause(moody.draw(4)); cause <= Forgotten {
			gateways[moody.draw(2)].End(key, End{Cause: cause})
		}
	}
}

func (h *house) requireAgreement(t *testing.T, seed uint64) {
	t.Helper()
	for _, g := range []*member{h.a, h.b} {
		checkCounts(t, g.Manager)
		live := map[Key]bool{}
		for _, s := range g.List() {
			live[s.Key] = true
			require.True(t, s.is(h.store.records[s.Key]), "seed %d: %v at %s", seed, s.Key, g.Gateway)
			require.Equal(t, h.store.records[s.Key].EngineRef, s.ref(), "seed %d: %v at %s", seed, s.Key, g.Gateway)
		}
		for k, r := range h.store.records {
			require.Equal(t, r.Ended == nil, live[k], "seed %d: %v at %s", seed, k, g.Gateway)
			if _, end := g.Lookup(k); r.Ended != nil {
				require.Equal(t, r.Ended.Cause, end.Cause.word(), "seed %d: %v at %s", seed, k, g.Gateway)
			}
		}
		require.Empty(t, g.mu.late, "seed %d at %s", seed, g.Gateway)
	}
	require.Equal(t, h.a.count("alice"), h.b.count("alice"))
}

var _ discovery.SessionFollower = (*gatewayStore)(nil)
