// SPDX-License-Identifier: Apache-2.0

package session

import (
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/internal/errs"
)

func TestForWhomASessionWasOpened(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		close(r.engines.ready)
		var opened, ended []string
		r.OnOpened = func(s *Session, refID string) { opened = append(opened, s.OpenedBy()+" for "+s.User+" on "+refID) }
		r.OnEnded = func(s *Session, e End) { ended = append(ended, s.OpenedBy()+" for "+s.User+": "+e.Why) }
		_, known := r.ActsFor("portal", "s1")
		require.False(t, known)
		s, _, err := r.Open(t.Context(), Request{Key: r.key, RealUser: "portal"})
		require.NoError(t, err)
		_, err = r.Engine(t.Context(), s, func() {})
		require.NoError(t, err)
		require.Equal(t, "portal", r.store.all()[r.key].RealUser)
		user, known := r.ActsFor("portal", "s1")
		require.True(t, known)
		require.Equal(t, "alice", user)
		_, known = r.ActsFor("alice", "s1")
		require.False(t, known, "she has opened none")
		_, _, err = r.Open(t.Context(), Request{Key: Key{"portal", "s1"}})
		require.True(t, errs.Is(err, errs.Conflict), "one hand, one id, one user: %v", err)

		clone, err := r.Clone(t.Context(), s, "s2")
		require.NoError(t, err)
		require.Equal(t, "portal", clone.OpenedBy())
		user, _ = r.ActsFor("portal", "s2")
		require.Equal(t, "alice", user)

		require.True(t, r.End(r.key, End{Cause: Forgotten, Why: "released"}))
		user, known = r.ActsFor("portal", "s1")
		require.True(t, known, "a later call must not be one of portal's own")
		require.Equal(t, "alice", user)
		require.Equal(t, []string{"portal for alice on e1", "portal for alice on e1"}, opened)
		require.Equal(t, []string{"portal for alice: released"}, ended)
	})
}

func TestForWhomIsKnownAfterARestart(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		close(r.engines.ready)
		s, _, err := r.Open(t.Context(), Request{Key: r.key, RealUser: "portal"})
		require.NoError(t, err)
		_, err = r.Engine(t.Context(), s, func() {})
		require.NoError(t, err)
		next, err := NewManager(r.Options)
		require.NoError(t, err)
		defer next.stop()
		require.NoError(t, next.Restore(t.Context()))
		user, known := next.ActsFor("portal", "s1")
		require.True(t, known)
		require.Equal(t, "alice", user)
		next.stop()
		next.work.Wait()
	})
}
