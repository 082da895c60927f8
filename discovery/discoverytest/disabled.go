// SPDX-License-Identifier: Apache-2.0

package discoverytest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
)

// Disabled is the suite of discovery.DisabledStore.
func Disabled(t *testing.T, open func(t *testing.T) discovery.DisabledStore) {
	t.Run("records read back, in order, and are replaced", func(t *testing.T) { disabledReadBack(t, open(t)) })
	t.Run("delete", func(t *testing.T) { disabledDelete(t, open(t)) })
	t.Run("unusable records are refused", func(t *testing.T) { disabledUnusable(t, open(t)) })
	t.Run("an ended context stops a call", func(t *testing.T) { disabledObeyContext(t, open(t)) })
}

func disabledReadBack(t *testing.T, s discovery.DisabledStore) {
	all, err := s.Disabled(t.Context())
	require.NoError(t, err)
	require.Empty(t, all)
	bob := discovery.DisabledUser{User: "bob", By: "root", Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Reason: "left"}
	alice := discovery.DisabledUser{User: "alice", By: "olga", Since: bob.Since}
	for _, r := range []discovery.DisabledUser{bob, alice, {User: "bob", By: "x", Since: bob.Since}, bob} {
		require.NoError(t, s.PutDisabled(t.Context(), r))
	}
	all, err = s.Disabled(t.Context())
	require.NoError(t, err)
	require.Equal(t, []discovery.DisabledUser{alice, bob}, all)
}

func disabledDelete(t *testing.T, s discovery.DisabledStore) {
	require.NoError(t, s.PutDisabled(t.Context(), discovery.DisabledUser{User: "bob"}))
	for range 2 {
		require.NoError(t, s.DeleteDisabled(t.Context(), "bob"))
	}
	all, err := s.Disabled(t.Context())
	require.NoError(t, err)
	require.Empty(t, all)
}

func disabledUnusable(t *testing.T, s discovery.DisabledStore) {
	for _, user := range []string{"", "a\x00b", strings.Repeat("a", 1<<17)} {
		require.ErrorIs(t, s.PutDisabled(t.Context(), discovery.DisabledUser{User: user}), discovery.ErrInvalid, "%.10q", user)
	}
}

func disabledObeyContext(t *testing.T, s discovery.DisabledStore) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.PutDisabled(ctx, discovery.DisabledUser{User: "bob"}), context.Canceled)
	require.ErrorIs(t, s.DeleteDisabled(ctx, "bob"), context.Canceled)
	_, err := s.Disabled(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
