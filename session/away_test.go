// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/internal/errs"
)

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
		require.NotContains(t, h.store.all(), h.key)
		pass(5 * time.Second)
		h.a.store.setAway(false)
		pass(2 * time.Second)
		require.Equal(t, "e1", h.store.all()[h.key].EngineRef)
		require.NotNil(t, h.store.all()[old].Ended)
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
		pass(time.Millisecond)
		h.e1.conn = refusing{}
		theirs := h.b.open(t, h.key)
		h.a.store.setAway(false)
		pass(3 * time.Second)
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
		pass(time.Millisecond)
		again := h.a.open(t, h.key)
		h.a.store.setAway(false)
		pass(2 * time.Second)
		require.True(t, again.is(h.store.all()[h.key]))
		hear()
		other, _ := h.b.Lookup(h.key)
		require.True(t, other.is(h.store.all()[h.key]), "not the earlier one")
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
		pass(time.Minute)
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
		pass(3 * time.Minute) // longer than the linger time
		hear()
		require.Len(t, h.b.List(), 1, "their gateway says that nobody waits for the first ones")
		_, _, err = h.a.Open(t.Context(), Request{Key: h.key})
		require.NoError(t, err)
		_, _, err = h.a.Open(t.Context(), Request{Key: Key{"alice", "left"}})
		require.NoError(t, err)
		hear()
		h.a.die()
		waiting := h.held(t, h.b)
		require.Equal(t, "b", h.store.all()[h.key].Gateway)
		pass(4 * time.Minute)
		require.NotContains(t, h.store.all(), Key{"alice", "left"})
		require.Contains(t, h.store.all(), Key{"alice", "ahead"})
		close(h.b.engines.wait)
		require.NoError(t, <-waiting)
		pass(15 * time.Minute)
		require.NotContains(t, h.store.all(), Key{"alice", "ahead"})
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
		require.Len(t, c.List(), 3)
		_, end := c.Lookup(Key{"alice", "ended"})
		require.Contains(t, end.Error("ended").Error(), "It was idle.")
		pass(3 * time.Minute)
		require.NotContains(t, h.store.all(), Key{"alice", "opening"}, "nobody came for it")
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
		require.False(t, h.store.all()[h.key].Unused)
		pass(time.Hour)
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
		pass(2 * doubtPatience)
		require.Equal(t, Forgotten, other.Ended().Cause, "allow_reconnect, as its gateway knows")
		require.Empty(t, h.store.all())
	})
}
