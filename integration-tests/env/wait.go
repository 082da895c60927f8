// SPDX-License-Identifier: Apache-2.0

package env

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Eventually waits until ok holds, and fails the test with what was waited for
// if that takes longer than within.
func Eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, within, 20*time.Millisecond, what)
}

// Freeze stops a process (SIGSTOP) and returns when all its threads stand still: until then some work on.
func Freeze(t testing.TB, pid int) {
	t.Helper()
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	Eventually(t, 15*time.Second, "all threads are stopped", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, path := range threads {
			if text, _ := os.ReadFile(path); !strings.Contains(string(text), ") T ") {
				return false
			}
		}
		return len(threads) > 0
	})
}

// launchPatience is how long an engine may take to run, on a busy machine.
const launchPatience = 3 * time.Minute

// OnlyEngine waits until exactly one engine runs, and returns it. Others may be
// starting or ending.
func (g *Gateway) OnlyEngine() Engine {
	g.t.Helper()
	var found Engine
	Eventually(g.t, launchPatience, "exactly one engine runs", func() bool {
		running := 0
		for _, e := range g.Engines() {
			if e.State == "running" {
				running++
				found = e
			}
		}
		return running == 1
	})
	return found
}
