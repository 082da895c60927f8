// SPDX-License-Identifier: Apache-2.0

package hazk

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

const (
	// sessionTimeout is kyuubi.ha.zookeeper.session.timeout where ZooKeeper is away for longer.
	sessionTimeout = 4 * time.Second
	// back is how long nodes may take to be there again once ZooKeeper is.
	back = 10 * time.Second
)

// absence is a time without ZooKeeper.
type absence struct {
	leave func(t *testing.T, zoo *env.ZooKeeper)
	come  func(t *testing.T, zoo *env.ZooKeeper)
}

// absences are all ways to be away. It is immutable.
var absences = map[string]absence{
	"without a quorum": {
		leave: func(_ *testing.T, zoo *env.ZooKeeper) { zoo.Freeze(0); zoo.Freeze(1) },
		come:  func(_ *testing.T, zoo *env.ZooKeeper) { zoo.Thaw(0); zoo.Thaw(1) },
	},
	"killed": {
		leave: func(_ *testing.T, zoo *env.ZooKeeper) { zoo.Kill(0); zoo.Kill(1); zoo.Kill(2) },
		come:  func(_ *testing.T, zoo *env.ZooKeeper) { zoo.Restart(0); zoo.Restart(1); zoo.Restart(2) },
	},
}

// TestZooKeeperIsAway for longer than a ZooKeeper session: nobody who has a session
// notices, new sessions find the engines that are known, and launches wait.
func TestZooKeeperIsAway(t *testing.T) {
	t.Parallel()
	for name, away := range absences {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, 3, fakes(t, sessionTimeout))
			l := begin(t, c, 5, "alice", "bob")
			goWithout(t, c, l, away, env.Duration(8*time.Second, time.Minute))
			l.requireUnaffected(t)
		})
	}
}

// goWithout takes ZooKeeper away for a time and looks at what goes on.
func goWithout(t *testing.T, c cluster, l *load, away absence, lasts time.Duration) {
	t.Helper()
	k := visit(t, c.ZooKeeper, digest)
	pids, refs := env.Drivers(c.Gateways...), refsOf(c.a)
	require.Len(t, pids, 2)
	require.Equal(t, refs, refsOf(c.b))
	k.requireNodes(back, c, refs)

	away.leave(t, c.ZooKeeper)
	gone := time.Now()
	for _, g := range c.Gateways {
		for _, user := range []string{"alice", "bob"} {
			began := time.Now()
			require.NoError(t, env.NewSparkClient(t, g.GRPC, user).Version(t.Context()), "a new session of %s", user)
			t.Logf("without ZooKeeper: a new session of %s within %v", user, time.Since(began).Round(time.Millisecond))
		}
	}
	launched := make(chan error, 1)
	carol := env.NewSparkClient(t, c.a.GRPC, "carol")
	go func() { launched <- opens(t.Context(), carol) }() // answered below
	select {
	case err := <-launched:
		require.FailNow(t, "an engine was launched without ZooKeeper", "%v", err)
	case <-time.After(time.Until(gone.Add(lasts))):
	}
	require.Equal(t, pids, env.Drivers(c.Gateways...), "the same engines as before, and no other one")

	away.come(t, c.ZooKeeper)
	returned := time.Now()
	c.AwaitServing(time.Minute)
	served := time.Since(returned).Round(time.Millisecond)
	select {
	case err := <-launched:
		require.NoError(t, err, "the launch waited")
	case <-time.After(90 * time.Second):
		require.FailNow(t, "the launch does not end")
	}
	t.Logf("ZooKeeper serves %v after its return, a launch that waited succeeded %v after it", served, time.Since(returned).Round(time.Millisecond))
	all := refsOf(c.a)
	require.Len(t, all, 3)
	k.requireNodes(time.Until(returned.Add(served+back)), c, all)
	t.Logf("nodes as before within %v of the return", time.Since(returned).Round(time.Millisecond))
	require.Subset(t, env.Drivers(c.Gateways...), pids)
	require.Len(t, env.Drivers(c.Gateways...), 3, "no engine was killed or doubled")
	eventually(t, back, func() bool {
		return len(c.a.Sessions()) == len(c.b.Sessions()) && len(k.sessions()) == len(l.clients)+5
	},
		"gateways and records agree", func() any { return []any{len(c.a.Sessions()), len(c.b.Sessions()), len(k.sessions())} })
	for _, session := range k.sessions() {
		require.NotEmpty(t, session.EngineRef, "the record was completed: %v", session)
	}
}

// TestZooKeeperIsAwayWithSpark is the same with an engine that is real; in the end ZooKeeper
// comes back without its data.
func TestZooKeeperIsAwayWithSpark(t *testing.T) {
	c := start(t, 3, map[string]string{"kyuubi.ha.zookeeper.session.timeout": "PT4S", "spark.driver.memory": "600m"})
	for name, away := range absences {
		t.Log(name)
		goWithoutInAQueryOfSpark(t, c, away)
	}
	e := c.a.OnlyEngine()
	absences["killed"].leave(t, c.ZooKeeper)
	for i := range 3 {
		c.LoseData(i)
	}
	absences["killed"].come(t, c.ZooKeeper)
	c.AwaitServing(time.Minute)
	k := visit(t, c.ZooKeeper, digest)
	t.Logf("nodes of gateways and engine are back %v after ZooKeeper serves without its data", k.requireNodes(30*time.Second, c, []string{e.RefID}))
	require.NoError(t, env.NewSparkClient(t, c.a.GRPC, "alice").Version(t.Context()))
	require.Equal(t, []int{e.PID}, env.Drivers(c.Gateways...))
}

// goWithoutInAQueryOfSpark takes ZooKeeper away for a time while a PySpark program runs a query.
func goWithoutInAQueryOfSpark(t *testing.T, c cluster, away absence) {
	t.Helper()
	k := visit(t, c.ZooKeeper, digest)
	client := env.StartClient(t, "4.3", "cut_off.py", "--remote", c.a.Remote("user_id=alice"), "--seconds", "14")
	client.Next("running", 4*time.Minute)
	e := c.a.OnlyEngine()
	k.requireNodes(back, c, []string{e.RefID})
	away.leave(t, c.ZooKeeper)
	gone := time.Now()
	require.NoError(t, env.NewSparkClient(t, c.b.GRPC, "alice").Version(t.Context()), "a new session at the other gateway")
	awaitTime(t.Context(), time.Until(gone.Add(env.Duration(6*time.Second, time.Minute))))
	away.come(t, c.ZooKeeper)
	c.AwaitServing(time.Minute)
	t.Logf("nodes of gateways and engine are back %v after ZooKeeper serves", k.requireNodes(back, c, []string{e.RefID}))
	rows := client.Next("rows", time.Minute)
	require.Equal(t, true, rows["complete"], rows)
	code, _ := client.Wait(time.Minute)
	require.Zero(t, code)
	require.Equal(t, []int{e.PID}, env.Drivers(c.Gateways...))
	require.Equal(t, e.PID, c.b.OnlyEngine().PID)
}

// awaitTime waits for a time to pass.
func awaitTime(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
