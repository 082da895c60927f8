// SPDX-License-Identifier: Apache-2.0

package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/internal/errs"
)

// TestLateEndSparesAnotherSessionOfItsKey: while one gateway cannot reach the store a session
// opens and ends there, and another one of its key opens elsewhere, on any engine.
func TestLateEndSparesAnotherSessionOfItsKey(t *testing.T) {
	for _, ref := range []string{"e1", "e2"} {
		for name, end := range map[string]End{"lost": {Cause: Lost, Why: "It was idle."}, "forgotten": {Cause: Forgotten}} {
			t.Run(name+" beside one on "+ref, func(t *testing.T) {
				twoGateways(t, Limits{}, func(t *testing.T, h *house) {
					h.b.engines.launch = ref
					h.a.store.setAway(true)
					h.a.open(t, h.key)
					require.True(t, h.a.End(h.key, end))
					pass(time.Millisecond)
					theirs := h.b.open(t, h.key)
					h.a.store.setAway(false)
					pass(3 * time.Second)
					h.requireOne(t, theirs)
				})
			})
		}
	}
}

// requireOne fails the test unless s is the one session of its key at both gateways.
func (h *house) requireOne(t *testing.T, s *Session) {
	t.Helper()
	require.Nil(t, s.Ended())
	r := h.store.all()[s.Key]
	require.True(t, s.is(r))
	require.Nil(t, r.Ended)
	require.Equal(t, s.ref(), r.EngineRef)
	for _, g := range []*member{h.a, h.b} {
		here, _ := g.Lookup(s.Key)
		require.NotNil(t, here, g.Gateway)
		require.True(t, here.is(r), g.Gateway)
		require.Equal(t, r.EngineRef, here.ref(), g.Gateway)
		require.Empty(t, g.Manager.mu.late, g.Gateway)
	}
}

// TestLateEndSparesWhoWentOn with the same session, on an engine of its own.
func TestLateEndSparesWhoWentOn(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.a.engines.wait = make(chan struct{})
		h.b.engines.launch = "e2"
		_, _, err := h.a.Open(t.Context(), Request{Key: h.key})
		require.NoError(t, err)
		hear()
		waiting := h.held(t, h.a)
		h.a.store.setAway(true)
		h.a.engines.fail = errs.New(errs.EngineLaunchFailed, "No memory.")
		close(h.a.engines.wait)
		require.ErrorContains(t, <-waiting, "No memory.")
		require.NoError(t, <-h.held(t, h.b))
		theirs, _ := h.b.Lookup(h.key)
		h.a.store.setAway(false)
		pass(3 * time.Second)
		h.requireOne(t, theirs)
	})
}

// TestFailedOpeningSparesTheSessionInItsWay, though nobody could look whose record that is.
func TestFailedOpeningSparesTheSessionInItsWay(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		theirs := h.b.open(t, h.key)
		h.a.store.setBlind(true)
		_, _, err := h.a.Open(t.Context(), Request{Key: h.key})
		require.Error(t, err)
		h.a.store.setBlind(false)
		pass(3 * time.Second)
		h.requireOne(t, theirs)
	})
}

// TestKeyThatIsTakenAgainSparesALaterSession: the end of the first one is still to be written, and
// its key has been free elsewhere.
func TestKeyThatIsTakenAgainSparesALaterSession(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.a.open(t, h.key)
		hear()
		h.a.store.setAway(true)
		require.True(t, h.a.End(h.key, End{Cause: Forgotten}))
		pass(time.Millisecond)
		again := h.a.open(t, h.key)
		pass(time.Millisecond)
		require.True(t, h.b.End(h.key, End{Cause: Forgotten}))
		theirs := h.b.open(t, h.key)
		h.a.store.setAway(false)
		pass(3 * time.Second)
		require.NotNil(t, again.Ended())
		h.requireOne(t, theirs)
	})
}

// TestKeyThatIsTakenAgainSparesAnEarlierSession: the first one has ended elsewhere, too, and the next one
// there is older than the one that this gateway opens.
func TestKeyThatIsTakenAgainSparesAnEarlierSession(t *testing.T) {
	for name, rounds := range map[string]int{"once": 1, "again and again": 3} {
		t.Run(name, func(t *testing.T) {
			twoGateways(t, Limits{}, func(t *testing.T, h *house) {
				h.a.open(t, h.key)
				hear()
				h.a.store.setAway(true)
				require.True(t, h.a.End(h.key, End{Cause: Forgotten}))
				require.True(t, h.b.End(h.key, End{Cause: Forgotten}))
				pass(time.Millisecond)
				theirs := h.b.open(t, h.key)
				for range rounds - 1 {
					pass(time.Millisecond)
					h.a.open(t, h.key)
					require.True(t, h.a.End(h.key, End{Cause: Forgotten}))
				}
				pass(time.Millisecond)
				again := h.a.open(t, h.key)
				h.a.store.setAway(false)
				pass(3 * time.Second)
				require.NotNil(t, again.Ended())
				h.requireOne(t, theirs)
			})
		})
	}
}

// TestFirstEndCounts, though this gateway could not hear of it: its guess is late.
func TestFirstEndCounts(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.a.open(t, h.key)
		hear()
		h.a.store.setAway(true)
		require.True(t, h.b.End(h.key, End{Cause: Lost, Why: "User alice was disabled by root."}))
		pass(time.Millisecond)
		require.True(t, h.a.End(h.key, End{Cause: Lost, Why: "Engine e1 died.", Guess: true}))
		h.a.store.setAway(false)
		pass(3 * time.Second)
		require.Equal(t, "User alice was disabled by root.", h.store.all()[h.key].Ended.Why)
		for _, g := range []*member{h.a, h.b} {
			_, end := g.Lookup(h.key)
			require.Equal(t, "User alice was disabled by root.", end.Why, g.Gateway)
			require.Empty(t, g.Manager.mu.late, g.Gateway)
		}
	})
}

func TestCloseOfWhatAnotherGatewayMayHave(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		require.Equal(t, codes.NotFound, status.Code(h.a.Close(t.Context(), h.key, "")))
		h.b.open(t, h.key)
		h.a.store.setAway(true)
		require.Equal(t, codes.Unavailable, status.Code(h.a.Close(t.Context(), h.key, "")))
	})
}
