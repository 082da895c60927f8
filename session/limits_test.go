// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/discovery"
	"roundhouse/engine"
	"roundhouse/internal/errs"
)

func limited(t *testing.T, l Limits) *Manager {
	t.Helper()
	store := newMemoryStore()
	m, err := NewManager(Options{
		Gateway: "this", Lock: store, Follow: store, Box: box(t),
		Engines: newFakeEngines(), Store: store,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), TombstoneKeep: time.Hour, Tombstones: 10, Limits: l,
	})
	require.NoError(t, err)
	return m
}

func open(m *Manager, user, address string, n int) error {
	_, _, err := m.Open(context.Background(), Request{Key: Key{user, fmt.Sprint(user, address, n)}, Address: address})
	return err
}

// TestEachLimitCountsItsOwn and its refusal says what to change and what to do.
func TestEachLimitCountsItsOwn(t *testing.T) {
	perUser := func(string) int { return 3 }
	for name, c := range map[string]struct {
		limits Limits
		open   [][2]string // user and address
		refuse [2]string
		key    string
		allow  [][2]string
	}{
		"user": {Limits{PerUser: perUser}, [][2]string{{"a", "1.1.1.1"}, {"a", "2.2.2.2"}, {"a", ""}}, [2]string{"a", "3.3.3.3"},
			"kyuubi.server.limit.connections.per.user)", [][2]string{{"b", "1.1.1.1"}}},
		"address": {Limits{PerAddress: 2}, [][2]string{{"a", "1.1.1.1"}, {"b", "::ffff:1.1.1.1"}}, [2]string{"c", "1.1.1.1"},
			"kyuubi.server.limit.connections.per.ipaddress)", [][2]string{{"a", "2.2.2.2"}, {"c", ""}}},
		"user at an address": {Limits{PerUserAddress: 1}, [][2]string{{"a", "1.1.1.1"}}, [2]string{"a", "1.1.1.1"},
			"kyuubi.server.limit.connections.per.user.ipaddress)", [][2]string{{"a", "2.2.2.2"}, {"b", "1.1.1.1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			m := limited(t, c.limits)
			for i, o := range c.open {
				require.NoError(t, open(m, o[0], o[1], i))
			}
			err := open(m, c.refuse[0], c.refuse[1], 99)
			require.Equal(t, codes.ResourceExhausted, status.Code(err))
			require.ErrorContains(t, err, c.key)
			require.ErrorContains(t, err, "spark.stop()", "what to do")
			for i, o := range c.allow {
				require.NoError(t, open(m, o[0], o[1], 100+i))
			}
		})
	}
}

func TestUnlimitedUsersAreNotCountedAndDeniedOnesRefused(t *testing.T) {
	m := limited(t, Limits{PerAddress: 1, PerUserAddress: 1, Unlimited: []string{"etl", "both"}, DeniedUsers: []string{"eve", "both"}, DeniedAddresses: []string{"6.6.6.6", "fe80::6"}})
	for i := range 5 {
		require.NoError(t, open(m, "etl", "1.1.1.1", i))
	}
	require.NoError(t, open(m, "alice", "1.1.1.1", 0), "what is not counted takes nobody's place")
	require.NoError(t, m.Limits.Denied("alice", "1.1.1.1"))
	for user, address := range map[string]string{"eve": "2.2.2.2", "both": "3.3.3.3", "bob": "::ffff:6.6.6.6", "ann": "fe80::6%eth1"} {
		err := m.Limits.Denied(user, address)
		require.Equal(t, codes.PermissionDenied, status.Code(err), user)
		require.ErrorContains(t, err, "deny.list")
	}
}

// TestAddressesOfOneNetworkCountAsOne: who has one IPv6 address has 2^64.
func TestAddressesOfOneNetworkCountAsOne(t *testing.T) {
	m := limited(t, Limits{PerAddress: 2})
	require.NoError(t, open(m, "alice", "2001:db8::1", 0))
	require.NoError(t, open(m, "bob", "2001:db8::2", 0))
	require.ErrorContains(t, open(m, "eve", "2001:db8::3", 0), "2 sessions are open from 2001:db8::/64")
	require.NoError(t, open(m, "eve", "2001:db8:0:1::3", 0))
}

// moodyEngines fails some launches and lets others hang until their call ends.
type moodyEngines struct {
	mu     sync.Mutex
	rand   *rand.Rand
	e      *fakeEngine
	leases int
}

func (m *moodyEngines) draw(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rand.IntN(n)
}

func (m *moodyEngines) lease() Lease {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leases++
	return &countedLease{m: m}
}

// held is how many leases were not released.
func (m *moodyEngines) held() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.leases
}

