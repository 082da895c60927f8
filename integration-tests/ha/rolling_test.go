// SPDX-License-Identifier: Apache-2.0

package ha

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

// drainTime is kyuubi.server.graceful.shutdown.timeout of the rolling restart.
const drainTime = 5 * time.Second

// TestRollingRestart of both gateways while clients call all the time: no call fails, but
// for those that Spark's clients make again by themselves.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	requireRolling(t, env.FakeSpark(t), fakeRows, int64(env.Count(1_000, 10_000)))
}

// TestRollingRestartOfSpark is the same with real Spark.
func TestRollingRestartOfSpark(t *testing.T) {
	requireRolling(t, map[string]string{"spark.driver.memory": "700m", "spark.master": "local[24]"}, sparkRows, int64(env.Count(200, 10_000)))
}

// requireRolling wants so many calls without a failure, one of each client's while each gateway is away.
func requireRolling(t *testing.T, conf map[string]string, query results, wanted int64) {
	t.Helper()
	const clients = 20
	rounds := env.Count(1, 10)
	conf["kyuubi.server.graceful.shutdown.timeout"] = fmt.Sprintf("PT%dS", drainTime/time.Second)
	c := env.StartGateways(t, env.StartZooKeeper(t, 1), 2, conf)
	require.NoError(t, c.Client(0, "alice").Version(t.Context()))
	pid := c.Gateways[0].OnlyEngine().PID
	var calls, retried atomic.Int64
	rolled := make(chan struct{})
	over := func() bool {
		select {
		case <-rolled:
			return calls.Load() >= wanted
		default:
			return false
		}
	}
	all, ctx := errgroup.WithContext(t.Context())
	for n := range clients {
		l := looping{c.Client(n, "alice"), rand.New(rand.NewPCG(uint64(n), 0)), query, &calls, &retried}
		call := l.call
		if n < 2 {
			call = l.longQuery
		}
		all.Go(func() error {
			for !over() {
				if err := call(ctx); err != nil {
					return fmt.Errorf("client %d: %w", n, err)
				}
			}
			return l.client.Release(ctx)
		})
	}
	env.Eventually(t, time.Minute, "the engine is warm", func() bool { return calls.Load() >= 5*clients })
	var took []time.Duration
	for range rounds {
		for _, g := range c.Gateways {
			before := calls.Load()
			took = append(took, restart(t, g))
			require.Greater(t, calls.Load(), before+clients, "calls go on meanwhile")
		}
	}
	close(rolled)
	require.NoError(t, all.Wait())
	t.Logf("%d calls, none failed, %d tries again; %d restarts, the longest stop %v", calls.Load(), retried.Load(), len(took), percentile(took, 1))
	require.GreaterOrEqual(t, retried.Load(), int64(len(took)), "the long queries were cut")
	require.Len(t, folders(t, c, "*"), 1, "one engine was ever launched")
	require.Equal(t, []int{pid}, env.Drivers(c.Gateways...))
}

// restart stops a gateway in an orderly way, and starts it again.
func restart(t *testing.T, g *env.Gateway) (stopped time.Duration) {
	t.Helper()
	began := time.Now()
	g.Signal(syscall.SIGTERM)
	stopped = time.Since(began)
	require.Zero(t, g.ExitCode(), g.Log())
	require.LessOrEqual(t, stopped, drainTime+500*time.Millisecond)
	g.Start()
	return stopped
}

// looping is a client that calls all the time.
type looping struct {
	client         *env.SparkClient
	random         *rand.Rand
	results        results
	calls, retried *atomic.Int64
}

// longQuery runs a query that no gateway waits for when it stops.
func (l *looping) longQuery(ctx context.Context) error {
	defer l.calls.Add(1)
	return l.query(ctx, 20*time.Second)
}

// call makes one call, with Spark's tries again.
func (l *looping) call(ctx context.Context) error {
	defer l.calls.Add(1)
	switch l.random.IntN(20) {
	case 0:
		if err := l.client.Release(ctx); err != nil {
			return fmt.Errorf("release: %w", err)
		}
		l.calls.Add(1)
		l.client = l.client.Another()
		return l.again(ctx, func() error { return l.client.Version(ctx) })
	case 1:
		return l.query(ctx, 2*time.Second)
	case 2, 3, 4, 5:
		return l.query(ctx, 80*time.Millisecond)
	case 6, 7, 8, 9, 10:
		return l.again(ctx, func() error { return l.client.Version(ctx) })
	}
	return l.again(ctx, func() error { return get(ctx, l.client) })
}

func (l *looping) again(ctx context.Context, call func() error) error {
	retried, err := env.Retry(ctx, call)
	l.retried.Add(int64(retried))
	return err
}

// results are a query that takes so long, its number of rows, what takes its responses, and
// how many rows have come.
type results func(lasts time.Duration) (sql string, rows int64, add func(*pb.ExecutePlanResponse) error, came func() int64)

// fakeRows come ten each 20 ms.
func fakeRows(lasts time.Duration) (string, int64, func(*pb.ExecutePlanResponse) error, func() int64) {
	h, rows := &env.History{}, 10*int64(lasts/(20*time.Millisecond))
	return fmt.Sprintf("SELECT * FROM rows(%d, 80, 20)", rows), rows, h.Add, func() int64 { return h.Rows }
}

// sparkRows come one each 20 ms.
func sparkRows(lasts time.Duration) (string, int64, func(*pb.ExecutePlanResponse) error, func() int64) {
	rows, came := int64(lasts/(20*time.Millisecond)), int64(0)
	add := func(r *pb.ExecutePlanResponse) error {
		b := r.GetArrowBatch()
		if b != nil && b.GetStartOffset() != came {
			return fmt.Errorf("expected row %d next, the batch starts with row %d", came, b.GetStartOffset())
		}
		came += b.GetRowCount()
		return nil
	}
	return fmt.Sprintf("SELECT id, java_method('java.lang.Thread', 'sleep', 20L) FROM range(0, %d, 1, 1)", rows), rows, add, func() int64 { return came }
}

func (l *looping) query(ctx context.Context, lasts time.Duration) error {
	sql, rows, add, came := l.results(lasts)
	story, err := l.client.Query(ctx, sql, add)
	l.retried.Add(int64(story.Retried))
	if err == nil && came() != rows {
		return fmt.Errorf("%d rows of %d", came(), rows)
	}
	return err
}

func get(ctx context.Context, c *env.SparkClient) error {
	_, err := c.Config(ctx, &pb.ConfigRequest{
		SessionId: c.Session, UserContext: c.UserContext(),
		Operation: &pb.ConfigRequest_Operation{OpType: &pb.ConfigRequest_Operation_GetAll{GetAll: &pb.ConfigRequest_GetAll{}}},
	})
	return err
}
