// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"

	"roundhouse/integration-tests/env"
)

func withOption(ctx context.Context, pair ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, pair...)
}

func quickIdle(session string) map[string]string {
	return map[string]string{
		"kyuubi.session.idle.timeout": session, "kyuubi.session.engine.idle.timeout": "PT3S", "kyuubi.session.engine.check.interval": "PT1S",
	}
}

// TestScaleToZero: an engine without sessions stops after its timeout, exits in
// an orderly way, and the next connect launches a new one.
func TestScaleToZero(t *testing.T) {
	g := env.Start(t, quickIdle("PT1H"))
	first := useOnce(t, g)
	env.Eventually(t, time.Minute, "the engine stops", func() bool { return len(g.Engines()) == 0 })
	require.False(t, env.Alive(first.PID))
	second := useOnce(t, g)
	require.NotEqual(t, first.RefID, second.RefID)
}

// TestReturnAfterTheIdleStop: a client whose session and engine have stopped as
// idle is told so in one error, and its next getOrCreate() works on a new engine.
func TestReturnAfterTheIdleStop(t *testing.T) {
	for _, client := range []string{"4.3", "4.0"} {
		t.Run(client, func(t *testing.T) {
			g := env.Start(t, env.With(quickIdle("PT3S"), "kyuubi.session.engine.idle.timeout", "PT2S"))
			c := env.StartClient(t, client, "recover.py", "--remote", g.Remote())
			before := c.Next("ready", 3*time.Minute)
			env.Eventually(t, time.Minute, "the engine stops", func() bool { return len(g.Engines()) == 0 })
			c.Say("go on")
			ended := c.Next("ended", time.Minute)
			require.Contains(t, text(ended, "text"), "INVALID_HANDLE.SESSION_CHANGED")
			require.Contains(t, text(ended, "text"), "idle", "the text says why")
			require.EqualValues(t, 1, c.Next("recovered", 3*time.Minute)["one"])
			after := c.Next("engine_after", time.Minute)
			require.NotEqual(t, before["application_id"], after["application_id"])
			require.EqualValues(t, 2, g.Metric(launches), "one engine before, one after")
			code, _ := c.Wait(30 * time.Second)
			require.Zero(t, code)
		})
	}
}

// useOnce runs a client that ends its session, and returns its engine.
func useOnce(t *testing.T, g *env.Gateway) env.Engine {
	t.Helper()
	c := env.StartClient(t, "4.3", "exit_after.py", "--remote", g.Remote(), "--stop")
	c.Next("ready", 3*time.Minute)
	e := g.OnlyEngine()
	c.Say("stop")
	c.Next("stopped", time.Minute)
	return e
}

// TestIdleSession: a session without calls is closed, and its client is told.
func TestIdleSession(t *testing.T) {
	g := env.Start(t, env.With(quickIdle("PT4S"), "kyuubi.session.engine.idle.timeout", "PT10M"))
	c := newGoClient(t, g, "alice")
	require.NoError(t, c.version(t.Context()))
	env.Eventually(t, time.Minute, "the session ends", func() bool { return len(g.Sessions()) == 0 })
	err := c.version(t.Context())
	require.ErrorContains(t, err, "INVALID_HANDLE.SESSION_CHANGED")
	require.ErrorContains(t, err, "idle")
	require.Len(t, g.Engines(), 1, "the engine lives on")
}

// TestWorkIsNoIdleness: a streaming query alone, or AnalyzePlan calls alone,
// keep session and engine.
func TestWorkIsNoIdleness(t *testing.T) {
	g := env.Start(t, quickIdle("PT4S"))
	seconds := fmt.Sprint(env.Count(15, 60))
	stream := env.StartClient(t, "4.3", "streaming_only.py", "--remote", g.Remote("user_id=alice"), "--seconds", seconds)
	analyze := env.StartClient(t, "4.3", "analyze_only.py", "--remote", g.Remote("user_id=bob"), "--seconds", seconds, "--every", "1")
	still := stream.Next("still", 4*time.Minute)
	require.Equal(t, true, still["active"])
	require.Equal(t, true, still["same_engine"])
	require.Equal(t, true, analyze.Next("still", 4*time.Minute)["same_engine"])
}

// TestEngineThatNobodyUses stops after its initial wait.
func TestEngineThatNobodyUses(t *testing.T) {
	g := env.Start(t, env.FakeSpark(t, "spark.fake.start.delay.ms", "1500", "kyuubi.session.engine.spark.max.initial.wait", "PT2S"))
	leave(t, g, newGoClient(t, g, "alice"))
	pid := g.Engines()[0].PID
	env.Eventually(t, 30*time.Second, "the engine stops", func() bool { return len(g.Engines()) == 0 && !env.Alive(pid) })
}