type countedLease struct {
	m    *moodyEngines
	once sync.Once
}

func (l *countedLease) Engine() Engine { return l.m.e }
func (l *countedLease) Release() {
	l.once.Do(func() { l.m.mu.Lock(); l.m.leases--; l.m.mu.Unlock() })
}

func (m *moodyEngines) Acquire(ctx context.Context, _ engine.Spec) (Lease, error) {
	switch m.draw(4) {
	case 0:
		return nil, errs.New(errs.EngineLaunchFailed, "No.")
	case 1:
		<-ctx.Done()
		return nil, context.Cause(ctx)
	case 2:
		<-time.After(time.Duration(m.draw(2000)) * time.Millisecond) // on the bubble's clock
	}
	return m.lease(), nil
}

func (m *moodyEngines) Resume(string) (Lease, bool) {
	if m.draw(4) == 0 {
		return nil, false
	}
	return m.lease(), true
}

func (m *moodyEngines) Census(context.Context, string) (engine.Census, error) {
	return engine.Census{}, errors.New("silent")
}

func (m *moodyEngines) Expect(context.Context, string, time.Duration) {}

func (m *moodyEngines) Progress(engine.Spec) (string, bool) { return "", false }

// moodyStore fails some writes.
type moodyStore struct {
	*memoryStore
	moody *moodyEngines
}

func (s *moodyStore) mood() error {
	switch s.moody.draw(8) {
	case 0:
		return errors.New("disk full")
	case 1:
		return discovery.ErrFull
	case 2:
		return discovery.ErrAway
	}
	return nil
}

func (s *moodyStore) AddSession(ctx context.Context, r discovery.SessionRecord) error {
	if err := s.mood(); err != nil {
		return err
	}
	return s.memoryStore.AddSession(ctx, r)
}

func (s *moodyStore) PutSession(ctx context.Context, r discovery.SessionRecord) error {
	if err := s.mood(); err != nil {
		return err
	}
	return s.memoryStore.PutSession(ctx, r)
}

func (s *moodyStore) DeleteSession(ctx context.Context, r discovery.SessionRecord) error {
	if err := s.mood(); err != nil {
		return err
	}
	return s.memoryStore.DeleteSession(ctx, r)
}

// TestCountsReturnToZero whatever happens: opens, launches that fail or hang,
// calls that are given up, stores that fail, clones, and every kind of end, all
// at once. No limit is ever passed.
func TestCountsReturnToZero(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			moody := &moodyEngines{rand: rand.New(rand.NewPCG(seed, 7)), e: &fakeEngine{id: "e1", done: make(chan struct{})}}
			store := &moodyStore{newMemoryStore(), moody}
			m, err := NewManager(Options{
				Gateway: "this", Lock: store, Follow: store, Box: box(t),
				Engines: moody, Store: store, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
				Hold: 5 * time.Second, Linger: 10 * time.Second, Unused: time.Hour, TombstoneKeep: time.Hour, Tombstones: 100,
				Limits: Limits{PerUser: func(string) int { return 5 }, PerAddress: 6, PerUserAddress: 4, Unlimited: []string{"etl"}},
			})
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			over := make(chan error, 1)
			go func() { over <- m.Run(ctx) }()
			var clients sync.WaitGroup
			for i := range 12 {
				clients.Go(func() { restless(t, m, moody, i) })
			}
			clients.Wait()
			for _, s := range m.List() {
				m.End(s.Key, End{Cause: Released})
			}
			synctest.Wait() // for a sweep that has just begun
			m.mu.Lock()
			require.Empty(t, m.mu.live.counts, "seed %d", seed)
			require.Empty(t, m.mu.live.sessions, "seed %d", seed)
			require.Empty(t, m.mu.live.counted, "seed %d", seed)
			require.Empty(t, m.mu.live.spaces, "seed %d", seed)
			m.mu.Unlock()
			require.Zero(t, moody.held(), "seed %d", seed)
			<-time.After(time.Minute) // what failed is written
			for k, r := range store.all() {
				require.NotNil(t, r.Ended, "seed %d: %v", seed, k)
				_, end := m.Lookup(k)
				require.Equal(t, r.Ended.Cause, end.Cause.word(), "seed %d: %v", seed, k)
			}
			require.Empty(t, m.mu.late, "seed %d", seed)
			cancel()
			require.NoError(t, <-over)
		})
	}
}

