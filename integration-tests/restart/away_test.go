// SPDX-License-Identifier: Apache-2.0

package restart

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// TestSessionThatWasClosedWhileTheGatewayWasAway: its client is told why, its
// engine is not kept for it.
func TestSessionThatWasClosedWhileTheGatewayWasAway(t *testing.T) {
	t.Parallel()
	g := env.Start(t, env.FakeSpark(t, "kyuubi.session.idle.timeout", "PT3S", "kyuubi.session.engine.idle.timeout", "PT30S",
		"kyuubi.session.engine.check.interval", "PT1S"))
	idle, busy := env.NewSparkClient(t, g.GRPC, "alice"), env.NewSparkClient(t, g.GRPC, "alice")
	require.NoError(t, idle.Version(t.Context()))
	require.NoError(t, busy.Version(t.Context()))
	log := g.OnlyEngine().Log
	crash(g)
	env.Eventually(t, 20*time.Second, "the engine closes both", func() bool { return strings.Count(read(t, log), "is idle and is closed") == 2 })
	g.Start()
	require.Empty(t, g.Sessions())
	err := idle.Version(t.Context())
	require.ErrorContains(t, err, "INVALID_HANDLE.SESSION_CHANGED")
	require.ErrorContains(t, err, "kyuubi.session.idle.timeout")
	requireNothingLeft(t, g, time.Minute)
	require.Len(t, folders(t, g), 1)
}

// TestEngineThatEndedWhileTheGatewayWasAway: the client is told, and its next
// session gets another engine.
func TestEngineThatEndedWhileTheGatewayWasAway(t *testing.T) {
	t.Parallel()
	g, c, e := crashed(t)
	require.NoError(t, syscall.Kill(e.PID, syscall.SIGKILL))
	env.Eventually(t, 10*time.Second, "the engine has ended", func() bool { return !env.Alive(e.PID) })
	g.Start()
	err := c.Version(t.Context())
	require.ErrorContains(t, err, "INVALID_HANDLE.SESSION_CHANGED")
	require.ErrorContains(t, err, e.RefID)
	require.Empty(t, g.Engines())
	require.NoError(t, env.NewSparkClient(t, g.GRPC, "alice").Version(t.Context()))
	require.NotEqual(t, e.RefID, g.OnlyEngine().RefID)
	require.Empty(t, leftovers(t, g))
}

// TestEngineThatIsStoppedDuringTheRestart, as by a debugger or a long garbage
// collection, is kept: its process is the right one.
func TestEngineThatIsStoppedDuringTheRestart(t *testing.T) {
	t.Parallel()
	g, c, e := crashed(t)
	env.Freeze(t, e.PID)
	began := time.Now()
	g.Start()
	require.NoError(t, syscall.Kill(e.PID, syscall.SIGCONT))
	t.Logf("ready %v after the start, with a silent engine", time.Since(began).Round(time.Millisecond))
	require.NoError(t, c.Version(t.Context()))
	require.Equal(t, e.PID, g.OnlyEngine().PID)
}

// TestSecondGatewayOnTheSameStore does not start, and says who has the store.
func TestSecondGatewayOnTheSameStore(t *testing.T) {
	t.Parallel()
	g := env.Start(t, env.FakeSpark(t))
	second := env.Prepare(t, env.FakeSpark(t, "kyuubi.server.data.dir", filepath.Join(g.Home, "data")))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	run := exec.CommandContext(ctx, second.Binary, "run")
	run.Env = second.Env()
	out, err := run.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), fmt.Sprintf("in use by process %d", g.PID()))
	require.Contains(t, string(out), "kyuubi.server.data.dir")
	require.NoError(t, env.NewSparkClient(t, g.GRPC, "alice").Version(t.Context()), "the first one is well")
}

// crashed is a gateway that has crashed, its client and its engine, which lives.
func crashed(t *testing.T) (*env.Gateway, *env.SparkClient, env.Engine) {
	t.Helper()
	g := env.Start(t, env.FakeSpark(t))
	c := env.NewSparkClient(t, g.GRPC, "alice")
	require.NoError(t, c.Version(t.Context()))
	e := g.OnlyEngine()
	crash(g)
	return g, c, e
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}
