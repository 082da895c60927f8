// SPDX-License-Identifier: Apache-2.0

// Package restart kills gateways with SIGKILL and starts them again: queries go
// on, launches are taken over or cleaned up, and there are never two engines
// where there should be one.
package restart

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/integration-tests/env"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", fmt.Sprint(env.Count(4, 2))); err != nil { // clients wait more than they work, drivers of a long run do not
		panic(err)
	}
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), // of http.DefaultClient in env
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// randomness is another one in each run; the log tells how to repeat it.
func randomness(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// crash ends the gateway as a crash does.
func crash(g *env.Gateway) { g.Signal(syscall.SIGKILL) }

// folders are those of all engines that were ever launched: each launch makes
// one, and the log in it outlives the engine.
func folders(t *testing.T, g *env.Gateway) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(g.Home, "work", "*", "*"))
	require.NoError(t, err)
	return all
}

// drivers are the processes of engines; what a driver forked does not count.
func drivers(g *env.Gateway) (pids []int) {
	for _, pid := range env.Marked(g.Home) {
		if group, err := syscall.Getpgid(pid); err == nil && group == pid {
			pids = append(pids, pid)
		}
	}
	return pids
}

// known are the processes of the engines and launches that the gateway has.
func known(g *env.Gateway) (pids []int) {
	for _, e := range g.Engines() {
		if e.PID != 0 { // else it is in the queue
			pids = append(pids, e.PID)
		}
	}
	return pids
}

// requireNothingLeft waits until no engine is left, nor a file but logs.
func requireNothingLeft(t *testing.T, g *env.Gateway, within time.Duration) {
	t.Helper()
	require.Eventually(t, func() bool {
		return len(g.Engines()) == 0 && len(env.Marked(g.Home)) == 0 && len(leftovers(t, g)) == 0
	}, within, 50*time.Millisecond, "something is left: %v", lazily(func() any {
		return []any{g.Engines(), env.Marked(g.Home), leftovers(t, g)}
	}))
}

// leftovers are files in the folders of engines, except for logs.
func leftovers(t *testing.T, g *env.Gateway) (files []string) {
	t.Helper()
	for _, folder := range folders(t, g) {
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
