// SPDX-License-Identifier: Apache-2.0

package hazk

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// TestZooKeeperLosesItsData: gateways and engines make again what they had there.
// Sessions go on, and engines are neither lost nor launched a second time.
func TestZooKeeperLosesItsData(t *testing.T) {
	t.Parallel()
	c := start(t, 1, fakes(t, sessionTimeout))
	l := begin(t, c, 3, "alice", "bob")
	k := visit(t, c.ZooKeeper, digest)
	pids, refs := env.Drivers(c.Gateways...), refsOf(c.a)
	k.requireNodes(back, c, refs)
	require.Len(t, k.sessions(), len(l.clients))

	c.Kill(0)
	c.LoseData(0)
	c.Restart(0)
	c.AwaitServing(time.Minute)
	lost := time.Now()
	k = visit(t, c.ZooKeeper, digest)
	k.requireNodes(time.Minute, c, refs)
	t.Logf("nodes are back %v after the return without data", time.Since(lost).Round(time.Millisecond))
	eventually(t, back, func() bool { return len(k.sessions()) == len(l.clients) }, "the records of sessions are written again",
		func() any { return k.below(records) })
	require.Equal(t, pids, env.Drivers(c.Gateways...))
	for i, g := range c.Gateways {
		require.Equal(t, refs, refsOf(g))
		require.Len(t, g.Sessions(), len(l.clients)+i)
		require.NoError(t, env.NewSparkClient(t, g.GRPC, "alice").Version(t.Context()), "a new session at gateway %d", i)
	}
	require.NoError(t, opens(t.Context(), env.NewSparkClient(t, c.a.GRPC, "carol")), "a launch")
	l.requireUnaffected(t)
	require.Len(t, env.Drivers(c.Gateways...), 3)
}
