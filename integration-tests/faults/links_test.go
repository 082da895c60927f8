// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
)

// darkness is the longest time until the gateway notices that an engine's
// connection went dark: 25 s (decision 0006), and some room for a busy machine,
// more of it where a short run does much at once.
func darkness() time.Duration {
	return 25*time.Second + env.Duration(15*time.Second, 5*time.Second)
}

// TestDarkWayToTheEngine: bytes vanish between gateway and engine and nobody
// is told. The query goes on with all rows; calls are told clearly while the way
// is dark; the engine, which lives, is not given up.
func TestDarkWayToTheEngine(t *testing.T) {
	t.Parallel()
	h := newHops(t)
	c := env.NewSparkClient(t, h.GRPC, "alice")
	sql, rows := slowRows(200, 10*time.Millisecond)
	check := &rowCheck{after: rows / 4, then: func() { h.engine.HalfOpen(t) }}
	story, err := c.Query(t.Context(), sql, check.add)
	require.NoError(t, err)
	require.Equal(t, rows, check.Rows)
	require.Less(t, check.gap, darkness())
	// The connection is lost once; the first redial may fall into the pause of grpc
	// after it, which is another error to the client.
	require.Contains(t, []int{1, 2}, story.Retried)
	require.Zero(t, story.Restarted, "the query ran once")
	before := h.OnlyEngine()
	t.Logf("half-open connection noticed and replaced within %v", check.gap.Round(time.Millisecond))

	h.engine.Darken()
	h.engine.Cut() // so that the next call needs a new connection
	err = c.Version(t.Context())
	require.Equal(t, codes.Unavailable, status.Code(err), err)
	require.Contains(t, err.Error(), "[GATEWAY.ENGINE_UNREACHABLE]")
	require.Contains(t, err.Error(), before.RefID)
	t.Log(status.Convert(err).Message())
	h.engine.Open(t)
	env.Eventually(t, 10*time.Second, "the way is open again", func() bool { return c.Version(t.Context()) == nil })
	require.Equal(t, before, h.OnlyEngine())
	require.Len(t, h.Sessions(), 1)
}

// TestHalfOpenWayToAClient: the gateway gives a connection back whose client is
// gone without a word, 80 s after it heard the last of it.
func TestHalfOpenWayToAClient(t *testing.T) {
	if !env.Long() {
		t.Skip("long run only (make test-long): it takes 80 s")
	}
	t.Parallel()
	h := newHops(t)
	alice := env.NewSparkClient(t, h.GRPC, "alice") // keeps her way to the engine
	require.NoError(t, alice.Version(t.Context()))
	require.NoError(t, alice.Version(t.Context()))
	before := descriptors(t, h.PID())
	lost := env.NewSparkClient(t, h.client.Addr, "alice")
	require.NoError(t, lost.Version(t.Context()))
	h.client.HalfOpen(t)
	began := time.Now()
	lost.Close() // nobody tells the gateway
	require.Greater(t, descriptors(t, h.PID()), before, "the connection is there")
	env.Eventually(t, 90*time.Second, "the gateway gives the dead connection back", func() bool { return descriptors(t, h.PID()) <= before })
	took := time.Since(began)
	t.Logf("given back after %v", took.Round(time.Millisecond))
	require.Greater(t, took, 10*time.Second, "the gateway was not told")
	require.NoError(t, alice.Version(t.Context()), "others are left alone")
}

// TestFlakyWays: connections are reset every one to three seconds, those to the
// engine, those to the gateway, or both, while streams end after a second or 123
// bytes. No row is lost or doubled, no client sees an error, and nothing is left
// behind.
func TestFlakyWays(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]func(hops) []*env.Link{
		"engine": func(h hops) []*env.Link { return []*env.Link{h.engine} },
		"client": func(h hops) []*env.Link { return []*env.Link{h.client} },
		"both":   func(h hops) []*env.Link { return []*env.Link{h.engine, h.client} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHops(t,
				"spark.connect.execute.reattachable.senderMaxStreamDuration", "1s",
				"spark.connect.execute.reattachable.senderMaxStreamSize", "123")
			quiet := flakyRound(t, h, 1)
			require.Zero(t, quiet.Retried, "nothing is cut yet")
			before := footprint(t, h)
			requireFlakyWaysAreBorne(t, h, of(h))
			requireFootprint(t, h, before)
		})
	}
}

