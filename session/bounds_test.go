// SPDX-License-Identifier: Apache-2.0

package session

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/internal/errs"
)

// TestTellerWaitsForNoWriter: one gateway ends a session while another one writes it, and that
// one's write waits for what is being told.
func TestTellerWaitsForNoWriter(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		_, err := h.a.OpenAhead(t.Context(), Request{Key: h.key}, func() {})
		require.NoError(t, err)
		hear()
		s, _ := h.b.Lookup(h.key)
		began := time.Now()
		h.b.store.telling <- struct{}{} // somebody tells something else
		var writer sync.WaitGroup
		writer.Go(func() { s.Begin()() }) // its first use is written
		synctest.Wait()
		require.False(t, h.store.all()[h.key].Unused)
		require.True(t, h.a.End(h.key, End{Cause: Lost, Why: "It was closed."}))
		<-h.b.store.telling
		writer.Wait()
		require.True(t, h.b.catchUp(t.Context()))
		require.Equal(t, "It was closed.", s.Ended().Why)
		require.Less(t, time.Since(began), 2*lag)
	})
}

// TestEngineEndsWithoutTheStore: that many sessions end with it takes no longer than one.
func TestEngineEndsWithoutTheStore(t *testing.T) {
	for name, c := range map[string]struct {
		end   func(h *house)
		bound time.Duration
	}{
		"engine dies":     {func(h *house) { close(h.e1.done) }, knownPatience},
		"engine is ended": {func(h *house) { h.a.EngineStopping("e1") }, storeTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			twoGateways(t, Limits{}, func(t *testing.T, h *house) {
				h.a.Tombstones, h.b.Tombstones = 2000, 2000
				for i := range 1000 {
					h.a.open(t, Key{"alice", fmt.Sprint(i)})
				}
				hear()
				h.a.store.setSilent(true)
				h.e1.err = errors.New("Engine e1 was killed")
				began := time.Now()
				c.end(h)
				for len(h.a.List()) > 0 {
					pass(10 * time.Millisecond)
				}
				require.LessOrEqual(t, time.Since(began), c.bound+20*time.Millisecond)
				h.a.store.setSilent(false)
				pass(10 * time.Second)
				require.Empty(t, h.b.List())
				for _, r := range h.store.all() {
					require.Equal(t, "Engine e1 was killed.", r.Ended.Why)
				}
			})
		})
	}
}

// TestGuessIsAskedAboutOneSession, whatever others do meanwhile: calls of many fail at once.
func TestGuessIsAskedAboutOneSession(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.a.open(t, h.key)
		hear()
		_, err := h.b.store.Lock(t.Context(), "/sessions/known/b")
		require.NoError(t, err)
		h.a.End(h.key, End{Cause: Lost, Why: "An administrator ended it."})
		began := time.Now()
		require.False(t, h.b.End(h.key, End{Cause: Lost, Why: "Engine e1 died.", Guess: true}))
		require.Zero(t, time.Since(began))
		_, end := h.b.Lookup(h.key)
		require.Equal(t, "An administrator ended it.", end.Why)
	})
}

func TestOnlyWhatIsKnownOfAnEngineEndsItsSession(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.gone.Store("", true)
		_, _, err := h.a.Open(t.Context(), Request{Key: h.key})
		require.NoError(t, err)
		hear()
		s, _ := h.b.Lookup(h.key)
		require.False(t, h.b.lostTrack(t.Context(), s), "it has no engine")
		first, _ := h.a.Lookup(h.key)
		_, err = h.a.Engine(t.Context(), first, func() {})
		require.NoError(t, err)
		require.False(t, s.Routed())
		require.False(t, h.b.lostTrack(t.Context(), s), "it becomes known meanwhile")
		require.Equal(t, "e1", s.Engine().RefID())
		require.Nil(t, s.Ended())
	})
}

// TestGatewayThatIsNotSeenForAMoment keeps the sessions that it opens when another one starts.
func TestGatewayThatIsNotSeenForAMoment(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.a.engines.wait = make(chan struct{})
		_, _, err := h.a.Open(t.Context(), Request{Key: h.key})
		require.NoError(t, err)
		waiting := h.held(t, h.a)
		h.dead.Store("a", true)
		c := h.options(t, "c", Limits{})
		h.start(t, c)
		defer c.die()
		hear()
		h.dead.Delete("a")
		close(h.a.engines.wait)
		require.NoError(t, <-waiting)
		require.Equal(t, "e1", h.store.all()[h.key].EngineRef)
	})
}

// TestCallThatWaitsKeepsItsSession, also where the gateway dies that opens it.
func TestCallThatWaitsKeepsItsSession(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.a.engines.wait, h.b.engines.wait = make(chan struct{}), make(chan struct{})
		_, _, err := h.a.Open(t.Context(), Request{Key: h.key})
		require.NoError(t, err)
		waiting := h.held(t, h.b)
		h.a.die()
		c := h.options(t, "c", Limits{})
		h.start(t, c)
		defer c.die()
		pass(5 * time.Minute)
		require.Equal(t, "b", h.store.all()[h.key].Gateway)
		close(h.b.engines.wait)
		require.NoError(t, <-waiting)
	})
}

// TestLimitHoldsWhereALockIsLost: others may have counted meanwhile.
func TestLimitHoldsWhereALockIsLost(t *testing.T) {
	twoGateways(t, Limits{PerUser: func(string) int { return 2 }}, func(t *testing.T, h *house) {
		open := func(g *member, id string) error {
			_, _, err := g.Open(t.Context(), Request{Key: Key{"alice", id}})
			return err
		}
		h.a.store.lose(func() {})
		require.NoError(t, open(h.a, "first"), "there is room")
		h.a.store.lose(func() { require.NoError(t, open(h.b, "other")) })
		require.Equal(t, codes.ResourceExhausted, status.Code(open(h.a, "second")))
		hear()
		require.Len(t, h.store.all(), 2)
		require.Equal(t, 2, h.a.count("alice"))
		require.Equal(t, 2, h.b.count("alice"))
	})
}

func TestEngineThatCannotBeUsedHere(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.a.engines.learn(&fakeEngine{id: "far", done: make(chan struct{})})
		h.a.engines.launch = "far"
		h.b.Unusable = func(refID string) error { return errors.New(refID + " has no relay") }
		h.a.open(t, h.key)
		hear()
		began := time.Now()
		err := <-h.held(t, h.b)
		require.True(t, errs.Is(err, errs.EngineElsewhere), "%v", err)
		require.ErrorContains(t, err, "far has no relay")
		require.Zero(t, time.Since(began), "waiting does not help")
		s, _ := h.b.Lookup(h.key)
		require.NotNil(t, s, "it goes on at the other gateway")
	})
}

func TestEngineWaitsForTheClientOfASessionOpenedAhead(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		close(r.engines.ready)
		_, err := r.OpenAhead(t.Context(), Request{Key: r.key}, func() {})
		require.NoError(t, err)
		require.Equal(t, "e1 for "+r.Unused.String(), <-r.engines.expected)
	})
}

// TestSeen: a gateway knows of the calls that it carries.
func TestSeen(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		s, err := h.a.OpenAhead(t.Context(), Request{Key: h.key}, func() {})
		require.NoError(t, err)
		hear()
		other, _ := h.b.Lookup(h.key)
		require.True(t, s.Seen())
		require.True(t, other.Seen(), "nobody has used it")
		require.Equal(t, "a", other.Gateway())
		other.Begin()()
		hear()
		require.True(t, other.Seen())
		require.False(t, s.Seen())
	})
}
