// SPDX-License-Identifier: Apache-2.0

package restart

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/engine/enginetest"
	"roundhouse/integration-tests/env"
	"roundhouse/internal/failpoint"
	pb "roundhouse/proto/gen/spark/connect"
)

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
	random := randomness(t)
	g := env.Start(t, env.FakeSpark(t))
	c := env.NewSparkClient(t, g.GRPC, "alice")
	require.NoError(t, c.Version(t.Context()))
	e := g.OnlyEngine()
	for trial := range trials {
		story, stall := killInAQuery(t, g, c, random)
		t.Logf("trial %d: longest wait for a row %v, %+v", trial, stall.Round(time.Millisecond), story)
		require.NotZero(t, story.Retried, "the kill hit the query")
		require.Equal(t, e.PID, g.OnlyEngine().PID)
		require.Len(t, g.Sessions(), 1)
	}
	require.Len(t, folders(t, g), 1, "one engine was ever launched")
}

// killInAQuery kills the gateway when a random row of a query of a second has
// come and the last quarter is still outstanding, and starts it again. It returns
// the longest wait for a response.
func killInAQuery(t *testing.T, g *env.Gateway, c *env.SparkClient, random *rand.Rand) (story env.Story, stall time.Duration) {
	t.Helper()
	const rows, batchBytes, delay = 20_000, 1600, 10
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
	crash(g)
	g.Start()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(2 * time.Minute):
		require.FailNow(t, "the query does not end")
	}
	require.EqualValues(t, rows, h.rows.Rows)
	return story, stall
}

// TestGatewayKilledInAQueryOfSpark is the same with real Spark and real PySpark.
// The gateway is killed in the launch of the engine first of all.
func TestGatewayKilledInAQueryOfSpark(t *testing.T) {
	random := randomness(t)
	g := env.Prepare(t, nil)
	g.Binary, g.Environ = withFailpoints(t), []string{variable + "=" + failpoint.Spawned}
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

func TestHistoryFindsRowsThatAreDoubled(t *testing.T) {
	h := history{responses: map[string]bool{}}
	r := &pb.ExecutePlanResponse{ResponseId: "r1"}
	require.NoError(t, h.add(r))
	require.ErrorContains(t, h.add(r), "came twice")
	start := int64(7)
	gap := &pb.ExecutePlanResponse{ResponseId: "r2", ResponseType: &pb.ExecutePlanResponse_ArrowBatch_{
		ArrowBatch: &pb.ExecutePlanResponse_ArrowBatch{StartOffset: &start},
	}}
	require.ErrorContains(t, h.add(gap), "expected row 0")
}