// requireFlakyWaysAreBorne runs queries while links are cut again and again.
func requireFlakyWaysAreBorne(t *testing.T, h hops, links []*env.Link) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	lasts := env.Duration(10*time.Second, 5*time.Minute)
	ctx, stop := context.WithTimeout(t.Context(), lasts)
	var flapping sync.WaitGroup
	for i, l := range links {
		flapping.Go(func() { env.Flap(ctx, rand.New(rand.NewPCG(seed, uint64(i))), time.Second, 3*time.Second, l.Cut) }) // waited for below
	}
	var story env.Story
	queries := 0
	for ; ctx.Err() == nil; queries += clients {
		add(&story, flakyRound(t, h, clients))
	}
	stop()
	flapping.Wait()
	engineCuts, clientCuts := h.engine.Cuts(), h.client.Cuts()
	t.Logf("flaky for %v: %d queries, connections cut: %d to the engine, %d of clients, %+v", lasts, queries, engineCuts, clientCuts, story)
	require.NotZero(t, story.Retried, "the cuts were felt")
	// One retry for each cut: the clients have a connection each, and share the
	// engine's. A tenth more, and one each, for redials into the pause of grpc.
	cuts := clientCuts + engineCuts*clients
	require.LessOrEqual(t, story.Retried, cuts+cuts/10+clients)
	// A query is sent again only if the engine has not heard of it: the cut fell
	// into its first milliseconds of two seconds, which are more on a busy machine. One cut
	// to the engine hits all clients, which begin together.
	require.LessOrEqual(t, story.Restarted, clients+queries/20)
}

// add adds up what queries took.
func add(sum *env.Story, one env.Story) {
	sum.Retried += one.Retried
	sum.Reattached += one.Reattached
	sum.Restarted += one.Restarted
}

// clients run their queries at once.
const clients = 3

// flakyRound runs one query each of n clients to its end.
func flakyRound(t *testing.T, h hops, n int) env.Story {
	t.Helper()
	var all env.Story
	var mu sync.Mutex
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { // waited for below
			c := env.NewSparkClient(t, h.client.Addr, "alice")
			defer c.Close()
			sql, rows := slowRows(100, 20*time.Millisecond)
			check := &rowCheck{}
			story, err := c.Query(t.Context(), sql, check.add)
			if err == nil && check.Rows != rows {
				err = fmt.Errorf("%d rows of %d", check.Rows, rows)
			}
			if err == nil {
				err = c.Release(t.Context())
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("client %d: %v", i, err)
			}
			add(&all, story)
		})
	}
	running.Wait()
	require.False(t, t.Failed())
	return all
}

// holdings are what a gateway holds.
type holdings struct {
	descriptors int
	goroutines  float64
}

func footprint(t *testing.T, h hops) holdings {
	t.Helper()
	return holdings{descriptors(t, h.PID()), h.Metric("go_goroutines")}
}

// requireFootprint waits until a gateway holds no more than before, but for a
// few connections that may come and go.
func requireFootprint(t *testing.T, h hops, before holdings) {
	t.Helper()
	var now holdings
	env.Eventually(t, 30*time.Second, fmt.Sprintf("the gateway holds what it held before: %+v", before), func() bool {
		now = footprint(t, h)
		return now.descriptors <= before.descriptors+3 && now.goroutines <= before.goroutines+15
	})
	t.Logf("held before %+v, after %+v", before, now)
	env.Eventually(t, 10*time.Second, "no session is left", func() bool { return len(h.Sessions()) == 0 })
	require.Len(t, h.Engines(), 1)
}
