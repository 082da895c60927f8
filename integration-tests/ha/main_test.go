// SPDX-License-Identifier: Apache-2.0

// Package ha shows several gateways on one real ZooKeeper: any of them serves any
// session, one may die or be restarted at any moment, and there is never a second engine where there
// should be one. Engines are fakes but for the tests that have Spark in their name.
package ha

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/integration-tests/env"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", fmt.Sprint(env.Count(4, 2))); err != nil { // clients wait more than they work
		panic(err)
	}
	code := m.Run()
	http.DefaultClient.CloseIdleConnections() // of env
	if err := goleak.Find(); err != nil && code == 0 {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		code = 1
	}
	os.Exit(code)
}

// settled is how long after the death of a gateway what it left may take to be adopted or cleaned up.
const settled = 30 * time.Second

// randomness is another one in each run; the log tells how to repeat it.
func randomness(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// another is the same client with a session of its own.
func another(c *env.SparkClient) *env.SparkClient {
	next := *c
	next.Session = uuid.NewString()
	return &next
}

// with is the same client with the session of another one.
func with(c *env.SparkClient, session string) *env.SparkClient {
	next := *c
	next.Session = session
	return &next
}

// folders are those of all engines of a user, or of all users ("*"), that were ever prepared: each launch makes
// one, and the log in it outlives the engine.
func folders(t *testing.T, c *env.Cluster, user string) (all []string) {
	t.Helper()
	for _, g := range c.Gateways {
		some, err := filepath.Glob(filepath.Join(g.Home, "work", user, "*"))
		require.NoError(t, err)
		all = append(all, some...)
	}
	return all
}

// drivers are the processes of engines; what a driver forked does not count.
func drivers(c *env.Cluster) (pids []int) {
	for _, g := range c.Gateways {
		for _, pid := range env.Marked(g.Home) {
			if group, err := syscall.Getpgid(pid); err == nil && group == pid {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// known are the processes of the engines and launches that a gateway has.
func known(g *env.Gateway) (pids []int) {
	for _, e := range g.Engines() {
		if e.PID != 0 { // else it is in the queue
			pids = append(pids, e.PID)
		}
	}
	return pids
}

// leftovers are files in the folders of engines, except for logs.
func leftovers(t *testing.T, c *env.Cluster) (files []string) {
	t.Helper()
	for _, folder := range folders(t, c, "*") {
		entries, err := os.ReadDir(folder)
		require.NoError(t, err)
		for _, entry := range entries {
			if entry.Name() != "engine.log" {
				files = append(files, filepath.Join(folder, entry.Name()))
			}
		}
	}
	return files
}

// lazily prints what f returns when the message is needed.
type lazily func() any

func (f lazily) String() string { return fmt.Sprint(f()) }

// requireNothingLeft waits until there is no engine: no process, no file but logs, and
// neither a record nor a node in ZooKeeper.
func requireNothingLeft(t *testing.T, c *env.Cluster, g *env.Gateway, within time.Duration) {
	t.Helper()
	store := c.Store()
	left := func() []any {
		records, err := store.Engines(t.Context())
		require.NoError(t, err)
		nodes, err := store.Find(t.Context(), "/kyuubi_1_USER_SPARK_CONNECT/alice/default")
		require.NoError(t, err)
		return []any{g.Engines(), records, nodes, drivers(c), leftovers(t, c)}
	}
	require.Eventually(t, func() bool {
		all := left()
		return len(g.Engines()) == 0 && fmt.Sprint(all) == "[[] [] [] [] []]"
	}, within, 50*time.Millisecond, "something is left: %v", lazily(func() any { return left() }))
}

// percentile is the value that a share of all does not exceed.
func percentile(all []time.Duration, share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))].Round(time.Millisecond)
}