// restless is a client that opens, clones and ends sessions as it likes.
func restless(t *testing.T, m *Manager, moody *moodyEngines, id int) {
	user := []string{"alice", "bob", "etl"}[id%3]
	address := []string{"1.1.1.1", "2.2.2.2", ""}[id/3%3]
	for n := range 15 {
		key := Key{user, fmt.Sprint(moody.draw(8))}
		s, _, err := m.Open(t.Context(), Request{Key: key, Address: address})
		checkLimits(t, m)
		if err != nil {
			continue
		}
		ctx, giveUp := context.WithTimeout(t.Context(), time.Duration(1+moody.draw(4000))*time.Millisecond)
		_, err = m.Engine(ctx, s, func() {})
		giveUp()
		if err == nil && moody.draw(2) == 0 {
			_, _ = m.Clone(t.Context(), s, fmt.Sprint("clone", id, n))
		}
		if cause := Cause(moody.draw(4)); cause <= Forgotten {
			m.End(key, End{Cause: cause})
		}
	}
}

// checkCounts compares the counts with the sessions that live.
func checkCounts(t *testing.T, m *Manager) (want map[pair]int) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	want = map[pair]int{}
	for _, s := range m.mu.live.sessions {
		if s.User == "etl" || !m.mu.live.counted[s] {
			continue
		}
		want[pair{s.User, ""}]++
		if s.Address != "" {
			want[pair{s.User, s.Address}]++
			want[pair{"", s.Address}]++
		}
	}
	if !maps.Equal(want, m.mu.live.counts) {
		t.Errorf("counted %v, there are %v", m.mu.live.counts, want)
	}
	return want
}

// checkLimits compares the counts with the limits, too.
func checkLimits(t *testing.T, m *Manager) {
	t.Helper()
	for p, n := range checkCounts(t, m) {
		most := map[[2]bool]int{{true, false}: 5, {false, true}: 6, {true, true}: 4}[[2]bool{p.user != "", p.address != ""}]
		if n > most {
			t.Errorf("%v has %d of %d", p, n, most)
		}
	}
}

// TestSessionOfAFailedRouteIsGone: its place is free at once.
func TestSessionOfAFailedRouteIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		close(r.engines.ready)
		s := r.open()
		r.store.setFail(errors.New("disk full"))
		_, err := r.Engine(t.Context(), s, func() {})
		require.ErrorContains(t, err, "could not be stored")
		require.Empty(t, r.List())
		require.EqualValues(t, 1, r.engines.released.Load())
	})
}

func TestUploadsAreCountedOnceAndTakenBack(t *testing.T) {
	s := newSession(Request{}, time.Now())
	var all sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for range 100 {
		all.Go(func() {
			if _, ok := s.TakeUpload(3, 100); ok {
				mu.Lock()
				taken++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	require.Equal(t, 33, taken)
	s.ReturnUpload(99)
	used, ok := s.TakeUpload(100, 100)
	require.True(t, ok)
	require.Zero(t, used)
}
