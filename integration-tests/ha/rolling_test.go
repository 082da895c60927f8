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
	const clients = 20
	wanted, rounds := int64(env.Count(1_000, 10_000)), env.Count(1, 10)
	c := env.StartGateways(t, env.StartZooKeeper(t, 1), 2,
		env.FakeSpark(t, "kyuubi.server.graceful.shutdown.timeout", fmt.Sprintf("PT%dS", drainTime/time.Second)))
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
		l := looping{c.Client(n, "alice"), rand.New(rand.NewPCG(uint64(n), 0)), &calls, &retried}
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
	require.Equal(t, []int{pid}, drivers(c))
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
	calls, retried *atomic.Int64
}

// longQuery runs a query that no gateway waits for when it stops.
func (l *looping) longQuery(ctx context.Context) error {
	defer l.calls.Add(1)
	return l.query(ctx, 10_000)
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
		l.client = another(l.client)
		return l.again(ctx, func() error { return l.client.Version(ctx) })
	case 1:
		return l.query(ctx, 1000) // two seconds
	case 2, 3, 4, 5:
		return l.query(ctx, 40)
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

// query runs a query whose rows come ten each 20 ms.
func (l *looping) query(ctx context.Context, rows int64) error {
	h := history{responses: map[string]bool{}}
	story, err := l.client.Query(ctx, fmt.Sprintf("SELECT * FROM rows(%d, 80, 20)", rows), h.add)
	l.retried.Add(int64(story.Retried))
	if err == nil && h.rows.Rows != rows {
		return fmt.Errorf("%d rows of %d", h.rows.Rows, rows)
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
