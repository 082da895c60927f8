// SPDX-License-Identifier: Apache-2.0

package ha

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

// stallTarget is how long a client may wait for its next row when the gateway
// dies that sent the last one, in 95 of 100 cases.
const stallTarget = 1500 * time.Millisecond

// TestGatewayKilledInAQuery: the gateway that sends a result dies at any moment of it. The client
// gets every row once and no error, by way of the other gateway, from the same engine.
func TestGatewayKilledInAQuery(t *testing.T) {
	const clusters = 2
	zoo := env.StartZooKeeper(t, 1)
	var mu sync.Mutex
	var stalls []time.Duration
	t.Run("all", func(t *testing.T) {
		for n := range clusters {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				c := env.StartGateways(t, zoo, 2, env.FakeSpark(t, "kyuubi.ha.namespace", fmt.Sprint("stream", n)))
				all := killInQueries(t, c, env.Count(10, 100)/clusters)
				mu.Lock()
				defer mu.Unlock()
				stalls = append(stalls, all...)
			})
		}
	})
	t.Logf("%d trials: longest wait for a row p50 %v, p95 %v, max %v (target p95 %v)", len(stalls),
		percentile(stalls, 0.5), percentile(stalls, 0.95), percentile(stalls, 1), stallTarget)
	require.LessOrEqual(t, percentile(stalls, 0.95), stallTarget)
}

func killInQueries(t *testing.T, c *env.Cluster, trials int) (stalls []time.Duration) {
	t.Helper()
	random := env.Randomness(t)
	session := uuid.NewString()
	require.NoError(t, with(c.Client(0, "alice"), session).Version(t.Context()))
	e := c.Gateways[0].OnlyEngine()
	for trial := range trials {
		victim := trial % len(c.Gateways)
		client := c.Client(victim, "alice")
		client.Session = session
		story, stall := client.KillInAQuery(t, random, 2_500_000, 200_000, func() { c.Gateways[victim].Signal(syscall.SIGKILL) }) // 20 MB in a second
		t.Logf("trial %d: longest wait for a row %v, %+v", trial, stall.Round(time.Millisecond), story)
		stalls = append(stalls, stall)
		require.NotZero(t, story.Retried, "the kill hit the query")
		client.Close()
		c.Gateways[victim].Start()
		for _, g := range c.Gateways {
			require.Equal(t, e.PID, g.OnlyEngine().PID)
			require.Len(t, g.Sessions(), 1)
		}
	}
	require.Len(t, folders(t, c, "*"), 1, "one engine was ever launched")
	require.Equal(t, []int{e.PID}, env.Drivers(c.Gateways...))
	return stalls
}

// TestGatewayKilledWhileClientsDoNotRead: what the gateway held for clients that have
// not read for a while is lost with it, and is little enough for the engine to have it still.
func TestGatewayKilledWhileClientsDoNotRead(t *testing.T) {
	t.Parallel()
	clients, pause := env.Count(5, 50), env.Duration(5*time.Second, 30*time.Second)
	const rows, batchBytes = 8_000_000, 500_000 // 64 MB, as fast as they can be read
	c := env.StartGateways(t, env.StartZooKeeper(t, 1), 2, env.FakeSpark(t))
	random := env.Randomness(t)
	resume := make(chan struct{})
	var paused sync.WaitGroup
	paused.Add(clients)
	var all errgroup.Group
	for n := range clients {
		client, now := c.Client(0, "alice"), random.Int64N(rows/2)
		all.Go(func() error {
			h := env.History{}
			var once sync.Once
			story, err := client.Query(t.Context(), fmt.Sprintf("SELECT * FROM rows(%d, %d, 0)", rows, batchBytes), func(r *pb.ExecutePlanResponse) error {
				if h.Rows > now {
					once.Do(func() { paused.Done(); <-resume })
				}
				return h.Add(r)
			})
			switch {
			case err != nil:
				return fmt.Errorf("client %d, which stopped at row %d: %w", n, now, err)
			case h.Rows != rows || story.Retried == 0:
				return fmt.Errorf("client %d has %d rows, %+v", n, h.Rows, story)
			}
			return nil
		})
	}
	paused.Wait()
	<-time.After(pause)
	c.Gateways[0].Signal(syscall.SIGKILL)
	close(resume)
	require.NoError(t, all.Wait())
	require.Len(t, folders(t, c, "*"), 1)
}
