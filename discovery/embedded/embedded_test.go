// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"roundhouse/discovery"
	"roundhouse/discovery/discoverytest"
)

// childDir makes the test binary a second process that fills and holds the
// store in that directory.
const childDir = "EMBEDDED_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	goleak.VerifyTestMain(m)
}

// child puts records, prints the number of each one that is durable, and never
// closes the store: its parent kills it.
func child(dir string) int {
	s, err := Open(Options{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for i := 0; ; i++ {
		r := discovery.SessionRecord{User: "alice", SessionID: fmt.Sprintf("s%d", i)}
		if err := s.PutSession(context.Background(), r); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(i)
	}
}

func open(t *testing.T, o Options) *Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestConformance(t *testing.T) {
	fresh := func(t *testing.T) *Store { return open(t, Options{}) }
	t.Run("Lock", func(t *testing.T) {
		discoverytest.Lock(t, func(t *testing.T) discovery.Locker { return fresh(t) })
	})
	t.Run("Sessions", func(t *testing.T) {
		discoverytest.Sessions(t, func(t *testing.T) discovery.SessionStore { return fresh(t) })
	})
	t.Run("Engines", func(t *testing.T) {
		discoverytest.Engines(t, func(t *testing.T) discovery.EngineStore { return fresh(t) })
	})
	t.Run("Disabled", func(t *testing.T) {
		discoverytest.Disabled(t, func(t *testing.T) discovery.DisabledStore { return fresh(t) })
	})
	t.Run("Tokens", func(t *testing.T) {
		discoverytest.Tokens(t, func(t *testing.T) discovery.TokenStore { return fresh(t) })
	})
}

func TestEverythingSurvivesReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on", "demand")
	s := open(t, Options{Dir: dir})
	require.NoError(t, s.PutSession(t.Context(), discovery.SessionRecord{User: "alice", SessionID: "s1"}))
	require.NoError(t, s.AddEngine(t.Context(), discovery.EngineRecord{RefID: "r1", PID: 7}))
	require.NoError(t, s.Close())

	s = open(t, Options{Dir: dir})
	_, err := s.GetSession(t.Context(), "alice", "s1")
	require.NoError(t, err)
	engines, err := s.Engines(t.Context())
	require.NoError(t, err)
	require.Equal(t, 7, engines[0].PID)

	info, err := os.Stat(filepath.Join(dir, FileName))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}

func TestLimits(t *testing.T) {
	s := open(t, Options{MaxSessions: 2, MaxEngines: 1})
	put := func(id string) error {
		return s.PutSession(t.Context(), discovery.SessionRecord{User: "alice", SessionID: id})
	}
	require.NoError(t, put("s1"))
	require.NoError(t, put("s2"))
	require.ErrorIs(t, put("s3"), discovery.ErrFull)
	require.NoError(t, put("s2"), "replacing needs no room")
	require.NoError(t, s.DeleteSession(t.Context(), discovery.SessionRecord{User: "alice", SessionID: "s1"}))
	require.NoError(t, s.DeleteSession(t.Context(), discovery.SessionRecord{User: "alice", SessionID: "s1"}))
	require.NoError(t, put("s3"))
	require.ErrorIs(t, put("s4"), discovery.ErrFull)

	require.NoError(t, s.AddEngine(t.Context(), discovery.EngineRecord{RefID: "r1"}))
	require.ErrorIs(t, s.AddEngine(t.Context(), discovery.EngineRecord{RefID: "r2"}), discovery.ErrFull)
}

func TestCloseEndsCalls(t *testing.T) {
	s := open(t, Options{})
	require.NoError(t, s.Close())
	require.Error(t, s.AddEngine(t.Context(), discovery.EngineRecord{RefID: "r1"}))
	require.NoError(t, s.Close(), "closing twice")
}

func TestDamagedAndForeignFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("not a store\n", 10_000)), 0o600))
	_, err := Open(Options{Dir: dir})
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, "damaged")

	require.NoError(t, os.Remove(path))
	s := open(t, Options{Dir: dir})
	require.NoError(t, s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keySchema, []byte("99")) }))
	require.NoError(t, s.Close())
	_, err = Open(Options{Dir: dir})
	require.ErrorContains(t, err, `layout "99"`)
	_, err = Open(Options{Dir: dir})
	require.ErrorContains(t, err, `layout "99"`, "the refusal released the file")
}

// A second process gets a clear error in about a second; what the first one
// was told is durable is there after kill -9.
func TestSecondProcessAndKill(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for range 20 {
		require.True(t, lines.Scan())
	}

	started := time.Now()
	_, err = Open(Options{Dir: dir})
	require.ErrorContains(t, err, filepath.Join(dir, FileName))
	require.ErrorContains(t, err, fmt.Sprintf("process %d", cmd.Process.Pid))
	require.Less(t, time.Since(started), 3*time.Second)

	require.NoError(t, cmd.Process.Kill())
	told := 20
	for lines.Scan() {
		told++
	}
	_, _ = io.Copy(io.Discard, out)
	require.Error(t, cmd.Wait(), "it was killed")

	s := open(t, Options{Dir: dir})
	require.False(t, s.db.NoSync, "a kill does not show whether writes reach the disk")
	for i := range told {
		_, err := s.GetSession(t.Context(), "alice", fmt.Sprintf("s%d", i))
		require.NoError(t, err, "record %d of %d", i, told)
	}
}
