// SPDX-License-Identifier: Apache-2.0

package krb5

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/internal/errs"
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

// TestTheFolderIsOurs: another user who is first with the folder, or with a link
// in its place, does not own the memory; where it is gone it is made again.
func TestTheFolderIsOurs(t *testing.T) {
	minute := func(at time.Time) string { return strconv.FormatInt(at.Unix()/60, 10) }
	now := time.Now()
	for name, prepare := range map[string]func(dir, own string) error{
		"open to all, with the minute": func(dir, _ string) error {
			return errors.Join(os.MkdirAll(filepath.Join(dir, minute(now)), 0o700), os.Chmod(dir, 0o777))
		},
		"a link": func(dir, own string) error { return os.Symlink(own, dir) },
		"a minute that leads elsewhere": func(dir, own string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.Symlink(own, filepath.Join(dir, minute(now))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, own := filepath.Join(t.TempDir(), "replays"), filepath.Join(t.TempDir(), "own")
			r, err := newReplays(dir)
			require.NoError(t, err)
			require.NoError(t, errors.Join(os.Mkdir(own, 0o700), os.Mkdir(filepath.Join(own, minute(now)), 0o700), prepare(dir, own)))
			err = r.first(now, []byte("x"))
			require.True(t, errs.Is(err, errs.AuthUnavailable), "%v", err)
		})
	}
	r, err := newReplays(filepath.Join(t.TempDir(), "replays"))
	require.NoError(t, err)
	require.NoError(t, r.first(now, []byte("x")))
	require.NoError(t, os.RemoveAll(r.dir))
	require.NoError(t, r.first(now, []byte("y")))
	require.DirExists(t, filepath.Join(r.dir, minute(now)))
}

func TestTheFolderIsMadeBeforeTheFirstToken(t *testing.T) {
	r, err := newReplays(filepath.Join(t.TempDir(), "replays"))
	require.NoError(t, err)
	require.NoDirExists(t, r.dir, "who only looks makes nothing")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, r.run(ctx))
	info, err := os.Stat(r.dir)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
}
