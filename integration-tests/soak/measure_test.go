// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery/zookeeper"
	"roundhouse/integration-tests/env"
)

// holdings are what a gateway holds at a time.
type holdings struct {
	at          time.Duration // since the begin
	goroutines  float64
	descriptors float64
	memory      float64 // resident, in MB
}

// measured are the holdings of the gateway that is not restarted any more.
type measured struct {
	work sync.WaitGroup
	all  []holdings
}

// measure follows what the last gateway holds until ctx ends, from when it is settled.
func (s *site) measure(ctx context.Context, t *testing.T) *measured {
	t.Helper()
	m := &measured{}
	lasts := s.until.Sub(s.began)
	tick := time.NewTicker(lasts / 120)
	m.work.Go(func() { // requireFlat waits
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if at := time.Since(s.began); at > time.Duration((settled+0.1)*float64(lasts)) {
				m.all = append(m.all, s.holdings(t, at))
			}
		}
	})
	return m
}

func (s *site) holdings(t *testing.T, at time.Duration) holdings {
	t.Helper()
	g := s.Gateways[len(s.Gateways)-1]
	open, err := os.ReadDir("/proc/" + strconv.Itoa(g.PID()) + "/fd")
	require.NoError(t, err)
	return holdings{at, g.Metric("go_goroutines"), float64(len(open)), float64(env.RSS(t, g.PID())) / (1 << 20)}
}

// requireFlat wants the last third of what was measured to be hardly more than the first one.
func (m *measured) requireFlat(t *testing.T) {
	t.Helper()
	m.work.Wait()
	third := len(m.all) / 3
	require.Greater(t, third, 5, "measured")
	for _, one := range []struct {
		what string
		of   func(holdings) float64
		more float64 // than in the first third; clients come and go
	}{
		{"goroutines", func(h holdings) float64 { return h.goroutines }, 60},
		{"descriptors", func(h holdings) float64 { return h.descriptors }, 20},
		{"MB of memory", func(h holdings) float64 { return h.memory }, 32},
	} {
		first, last := median(m.all[:third], one.of), median(m.all[len(m.all)-third:], one.of)
		t.Logf("%s: %.0f in the first third, %.0f in the last one, %+.1f in an hour", one.what, first, last, slope(m.all, one.of)*3600)
		require.LessOrEqual(t, last, first+one.more, one.what)
	}
}

// requireCalm wants a gateway without clients and engines to hold hardly more than it did before the
// first of them came: what is left of each fault would add up.
func (s *site) requireCalm(t *testing.T) {
	t.Helper()
	const few = 5 // such as a retry or a connection that is about to end
	var now holdings
	require.Eventually(t, func() bool {
		now = s.holdings(t, time.Since(s.began))
		return now.goroutines <= s.idle.goroutines+few && now.descriptors <= s.idle.descriptors+few
	}, 2*time.Minute, 200*time.Millisecond, "the gateway holds on to what its clients had: %v, at first %v",
		env.Lazily(func() any { return now }), s.idle)
	t.Logf("without clients and engines: %.0f goroutines, %.0f descriptors; at first %.0f and %.0f",
		now.goroutines, now.descriptors, s.idle.goroutines, s.idle.descriptors)
}

func median(all []holdings, of func(holdings) float64) float64 {
	values := make([]float64, len(all))
	for i, h := range all {
		values[i] = of(h)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// slope is by how much a figure grows in a second (least squares).
func slope(all []holdings, of func(holdings) float64) float64 {
	var x, y, xx, xy float64
	n := float64(len(all))
	for _, h := range all {
		at, value := h.at.Seconds(), of(h)
		x, y, xx, xy = x+at, y+value, xx+at*at, xy+at*value
	}
	return (n*xy - x*y) / (n*xx - x*x)
}

// requireNothingLeft wants no process but those of engines that both gateways know, and when these are
// ended, nothing in the tree but tombstones.
func (s *site) requireNothingLeft(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		drivers := env.Drivers(s.Gateways...)
		return !slices.ContainsFunc(s.Gateways, func(g *env.Gateway) bool {
			return len(g.Engines()) != len(drivers) || !slices.Equal(g.Known(), drivers)
		})
	}, 30*time.Second, 100*time.Millisecond, "there are other drivers than gateways know: %v", env.Lazily(func() any {
		return []any{env.Drivers(s.Gateways...), s.Gateways[0].Known(), s.Gateways[1].Known()}
	}))
	for _, e := range s.Gateways[0].Engines() {
		s.Gateways[0].KillEngine(e.RefID)
	}
	store := s.Store()
	require.Eventually(t, func() bool {
		engines, err := store.Engines(t.Context())
		return err == nil && len(engines) == 0 && len(env.Drivers(s.Gateways...)) == 0
	}, 30*time.Second, 100*time.Millisecond, "engines are left: %v", env.Lazily(func() any { return env.Drivers(s.Gateways...) }))
	require.Eventually(t, func() bool { return len(s.liveSessions(t, store)) == 0 }, 30*time.Second, 100*time.Millisecond, "sessions are left: %v",
		env.Lazily(func() any { return s.liveSessions(t, store) }))
	require.Eventually(t, func() bool { return len(store.Gateways()) == 2 }, zooSession()+30*time.Second, 100*time.Millisecond,
		"nodes of killed gateways are left: %v", env.Lazily(func() any { return store.Gateways() }))
}

// liveSessions are the sessions whose record is no tombstone, or that a gateway has.
func (s *site) liveSessions(t *testing.T, store *zookeeper.Store) (live []string) {
	t.Helper()
	records, err := store.Sessions(t.Context())
	require.NoError(t, err)
	for _, r := range records {
		if r.Ended == nil {
			live = append(live, "record of "+r.User+" "+r.SessionID+" on "+r.EngineRef)
		}
	}
	for i, g := range s.Gateways {
		for _, session := range g.Sessions() {
			live = append(live, fmt.Sprintf("session of gateway %d: %+v", i, session))
		}
	}
	return live
}
