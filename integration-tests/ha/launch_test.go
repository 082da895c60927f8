// SPDX-License-Identifier: Apache-2.0

package ha

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"roundhouse/integration-tests/env"
	"roundhouse/internal/failpoint"
	pb "roundhouse/proto/gen/spark/connect"
)

// variable names the failpoint to a gateway that has them.
const variable = "ROUNDHOUSE_FAILPOINT"

// points are where a launch is cut off. It is immutable.
var points = []string{failpoint.BeforeSpawn, failpoint.Spawned, failpoint.Recorded, failpoint.Registered}

// TestFirstContacts of one user, all at once and over both gateways: one engine, for
// all of them.
func TestFirstContacts(t *testing.T) {
	t.Parallel()
	c := env.StartGateways(t, env.StartZooKeeper(t, 1), 2, env.FakeSpark(t, "spark.fake.start.delay.ms", "200"))
	for n := range env.Count(3, 20) {
		user := fmt.Sprint("user", n)
		took := firstContacts(t, c, user, 100)
		t.Logf("100 first contacts, all answered after %v", took.Round(time.Millisecond))
		requireOneLaunch(t, c, user)
		c.Gateways[n%2].KillEngine(c.Gateways[0].OnlyEngine().RefID)
		for _, g := range c.Gateways {
			env.Eventually(t, settled, "its end is known", func() bool { return len(g.Engines()) == 0 && len(g.Sessions()) == 0 })
		}
	}
}

// TestFirstContactsOfSpark is the same with real Spark.
func TestFirstContactsOfSpark(t *testing.T) {
	c := env.StartGateways(t, env.StartZooKeeper(t, 1), 2, map[string]string{"spark.driver.memory": "700m"})
	clients := env.Count(20, 100)
	took := firstContacts(t, c, "alice", clients)
	t.Logf("%d first contacts, all answered after %v", clients, took.Round(time.Millisecond))
	requireOneLaunch(t, c, "alice")
}

// firstContacts opens sessions of a user at the same moment, in turn at each of the gateways.
func firstContacts(t *testing.T, c *env.Cluster, user string, clients int) time.Duration {
	t.Helper()
	var doors []*env.SparkClient
	for i := range c.Gateways {
		doors = append(doors, c.Client(i, user))
	}
	start := make(chan struct{})
	var all errgroup.Group
	for n := range clients {
		client := doors[n%len(doors)].Another()
		all.Go(func() error {
			<-start
			return client.Version(t.Context())
		})
	}
	began := time.Now()
	close(start)
	require.NoError(t, all.Wait())
	return time.Since(began)
}

// requireOneLaunch says that there is one engine and that there was no other one.
func requireOneLaunch(t *testing.T, c *env.Cluster, user string) {
	t.Helper()
	e := c.Gateways[0].OnlyEngine()
	submitted := 0
	for _, g := range c.Gateways {
		env.Eventually(t, settled, "all gateways know the engine", func() bool { return len(g.Engines()) == 1 })
		require.Equal(t, e.RefID, g.OnlyEngine().RefID)
		for line := range strings.SplitSeq(g.Log(), "\n") {
			if strings.Contains(line, `msg="engine submitted"`) && strings.Contains(line, "user="+user+" ") {
				submitted++
			}
		}
	}
	require.Equal(t, 1, submitted)
	require.Len(t, folders(t, c, user), 1)
	require.Equal(t, []int{e.PID}, env.Drivers(c.Gateways...))
}

// TestGatewayKilledInALaunch at each point of it: the client, which tries again at the other gateway,
// gets the one engine that there is, and nothing stays behind.
func TestGatewayKilledInALaunch(t *testing.T) {
	binary, zoo := env.WithFailpoints(t), env.StartZooKeeper(t, 1)
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			for trial := range env.Count(1, 10) {
				conf := env.FakeSpark(t, "spark.fake.start.delay.ms", "200", "kyuubi.ha.namespace", fmt.Sprint(point, trial))
				t.Run(fmt.Sprint(trial), func(t *testing.T) { killInALaunch(t, prepareCut(t, zoo, binary, point, conf)) })
			}
		})
	}
}

// TestGatewayKilledInALaunchOfSpark is the same with real Spark.
func TestGatewayKilledInALaunchOfSpark(t *testing.T) {
	binary, zoo := env.WithFailpoints(t), env.StartZooKeeper(t, 1)
	of := points
	if !env.Long() {
		of = []string{failpoint.Spawned}
	}
	for _, point := range of {
		for trial := range env.Count(1, 10) {
			conf := map[string]string{"spark.driver.memory": "700m", "kyuubi.ha.namespace": fmt.Sprint(point, trial)}
			t.Run(fmt.Sprint(point, trial), func(t *testing.T) { killInALaunch(t, prepareCut(t, zoo, binary, point, conf)) })
		}
	}
}

// prepareCut starts two gateways of which the first one kills itself at a point of its
// first launch.
func prepareCut(t *testing.T, zoo *env.ZooKeeper, binary, point string, conf map[string]string) *env.Cluster {
	t.Helper()
	c := env.PrepareGateways(t, zoo, 2, conf)
	c.Gateways[0].Binary, c.Gateways[0].Environ = binary, []string{variable + "=" + point}
	c.Start()
	return c
}

// killInALaunch begins a query at the first gateway, which does not outlive the launch, and requires that all is
// well at the second one.
func killInALaunch(t *testing.T, c *env.Cluster) {
	t.Helper()
	client, answered := c.Client(0, "alice"), make(chan error, 1)
	go func() { // waited for below
		_, err := client.Query(t.Context(), "SELECT 1", func(*pb.ExecutePlanResponse) error { return nil })
		answered <- err
	}()
	dead, left := c.Gateways[0], c.Gateways[1]
	select {
	case <-dead.Over():
	case <-time.After(time.Minute):
		require.FailNow(t, "the gateway did not pass the failpoint", dead.Log())
	}
	died := time.Now()
	env.Eventually(t, time.Until(died.Add(settled)), "the other gateway knows every driver that there is", func() bool {
		all := env.Drivers(c.Gateways...)
		return len(all) <= 1 && slices.Equal(left.Known(), all)
	})
	adopted := time.Since(died)
	select {
	case err := <-answered:
		require.NoError(t, err)
	case <-time.After(3 * time.Minute):
		require.FailNow(t, "the client gets no answer", left.Log())
	}
	t.Logf("adopted or cleaned up %v after the death of the gateway, its client answered after %v",
		adopted.Round(time.Millisecond), time.Since(died).Round(time.Millisecond))
	e := left.OnlyEngine()
	require.Equal(t, []int{e.PID}, env.Drivers(c.Gateways...))
	require.Len(t, logs(t, c), 1, "one engine was ever launched")
	require.Len(t, left.Sessions(), 1)
	for _, file := range leftovers(t, c) {
		require.NotContains(t, []string{"spark.properties", "engine.key"}, filepath.Base(file))
	}
	_, err := client.Query(t.Context(), "SELECT 1", func(*pb.ExecutePlanResponse) error { return nil })
	require.NoError(t, err)
	space := spaceOf(t, c, left)
	left.KillEngine(e.RefID)
	requireNothingLeft(t, c, left, space)
}

// logs are those of engines that have run.
func logs(t *testing.T, c *env.Cluster) (all []string) {
	t.Helper()
	for _, folder := range folders(t, c, "*") {
		path := filepath.Join(folder, "engine.log")
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			all = append(all, path)
		}
	}
	return all
}
