// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

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
			pass(5 * time.Minute) // what was late is written, what was left is swept
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
			require.True(t, s.is(h.store.all()[s.Key]), "seed %d: %v at %s", seed, s.Key, g.Gateway)
			require.Equal(t, h.store.all()[s.Key].EngineRef, s.ref(), "seed %d: %v at %s", seed, s.Key, g.Gateway)
		}
		for k, r := range h.store.all() {
			require.Equal(t, r.Ended == nil, live[k], "seed %d: %v at %s", seed, k, g.Gateway)
			if _, end := g.Lookup(k); r.Ended != nil {
				require.Equal(t, r.Ended.Cause, end.Cause.word(), "seed %d: %v at %s", seed, k, g.Gateway)
			}
		}
		require.Empty(t, g.mu.late, "seed %d at %s", seed, g.Gateway)
	}
	require.Equal(t, h.a.count("alice"), h.b.count("alice"))
}
