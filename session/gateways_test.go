// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/engine"
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

func (f *sharedEngines) Expect(context.Context, string, time.Duration) {}

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

// pass lets time pass on the bubble's clock, and all come to rest.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// hear waits until the gateways have told each other.
func hear() { pass(2*lag + time.Millisecond) }

func (g *member) count(user string) int {
	g.Manager.mu.Lock()
	defer g.Manager.mu.Unlock()
	return g.Manager.mu.live.counts[pair{user, ""}]
}
