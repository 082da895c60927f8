// SPDX-License-Identifier: Apache-2.0

// Package restart kills gateways with SIGKILL and starts them again: queries go
// on, launches are taken over or cleaned up, and there are never two engines
// where there should be one.
package restart

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", fmt.Sprint(env.Count(4, 2))); err != nil { // clients wait more than they work, drivers of a long run do not
		panic(err)
	}
	env.Main(m)
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

// requireNothingLeft waits until no engine is left, nor a file but logs.
func requireNothingLeft(t *testing.T, g *env.Gateway, within time.Duration) {
	t.Helper()
	require.Eventually(t, func() bool {
		return len(g.Engines()) == 0 && len(env.Marked(g.Home)) == 0 && len(leftovers(t, g)) == 0
	}, within, 50*time.Millisecond, "something is left: %v", env.Lazily(func() any {
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
