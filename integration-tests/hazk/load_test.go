// SPDX-License-Identifier: Apache-2.0

package hazk

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/engine/enginetest"
	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

// load are clients that work all the time.
type load struct {
	clients []*env.SparkClient
	rows    func() *rows
	stop    context.CancelFunc
	work    sync.WaitGroup

	mu      sync.Mutex
	queries int
	retried int
	longest time.Duration // a query took
	faults  []error
}

// rows are those of a query of half a second.
type rows struct {
	sql   string
	count int64
	enginetest.RowCheck
	real bool
}

func fakeRows() *rows { return &rows{sql: "SELECT rows(1000, 800, 50)", count: 1000} }

func sparkRows() *rows {
	return &rows{sql: "SELECT id, java_method('java.lang.Thread', 'sleep', 10L) FROM range(0, 100, 1, 2)", count: 100, real: true}
}

// add takes the next response. What is in the rows of Spark is not looked at, but where they are.
func (r *rows) add(response *pb.ExecutePlanResponse) error {
	if !r.real {
		return r.Add(response)
	}
	if b := response.GetArrowBatch(); b != nil {
		if b.GetStartOffset() != r.Rows {
			return fmt.Errorf("expected row %d next, the batch starts with row %d", r.Rows, b.GetStartOffset())
		}
		r.Rows += b.GetRowCount()
	}
	return nil
}

// begin starts so many clients of fake engines at each gateway, whose sessions have been
// opened when it returns.
func begin(t *testing.T, c cluster, each int, users ...string) *load {
	t.Helper()
	return beginWith(t, c, fakeRows, each, users...)
}

func beginWith(t *testing.T, c cluster, query func() *rows, each int, users ...string) *load {
	t.Helper()
	l := &load{rows: query}
	ctx, stop := context.WithCancel(t.Context())
	l.stop = stop
	t.Cleanup(func() { stop(); l.work.Wait() })
	for i := range each * 2 {
		client := env.NewSparkClient(t, c.Gateways[i%2].GRPC, users[i%len(users)])
		l.clients = append(l.clients, client)
		require.NoError(t, client.Version(ctx))
	}
	for i, client := range l.clients {
		l.work.Go(func() { l.loop(ctx, client, i) }) // end waits
	}
	return l
}

// loop runs queries of half a second, and calls without a stream between them.
func (l *load) loop(ctx context.Context, c *env.SparkClient, number int) {
	for ctx.Err() == nil {
		began := time.Now()
		r := l.rows()
		story, err := c.Query(ctx, r.sql, r.add)
		if err == nil && r.Rows != r.count {
			err = fmt.Errorf("%d rows of %d", r.Rows, r.count)
		}
		if err == nil {
			err = c.Version(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		l.note(number, story, time.Since(began), err)
	}
}

func (l *load) note(number int, story env.Story, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queries++
	l.retried += story.Retried + story.Restarted
	l.longest = max(l.longest, took)
	if err != nil {
		l.faults = append(l.faults, fmt.Errorf("client %d at %s: %w", number, time.Now().Format(time.TimeOnly), err))
	}
}

// requireUnaffected stops the clients and wants no error and no retry of any.
func (l *load) requireUnaffected(t *testing.T) {
	t.Helper()
	l.stop()
	l.work.Wait()
	t.Logf("%d clients: %d queries, %d retries, %d errors, the longest query took %v", len(l.clients), l.queries, l.retried, len(l.faults), l.longest.Round(time.Millisecond))
	require.Empty(t, l.faults)
	require.Zero(t, l.retried)
	require.Greater(t, l.queries, len(l.clients), "each did something")
}

// opens opens a session of a user with a first query, with the retries of Spark's clients.
func opens(ctx context.Context, c *env.SparkClient) error {
	_, err := c.Query(ctx, "SELECT 1", func(*pb.ExecutePlanResponse) error { return nil })
	return err
}

// refsOf are the ref ids of the engines that a gateway has, in order.
func refsOf(g *env.Gateway) (refs []string) {
	for _, e := range g.Engines() {
		refs = append(refs, e.RefID)
	}
	slices.Sort(refs)
	return refs
}

// count is how many queries there were.
func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queries
}
