// SPDX-License-Identifier: Apache-2.0

package hazk

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
	"roundhouse/integration-tests/env"
)

// members is the size of the pools.
const members = 4

// TestPoolsStayInBalance over two gateways, however many sessions come at once, at any
// time: the records of sessions are replayed in the order in which ZooKeeper took them.
func TestPoolsStayInBalance(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"LEAST_SESSIONS", "POLLING"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			c := startPool(t, policy)
			openAtOnce(t, c, 40)
			counts, worst := replay(t, visit(t, c.ZooKeeper, digest).sessions())
			t.Logf("sessions of the members in the end: %v, the largest difference at any time: %d", counts, worst)
			require.LessOrEqual(t, worst, 1)
			requireMembers(t, c, counts)
		})
	}
}

// TestPoolOfSparkStaysInBalance is the same with real Spark.
func TestPoolOfSparkStaysInBalance(t *testing.T) {
	c := start(t, 1, map[string]string{"spark.driver.memory": "600m", "kyuubi.server.limit.engine.startup": "2",
		"kyuubi.engine.pool.size": strconv.Itoa(members), "kyuubi.engine.pool.selectPolicy": "LEAST_SESSIONS"})
	openAtOnce(t, c, env.Count(14, 40))
	counts, worst := replay(t, visit(t, c.ZooKeeper, digest).sessions())
	t.Logf("sessions of the members in the end: %v, the largest difference at any time: %d", counts, worst)
	require.LessOrEqual(t, worst, 1)
	requireMembers(t, c, counts)
}

// TestPoolLevelsOutAgain: sessions that end leave room that the next ones fill.
func TestPoolLevelsOutAgain(t *testing.T) {
	t.Parallel()
	c := startPool(t, "LEAST_SESSIONS")
	clients := openAtOnce(t, c, 40)
	k := visit(t, c.ZooKeeper, digest)
	var ends sync.WaitGroup
	for _, session := range k.sessions() {
		if member(t, session) > 1 {
			continue // the other two become empty
		}
		ends.Go(func() {
			if err := clients[session.SessionID].Release(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	ends.Wait()
	// A gateway hears within milliseconds what another one has ended.
	env.Eventually(t, back, "both gateways know what has ended", func() bool {
		return len(c.a.Sessions()) == 20 && len(c.b.Sessions()) == 20
	})
	openAtOnce(t, c, 20)
	live := slices.DeleteFunc(k.sessions(), func(r discovery.SessionRecord) bool { return r.Ended != nil })
	counts, _ := replay(t, live)
	require.Equal(t, []int{10, 10, 10, 10}, counts)
	requireMembers(t, c, counts)
}

// TestPoolAtRandom uses all of its members.
func TestPoolAtRandom(t *testing.T) {
	t.Parallel()
	c := startPool(t, "RANDOM")
	openAtOnce(t, c, 40)
	counts, worst := replay(t, visit(t, c.ZooKeeper, digest).sessions())
	t.Logf("sessions of the members in the end: %v, the largest difference at any time: %d", counts, worst)
	require.NotContains(t, counts, 0, "one in 25,000 runs")
}

func startPool(t *testing.T, policy string) cluster {
	t.Helper()
	return start(t, 1, fakes(t, time.Minute, "kyuubi.engine.pool.size", strconv.Itoa(members), "kyuubi.engine.pool.selectPolicy", policy))
}

// openAtOnce opens so many sessions of alice over both gateways, and returns their clients by
// session.
func openAtOnce(t *testing.T, c cluster, sessions int) map[string]*env.SparkClient {
	t.Helper()
	clients := map[string]*env.SparkClient{}
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range sessions {
		client := env.NewSparkClient(t, c.Gateways[i%2].GRPC, "alice")
		clients[client.Session] = client
		all.Go(func() {
			<-begin
			if err := client.Version(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	close(begin)
	all.Wait()
	return clients
}

// replay counts the sessions of each member, and tells by how many they ever differed.
func replay(t *testing.T, sessions []discovery.SessionRecord) (counts []int, worst int) {
	t.Helper()
	counts = make([]int, members)
	for _, session := range sessions {
		counts[member(t, session)]++
		worst = max(worst, slices.Max(counts)-slices.Min(counts))
	}
	return counts, worst
}

// member is the one of its pool that a session got.
func member(t *testing.T, r discovery.SessionRecord) int {
	t.Helper()
	number, is := strings.CutPrefix(r.Spec.Subdomain, "engine-pool-")
	require.True(t, is, "%v", r)
	n, err := strconv.Atoi(number)
	require.NoError(t, err)
	return n
}

// requireMembers wants both gateways to show the engines of the pool with their sessions.
func requireMembers(t *testing.T, c cluster, counts []int) {
	t.Helper()
	for _, g := range c.Gateways {
		have := func() map[string]int {
			have := map[string]int{}
			for _, e := range g.Engines() {
				have[e.Subdomain] = e.Sessions
			}
			return have
		}
		want := map[string]int{}
		for i, n := range counts {
			want[fmt.Sprintf("engine-pool-%d", i)] = n
		}
		eventually(t, back, func() bool { return fmt.Sprint(have()) == fmt.Sprint(want) }, "the engines of the pool have their sessions", func() any { return have() })
	}
	require.Len(t, env.Drivers(c.Gateways...), members)
}
