// SPDX-License-Identifier: Apache-2.0

package restart

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
	"roundhouse/internal/failpoint"
)

// gateways is how many are killed side by side: clients wait most of the time.
const gateways = 5

// TestGatewayKilledInAQuery at any moment of it: the client gets every row once
// and no error, from the same engine.
func TestGatewayKilledInAQuery(t *testing.T) {
	for n := range gateways {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			killInQueries(t, env.Count(10, 100)/gateways)
		})
	}
}

func killInQueries(t *testing.T, trials int) {
	t.Helper()
	random := env.Randomness(t)
	g := env.Start(t, env.FakeSpark(t))
	c := env.NewSparkClient(t, g.GRPC, "alice")
	require.NoError(t, c.Version(t.Context()))
	e := g.OnlyEngine()
	for trial := range trials {
		story, stall := c.KillInAQuery(t, random, 20_000, 1600, func() { crash(g); g.Start() }) // of a second
		t.Logf("trial %d: longest wait for a row %v, %+v", trial, stall.Round(time.Millisecond), story)
		require.NotZero(t, story.Retried, "the kill hit the query")
		require.Equal(t, e.PID, g.OnlyEngine().PID)
		require.Len(t, g.Sessions(), 1)
	}
	require.Len(t, folders(t, g), 1, "one engine was ever launched")
}

// TestGatewayKilledInAQueryOfSpark is the same with real Spark and real PySpark.
// The gateway is killed in the launch of the engine first of all.
func TestGatewayKilledInAQueryOfSpark(t *testing.T) {
	random := env.Randomness(t)
	g := env.Prepare(t, nil)
	g.Binary, g.Environ = env.WithFailpoints(t), []string{variable + "=" + failpoint.Spawned}
	g.StartUntilCleanup()
	pid := 0
	for trial := range env.Count(1, 10) {
		c := env.StartClient(t, "4.3", "cut_off.py", "--remote", g.Remote("user_id=alice"), "--seconds", "10")
		if trial == 0 {
			awaitEnd(t, g)
			g.Environ = nil
			g.Start()
		}
		c.Next("running", 4*time.Minute)
		moment := time.Duration(random.Int64N(int64(8 * time.Second)))
		began := time.Now()
		<-time.After(moment)
		crash(g)
		killed := time.Since(began)
		g.Start()
		rows := c.Next("rows", 3*time.Minute)
		require.Equal(t, true, rows["complete"], rows)
		require.Greater(t, rows["seconds"], killed.Seconds(), "the kill hit the query")
		code, _ := c.Wait(time.Minute)
		require.Zero(t, code)
		t.Logf("trial %d: killed after %v, %v", trial, moment.Round(time.Millisecond), rows)
		e := g.OnlyEngine()
		require.Contains(t, []int{0, pid}, e.PID*min(pid, 1), "it is the engine of before")
		pid = e.PID
	}
	require.Len(t, folders(t, g), 1, "one engine was ever launched")
}
