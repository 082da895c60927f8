// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// longRunOnly skips a test of a short run, which has its like with fake engines.
// These tests run one by one: the start of a driver takes a whole machine.
func longRunOnly(t *testing.T) {
	t.Helper()
	if !env.Long() {
		t.Skip("long run only (make test-long): the same with real Spark")
	}
}

// TestSparkOnAFullDisk: the work folder, with the logs of engines, fills up under
// a query of real Spark.
func TestSparkOnAFullDisk(t *testing.T) {
	longRunOnly(t)
	g := env.Prepare(t, map[string]string{"spark.driver.memory": "700m"})
	work := mountDisk(t, g.Home, "work", 64)
	g.StartUntilCleanup()
	c := slowSpark(t, g)
	began := time.Now()
	work.fill(t)
	bob := env.NewSparkClient(t, g.GRPC, "bob")
	requireFull(t, bob.Version(t.Context()))
	requireSparkRows(t, c, time.Since(began))
	work.drain(t)
	require.NoError(t, bob.Version(t.Context()), "there is room again")
}

// TestSparkAtALowFileLimit: the gateway runs out of descriptors under a query of
// real Spark, and stays so to its end.
func TestSparkAtALowFileLimit(t *testing.T) {
	longRunOnly(t)
	g := env.Start(t, map[string]string{"spark.driver.memory": "700m"})
	alice := env.NewSparkClient(t, g.GRPC, "alice")
	require.NoError(t, alice.Version(t.Context()))
	c := slowSpark(t, g)
	began := time.Now()
	restore := limitFiles(t, g.PID(), descriptors(t, g.PID())+2)
	crowd := dialMany(t, g.GRPC, 30)
	require.NoError(t, alice.Version(t.Context()), "what is connected goes on")
	bob := beside(alice, "bob")
	requireOutOfDescriptors(t, bob.Version(t.Context()))
	requireSparkRows(t, c, time.Since(began))
	restore()
	for _, c := range crowd {
		require.NoError(t, c.Close())
	}
	require.NoError(t, bob.Version(t.Context()), "new sessions get engines again")
	require.NoError(t, env.NewSparkClient(t, g.GRPC, "alice").Version(t.Context()), "new connections are taken again")
}

// slowSpark starts a query of 20 s in PySpark, and returns when it runs.
func slowSpark(t *testing.T, g *env.Gateway) *env.Client {
	t.Helper()
	c := env.StartClient(t, "4.3", "cut_off.py", "--seconds", "20", "--remote", g.Remote("user_id=alice"))
	c.Next("running", 6*time.Minute)
	return c
}

// requireSparkRows wants all rows of that query, which went on for so long at least.
func requireSparkRows(t *testing.T, c *env.Client, atLeast time.Duration) {
	t.Helper()
	rows := c.Next("rows", 5*time.Minute)
	require.Equal(t, true, rows["complete"], rows)
	require.Greater(t, rows["seconds"], atLeast.Seconds(), "the query ran when it happened")
	code, _ := c.Wait(time.Minute)
	require.Zero(t, code)
}
