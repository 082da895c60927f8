// SPDX-License-Identifier: Apache-2.0

package jwt

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"roundhouse/integration-tests/env"
)

// TestForgeries: none is accepted, by either door, and no answer says what was
// wrong.
func TestForgeries(t *testing.T) {
	t.Parallel()
	i := env.StartIssuer(t, true)
	rs, es := i.Key(), i.Publish("ES256")
	i.Use(rs)
	g := start(t, trust(t, i))
	constant := ask(t, g, "of-nobody-at-all")
	require.Equal(t, http.StatusUnauthorized, constant.code)
	require.Contains(t, constant.challenge, "Bearer")
	refused, ok := status.FromError(with(t, g, "of-nobody-at-all").Version(t.Context()))
	require.True(t, ok)
	require.Equal(t, codes.Unauthenticated, refused.Code())

	all := env.ForgedTokens(t, i, rs, es)
	require.GreaterOrEqual(t, len(all), 100)
	var token atomic.Pointer[string]
	mallory := client(t, g, func() string { return *token.Load() })
	for name, forged := range all {
		require.Equal(t, constant, ask(t, g, forged), name)
		token.Store(&forged)
		got, ok := status.FromError(mallory.Version(t.Context()))
		require.True(t, ok, name)
		require.True(t, proto.Equal(refused.Proto(), got.Proto()), "%s: %v", name, got)
	}
	require.Empty(t, g.Sessions(), "nobody came in")
	require.Equal(t, 1, i.Fetches(), "nobody was asked for keys")
	log := g.Log()
	for name, forged := range all {
		for part := range strings.SplitSeq(forged, ".") {
			require.False(t, len(part) > 40 && strings.Contains(log, part), "%s is in the log", name)
		}
	}
	for _, k := range []env.IssuerKey{rs, es} {
		require.NoError(t, with(t, g, k.Sign(t, i.Claims("alice", nil), nil)).Version(t.Context()), "good ones are")
	}
	t.Logf("%d forged tokens by two doors, 0 accepted", len(all))
}

// TestUnknownKeys: a flood of tokens with keys that nobody has costs the issuer
// nothing, and good users next to nothing.
func TestUnknownKeys(t *testing.T) {
	t.Parallel()
	i := env.StartIssuer(t, false)
	g := start(t, trust(t, i))
	require.Equal(t, http.StatusOK, ask(t, g, i.Token("alice", nil)).code)
	before := i.Fetches()
	forged := make([]string, 200)
	for n := range forged {
		k := i.Key()
		k.ID = fmt.Sprint("unknown-", n)
		forged[n] = k.Sign(t, i.Claims("alice", nil), nil)
	}
	ctx, cancel := context.WithTimeout(t.Context(), env.Duration(3*time.Second, 60*time.Second))
	defer cancel()
	var accepted, refused atomic.Int64
	var flood sync.WaitGroup
	for n := range 4 {
		flood.Go(func() {
			busily(ctx, func() {
				if ask(t, g, forged[n%len(forged)]).code == http.StatusUnauthorized {
					refused.Add(1)
				} else {
					accepted.Add(1)
				}
				n++
			})
		})
	}
	good, slowest := 0, time.Duration(0)
	for ctx.Err() == nil {
		began := time.Now()
		require.Equal(t, http.StatusOK, ask(t, g, i.Token("bob", nil)).code)
		good, slowest = good+1, max(slowest, time.Since(began))
	}
	flood.Wait()
	require.Zero(t, accepted.Load())
	require.Greater(t, refused.Load(), int64(200))
	require.LessOrEqual(t, i.Fetches()-before, 1)
	t.Logf("%d unknown keys refused, %d fetches; %d good calls, the slowest %v", refused.Load(), i.Fetches()-before, good, slowest)
}
