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
// connection went dark (engine: ping interval and its timeout), and some room
// for a busy machine.
const darkness = 24*time.Second + 15*time.Second

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
	require.Less(t, check.gap, darkness)
	require.Equal(t, 1, story.Retried)
	before := oneEngine(t, h.Gateway)
	t.Logf("half-open connection noticed and replaced within %v", check.gap.Round(time.Millisecond))

	h.engine.Darken()
	h.engine.Cut() // so that the next call needs a new connection
	err = c.Version(t.Context())
	require.Equal(t, codes.Unavailable, status.Code(err), err)
	require.Contains(t, err.Error(), "[GATEWAY.ENGINE_UNREACHABLE]")
	require.Contains(t, err.Error(), before.RefID)
	t.Log(status.Convert(err).Message())
	h.engine.Open(t)
	eventually(t, 10*time.Second, "the way is open again", func() bool { return c.Version(t.Context()) == nil })
	require.Equal(t, before, oneEngine(t, h.Gateway))
	require.Len(t, h.Sessions(), 1)
}

// TestFlakyWays: connections are reset every one to three seconds, first those
// to the engine, then those to the gateway, then both, while streams end after
// a second or 123 bytes. No row is lost or doubled, no client sees an error, and
// nothing is left behind.
func TestFlakyWays(t *testing.T) {
	t.Parallel()
	h := newHops(t,
		"spark.connect.execute.reattachable.senderMaxStreamDuration", "1s",
		"spark.connect.execute.reattachable.senderMaxStreamSize", "123")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	quiet := flakyRound(t, h, 1)
	require.Zero(t, quiet.Retried, "nothing is cut yet")
	before := footprint(t, h)

	lasts := env.Duration(20*time.Second, 5*time.Minute) / 3
	for name, links := range map[string][]*env.Link{
		"engine": {h.engine}, "client": {h.client}, "both": {h.engine, h.client},
	} {
		engineCuts, clientCuts := h.engine.Cuts(), h.client.Cuts()
		ctx, stop := context.WithTimeout(t.Context(), lasts)
		var flapping sync.WaitGroup
		for i, l := range links {
			flapping.Go(func() { l.Flap(ctx, rand.New(rand.NewPCG(seed, uint64(i))), time.Second, 3*time.Second) }) // waited for below
		}
		var story env.Story
		queries := 0
		for ; ctx.Err() == nil; queries += clients {
			round := flakyRound(t, h, clients)
			story.Retried += round.Retried
			story.Reattached += round.Reattached
			story.Restarted += round.Restarted
		}
		stop()
		flapping.Wait()
		engineCuts, clientCuts = h.engine.Cuts()-engineCuts, h.client.Cuts()-clientCuts
		t.Logf("%s flaky for %v: %d queries, connections cut: %d to the engine, %d of clients, %+v", name, lasts, queries, engineCuts, clientCuts, story)
		require.NotZero(t, story.Retried, "the cuts were felt")
		// One retry for each cut: the clients have a connection each, and share the engine's.
		require.LessOrEqual(t, story.Retried, clientCuts+engineCuts*clients)
	}
	requireFootprint(t, h, before)
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
			all.Retried += story.Retried
			all.Reattached += story.Reattached
			all.Restarted += story.Restarted
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
	return holdings{descriptors(t, h.PID()), metric(t, h.Gateway, "go_goroutines")}
}

// requireFootprint waits until a gateway holds no more than before, but for a
// few connections that may come and go.
func requireFootprint(t *testing.T, h hops, before holdings) {
	t.Helper()
	var now holdings
	eventually(t, 30*time.Second, fmt.Sprintf("the gateway holds what it held before: %+v", before), func() bool {
		now = footprint(t, h)
		return now.descriptors <= before.descriptors+3 && now.goroutines <= before.goroutines+15
	})
	t.Logf("held before %+v, after %+v", before, now)
	eventually(t, 10*time.Second, "no session is left", func() bool { return len(h.Sessions()) == 0 })
	require.Len(t, h.Engines(), 1)
}
