// SPDX-License-Identifier: Apache-2.0

package ha

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// TestGatewayKilledInAQueryOfSpark with real Spark and an unmodified PySpark, which knows
// one address behind a balancer, or both gateways' own.
func TestGatewayKilledInAQueryOfSpark(t *testing.T) {
	c := env.StartGateways(t, env.StartZooKeeper(t, 1), 2, map[string]string{"spark.driver.memory": "700m"})
	require.NoError(t, c.Client(0, "alice").Version(t.Context())) // the engine is warm
	e := c.Gateways[0].OnlyEngine()
	random := env.Randomness(t)
	var stalls []time.Duration
	for trial := range env.Count(2, 20) {
		victim, other := c.Gateways[trial%2], c.Gateways[(trial+1)%2]
		args := []string{"--seconds", "6"}
		if trial%4 == 1 {
			args = append(args, "--remote", victim.Remote("user_id=alice"), "--targets", victim.GRPC+","+other.GRPC)
		} else {
			balancer := env.NewLink(t, victim.GRPC, other.GRPC)
			args = append(args, "--remote", "sc://"+balancer.Addr+"/;user_id=alice")
		}
		stall := killUnderPySpark(t, victim, random.Int64N(int64(4*time.Second)), args)
		t.Logf("trial %d: longest wait for a row %v: %s", trial, stall.Round(time.Millisecond), strings.Join(args, " "))
		stalls = append(stalls, stall)
		for _, g := range c.Gateways {
			require.Equal(t, e.PID, g.OnlyEngine().PID)
		}
	}
	require.Equal(t, []int{e.PID}, env.Drivers(c.Gateways...))
	require.Len(t, folders(t, c, "*"), 1, "one engine was ever launched")
	t.Logf("%d trials: longest wait for a row p50 %v, p95 %v (target p95 %v)", len(stalls), percentile(stalls, 0.5), percentile(stalls, 0.95), stallTarget)
	require.LessOrEqual(t, percentile(stalls, 0.95), stallTarget)
}

// killUnderPySpark kills the gateway a while after the first row of a query of PySpark came, and starts it
// again when all rows are there. It returns the longest wait for a row.
func killUnderPySpark(t *testing.T, victim *env.Gateway, after int64, args []string) time.Duration {
	t.Helper()
	client := env.StartClient(t, "4.3", "cut_off.py", args...)
	client.Next("running", time.Minute)
	began := time.Now()
	<-time.After(time.Duration(after))
	victim.Signal(syscall.SIGKILL)
	killed := time.Since(began)
	rows := client.Next("rows", 2*time.Minute)
	require.Equal(t, true, rows["complete"], rows)
	require.Greater(t, rows["seconds"], killed.Seconds(), "the kill hit the query")
	code, _ := client.Wait(time.Minute)
	require.Zero(t, code, fmt.Sprint(rows))
	victim.Start()
	return time.Duration(rows["longest"].(float64) * float64(time.Second))
}
