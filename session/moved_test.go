// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGuessGivesWayToWhatAnotherGatewayKnows, though that has not been told here yet.
func TestGuessGivesWayToWhatAnotherGatewayKnows(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.a.open(t, h.key)
		hear()
		s, _ := h.b.Lookup(h.key)
		require.True(t, h.a.End(h.key, End{Cause: Released, Why: "The client released it."}))
		h.b.End(h.key, End{Cause: Lost, Why: "Perhaps it was idle.", Guess: true})
		require.Equal(t, Released, s.Ended().Cause)
		require.Equal(t, "The client released it.", s.Ended().Why)
	})
}

// TestEngineThatIsStoppedEndsSessionsThatWereJustOpenedElsewhere: their clients hear why it was stopped, not
// that its process was killed.
func TestEngineThatIsStoppedEndsSessionsThatWereJustOpenedElsewhere(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.a.open(t, h.key)
		hear()
		just := Key{"alice", "just opened"}
		h.a.open(t, just)
		h.e1.err = errors.New("User root killed it over REST")
		h.b.EngineStopping("e1")
		require.Equal(t, "User root killed it over REST.", h.store.all()[just].Ended.Why)
	})
}

// TestEngineIsAskedWhereItsClientMayHaveBeenElsewhere: before the first call of a session that was
// opened ahead, and of one whose client did not wait, because another gateway may have set its options.
func TestEngineIsAskedWhereItsClientMayHaveBeenElsewhere(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		ahead, err := h.a.OpenAhead(t.Context(), Request{Key: h.key, Address: "1.1.1.1"}, func() {})
		require.NoError(t, err)
		hear()
		require.Zero(t, h.a.engines.asked)
		_, err = h.a.Engine(t.Context(), ahead, func() {})
		require.NoError(t, err)
		require.Equal(t, 1, h.a.engines.asked)

		h.a.open(t, Key{"alice", "s2"})
		require.Equal(t, 1, h.a.engines.asked, "nobody else has had it")

		left, _, err := h.a.Open(t.Context(), Request{Key: Key{"alice", "s3"}, Address: "1.1.1.1"})
		require.NoError(t, err)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = h.a.Engine(gone, left, func() {})
		require.Error(t, err)
		_, err = h.a.Engine(t.Context(), left, func() {})
		require.NoError(t, err)
		require.Equal(t, 2, h.a.engines.asked)
	})
}
