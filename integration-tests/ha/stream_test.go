// SPDX-License-Identifier: Apache-2.0

package ha

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"roundhouse/engine/enginetest"
	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

// stallTarget is how long a client may wait for its next row when the gateway
// dies that sent the last one, in 95 of 100 cases.
const stallTarget = 1500 * time.Millisecond

// history checks the responses of one query: every response once, and every row
// once, unchanged and in order.
type history struct {
	rows      enginetest.RowCheck
	responses map[string]bool
}

func (h *history) add(r *pb.ExecutePlanResponse) error {
	if h.responses[r.GetResponseId()] {
		return fmt.Errorf("response %s came twice", r.GetResponseId())
	}
	h.responses[r.GetResponseId()] = true
	return h.rows.Add(r)
}

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
	random := randomness(t)
	session := uuid.NewString()
	require.NoError(t, with(c.Client(0, "alice"), session).Version(t.Context()))
	e := c.Gateways[0].OnlyEngine()
	for trial := range trials {
		victim := trial % len(c.Gateways)
		client := c.Client(victim, "alice")
		client.Session = session
		story, stall := killInAQuery(t, c.Gateways[victim], client, random)
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
	require.Equal(t, []int{e.PID}, drivers(c))
	return stalls
}

// killInAQuery kills the gateway that serves a query of 20 MB in a second when a random
// row of it has come and the last quarter is still outstanding. It returns the longest wait for a
// response.
func killInAQuery(t *testing.T, g *env.Gateway, c *env.SparkClient, random *rand.Rand) (story env.Story, stall time.Duration) {
	t.Helper()
	const rows, batchBytes, delay = 2_500_000, 200_000, 10
	h := history{responses: map[string]bool{}}
	now, reached := 1+random.Int64N(rows*3/4), make(chan struct{})
	var once sync.Once
	done := make(chan error, 1)
	go func() { // waited for below
		last := time.Now()
		var err error
		story, err = c.Query(t.Context(), fmt.Sprintf("SELECT * FROM rows(%d, %d, %d)", rows, batchBytes, delay),
			func(r *pb.ExecutePlanResponse) error {
				stall, last = max(stall, time.Since(last)), time.Now()
				err := h.add(r)
				if h.rows.Rows >= now {
					once.Do(func() { close(reached) })
				}
				return err
			})
		done <- err
	}()
	select {
	case <-reached:
	case err := <-done:
		require.FailNow(t, "the query ended before the kill", "row %d: %v", now, err)
	}
	<-time.After(time.Duration(random.Int64N(int64(delay * time.Millisecond)))) // anywhere between two batches
	g.Signal(syscall.SIGKILL)
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(2 * time.Minute):
		require.FailNow(t, "the query does not end")
	}
	require.EqualValues(t, rows, h.rows.Rows)
	return story, stall
}

// TestGatewayKilledWhileClientsDoNotRead: what the gateway held for clients that have
// not read for a while is lost with it, and is little enough for the engine to have it still.
func TestGatewayKilledWhileClientsDoNotRead(t *testing.T) {
	t.Parallel()
	clients, pause := env.Count(5, 50), env.Duration(5*time.Second, 30*time.Second)
	const rows, batchBytes = 8_000_000, 500_000 // 64 MB, as fast as they can be read
	c := env.StartGateways(t, env.StartZooKeeper(t, 1), 2, env.FakeSpark(t))
	random := randomness(t)
	resume := make(chan struct{})
	var paused sync.WaitGroup
	paused.Add(clients)
	var all errgroup.Group
	for n := range clients {
		client, now := c.Client(0, "alice"), random.Int64N(rows/2)
		all.Go(func() error {
			h := history{responses: map[string]bool{}}
			var once sync.Once
			story, err := client.Query(t.Context(), fmt.Sprintf("SELECT * FROM rows(%d, %d, 0)", rows, batchBytes), func(r *pb.ExecutePlanResponse) error {
				if h.rows.Rows > now {
					once.Do(func() { paused.Done(); <-resume })
				}
				return h.add(r)
			})
			switch {
			case err != nil:
				return fmt.Errorf("client %d, which stopped at row %d: %w", n, now, err)
			case h.rows.Rows != rows || story.Retried == 0:
				return fmt.Errorf("client %d has %d rows, %+v", n, h.rows.Rows, story)
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
