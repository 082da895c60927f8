// SPDX-License-Identifier: Apache-2.0

package jwt

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// refresh makes the gateway ask for keys every second.
var refresh = []string{"kyuubi.authentication.jwt.refresh.interval", "1s"}

// TestRotation: the issuer changes its key again and again while people work, and
// no call fails.
func TestRotation(t *testing.T) {
	t.Parallel()
	i := env.StartIssuer(t, true)
	current := i.Publish("ES256")
	g := start(t, trust(t, i), refresh...)
	fresh := func() string { return i.Token("alice", nil) } // a new one for each call
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	var calls, failed atomic.Int64
	count := func(good bool) {
		calls.Add(1)
		if !good {
			failed.Add(1)
		}
	}
	for range 2 {
		alice := client(t, g, fresh)
		require.NoError(t, alice.Version(t.Context()))
		work.Go(func() {
			busily(ctx, func() { count(alice.Version(context.Background()) == nil) })
		})
		work.Go(func() {
			busily(ctx, func() { count(ask(t, g, fresh()).code == http.StatusOK) })
		})
	}
	rotations := env.Count(3, 30)
	i.Use(current)
	for range rotations {
		next := i.Publish("ES256")
		seen := i.Fetches() + 1 // one may have begun before
		env.Eventually(t, 10*time.Second, "the new key is fetched", func() bool { return i.Fetches() > seen })
		i.Use(next)
		env.Eventually(t, 10*time.Second, "calls with the new key", after(&calls, 50))
		i.Withdraw(next)
		current = next
	}
	seen := i.Fetches() + 1
	env.Eventually(t, 10*time.Second, "the old key is gone", func() bool { return i.Fetches() > seen })
	env.Eventually(t, 10*time.Second, "calls without the old key", after(&calls, 50))
	cancel()
	work.Wait()
	require.Zero(t, failed.Load())
	t.Logf("%d rotations, %d calls, 0 failed", rotations, calls.Load())
}

// busily does something up to two hundred times a second until ctx ends.
func busily(ctx context.Context, do func()) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		do()
		<-tick.C
	}
}

// after is true when a count has grown by n.
func after(count *atomic.Int64, n int64) func() bool {
	goal := count.Load() + n
	return func() bool { return count.Load() >= goal }
}

// TestWithdrawnKey: a key that the issuer took back is good no more, nor is one
// that it never signed with before.
func TestWithdrawnKey(t *testing.T) {
	t.Parallel()
	i := env.StartIssuer(t, false)
	stolen := i.Key()
	g := start(t, trust(t, i), refresh...)
	require.Equal(t, http.StatusOK, ask(t, g, i.Token("alice", nil)).code)
	next := i.Publish("RS256")
	i.Withdraw(next)
	env.Eventually(t, 10*time.Second, "the stolen key is refused", func() bool {
		return ask(t, g, stolen.Sign(t, i.Claims("alice", nil), nil)).code == http.StatusUnauthorized
	})
	require.Equal(t, http.StatusOK, ask(t, g, i.Token("alice", nil)).code)
}

// TestIssuerAway: the gateway starts without its issuer, and goes on without it.
func TestIssuerAway(t *testing.T) {
	t.Parallel()
	i := env.StartIssuer(t, false)
	i.Stop()
	g := start(t, trust(t, i), refresh...)
	away := ask(t, g, i.Token("alice", nil))
	require.Equal(t, http.StatusServiceUnavailable, away.code)
	require.Contains(t, away.body, "GATEWAY.AUTH_UNAVAILABLE")
	require.Contains(t, away.body, "The issuer of this token, "+i.URL+", cannot be asked")
	require.Equal(t, http.StatusOK, ask(t, g, aliceToken).code, "other methods go on")
	i.Start()
	env.Eventually(t, 10*time.Second, "it is back", func() bool { return ask(t, g, i.Token("alice", nil)).code == http.StatusOK })

	known := i.Key()
	i.Use(known)
	alice := client(t, g, func() string { return known.Sign(t, i.Claims("alice", nil), nil) })
	require.NoError(t, alice.Version(t.Context()))
	outage := func(name string, begin, end func()) {
		begin()
		unknown := i.Publish("RS256").Sign(t, i.Claims("alice", nil), nil)
		began := time.Now()
		require.NoError(t, alice.Version(t.Context()), name)
		require.Less(t, time.Since(began), 2*time.Second, "%s: a known key waits for nobody", name)
		env.Eventually(t, 15*time.Second, name, func() bool { return ask(t, g, unknown).code == http.StatusServiceUnavailable })
		began = time.Now()
		require.ErrorContains(t, with(t, g, unknown).Version(t.Context()), "[GATEWAY.AUTH_UNAVAILABLE]", name)
		require.Less(t, time.Since(began), 7*time.Second, name)
		end()
		env.Eventually(t, 15*time.Second, name+": back", func() bool { return ask(t, g, unknown).code == http.StatusOK })
	}
	outage("down", i.Stop, i.Start)
	outage("hanging", func() { i.Hang(true) }, func() { i.Hang(false) })
}
