// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/conf"
	"roundhouse/engine"
	"roundhouse/internal/errs"
)

func TestSessionIsServedByTheOtherGateway(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		options := map[string]string{"spark.sql.ansi.enabled": "true"}
		spec := engine.Spec{Namespace: "kyuubi", ShareLevel: engine.Connection, Owner: "alice", LaunchUser: "alice", Subdomain: "x", Python: "/py", Options: options}
		s, _, err := h.a.Open(t.Context(), Request{Key: h.key, RealUser: "portal", Client: "c", Address: "1.1.1.1",
			Plan: Plan{Spec: spec, Options: conf.Options{Session: options, Name: "n"}}})
		require.NoError(t, err)
		require.Empty(t, h.store.all()[h.key].EngineRef, "recorded before it has its engine")
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
					require.Equal(t, h.store.all()[k].EngineRef, ref)
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
		require.Equal(t, "lost", h.store.all()[h.key].Ended.Cause)
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
		for _, r := range h.store.all() {
			members[r.Spec.Subdomain]++
		}
		require.Len(t, members, 4)
		for name, n := range members {
			require.Contains(t, []int{10, 11}, n, name)
		}
	})
}
