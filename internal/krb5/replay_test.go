// SPDX-License-Identifier: Apache-2.0

package krb5

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestReplaysAreForgotten: what is kept is bounded by the time in which an
// authenticator would be accepted.
func TestReplaysAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := newReplays(filepath.Join(t.TempDir(), "replays"))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Join(r.dir, "not-ours"), 0o700))
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error)
		go func() { over <- r.run(ctx) }() // waited for below
		for range 30 {
			now := time.Now()
			require.NoError(t, r.first(now, []byte(now.String())))
			require.Error(t, r.first(now, []byte(now.String())))
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		left, err := os.ReadDir(r.dir)
		require.NoError(t, err)
		require.LessOrEqual(t, len(left), 9, "more than the window")
		require.GreaterOrEqual(t, len(left), 6, "less than the window")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		left, err = os.ReadDir(r.dir)
		require.NoError(t, err)
		require.Len(t, left, 1, "only what is not ours")
		cancel()
		require.NoError(t, <-over)
	})
}

func TestAStaleRecordDoesNotCount(t *testing.T) {
	r, err := newReplays(filepath.Join(t.TempDir(), "replays"))
	require.NoError(t, err)
	require.ErrorContains(t, r.first(time.Now().Add(-Skew-time.Second), []byte("x")), "too old")
}
