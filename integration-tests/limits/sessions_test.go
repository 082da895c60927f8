// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

// TestSessionLimits of all three kinds, over Connect and REST together.
func TestSessionLimits(t *testing.T) {
	g := start(t, map[string]string{
		"kyuubi.server.limit.connections.per.user":            "3",
		"kyuubi.server.limit.connections.per.ipaddress":       "5",
		"kyuubi.server.limit.connections.per.user.ipaddress":  "2",
		"kyuubi.server.limit.connections.user.unlimited.list": "etl",
		"kyuubi.server.limit.connections.user.deny.list":      "eve",
	})
	alice := env.NewSparkClient(t, g.GRPC, "alice")
	require.NoError(t, alice.Version(t.Context()))
	second := alice.Another()
	require.NoError(t, second.Version(t.Context()))
	requireLimit(t, alice.Another().Version(t.Context()), "kyuubi.server.limit.connections.per.user.ipaddress", "has 2 sessions", "may have 2", "spark.stop()")
	code, body := g.Call(http.MethodPost, "/api/v1/sessions", "alice")
	require.Equal(t, http.StatusTooManyRequests, code, string(body))
	require.Contains(t, string(body), "kyuubi.server.limit.connections.per.user.ipaddress")

	etl := env.NewSparkClient(t, g.GRPC, "etl")
	for range 6 {
		require.NoError(t, etl.Another().Version(t.Context()), "unlimited")
	}
	bob, carol := env.NewSparkClient(t, g.GRPC, "bob"), env.NewSparkClient(t, g.GRPC, "carol")
	require.NoError(t, bob.Version(t.Context()))
	require.NoError(t, bob.Another().Version(t.Context()))
	require.NoError(t, carol.Version(t.Context()))
	requireLimit(t, carol.Another().Version(t.Context()), "kyuubi.server.limit.connections.per.ipaddress", "5 sessions are open from 127.0.0.1")

	require.NoError(t, second.Release(t.Context()))
	require.NoError(t, carol.Another().Version(t.Context()), "a place that was given back")

	eve := env.NewSparkClient(t, g.GRPC, "eve")
	err := eve.Version(t.Context())
	require.Equal(t, codes.PermissionDenied, status.Code(err), err)
	require.ErrorContains(t, err, "kyuubi.server.limit.connections.user.deny.list")
	require.Empty(t, enginesOf(g, "eve"))
	code, _ = g.Call(http.MethodPost, "/api/v1/sessions", "eve")
	require.Equal(t, http.StatusForbidden, code)
}

// TestDeniedAddress reaches nothing, at neither door.
func TestDeniedAddress(t *testing.T) {
	const denied = "127.0.0.2"
	g := start(t, map[string]string{"kyuubi.server.limit.connections.ip.deny.list": "192.0.2.7, " + denied})
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(denied)}}
	conn, err := grpc.NewClient("passthrough:///"+g.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		}))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = pb.NewSparkConnectServiceClient(conn).Config(t.Context(), &pb.ConfigRequest{
		SessionId: uuid.NewString(), UserContext: &pb.UserContext{UserId: "alice"},
		Operation: &pb.ConfigRequest_Operation{OpType: &pb.ConfigRequest_Operation_GetAll{GetAll: &pb.ConfigRequest_GetAll{}}},
	})
	require.Equal(t, codes.PermissionDenied, status.Code(err), err)
	require.ErrorContains(t, err, denied)

	transport := &http.Transport{DialContext: dialer.DialContext}
	defer transport.CloseIdleConnections()
	reply, err := (&http.Client{Transport: transport}).Post("http://"+g.REST+"/api/v1/sessions", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	require.Equal(t, http.StatusForbidden, reply.StatusCode)
	require.Empty(t, g.Engines())
}

// TestLastPlaceGoesToOne: a hundred calls at the same moment get exactly the
// sessions and engines that there are.
func TestLastPlaceGoesToOne(t *testing.T) {
	g := start(t, map[string]string{
		"kyuubi.server.limit.connections.per.user": "7", "kyuubi.server.limit.engines.per.user": "2",
		"kyuubi.engine.share.level": "CONNECTION", "kyuubi.server.limit.engine.startup": "4",
	})
	alice := env.NewSparkClient(t, g.GRPC, "alice")
	var all sync.WaitGroup
	results := make(chan error, 100)
	for range 100 {
		all.Go(func() { results <- alice.Another().Version(t.Context()) })
	}
	all.Wait()
	close(results)
	ok := 0
	for err := range results {
		if err == nil {
			ok++
			continue
		}
		require.Equal(t, codes.ResourceExhausted, status.Code(err), err)
	}
	require.Equal(t, 2, ok, "each has an engine of its own, and there are two")
	require.Len(t, g.Sessions(), 2, "a session that gets no engine gives its place back")
	require.EqualValues(t, 2, g.Metric("kyuubi_engine_total"))
}

// TestEngineLimits per user and per group name what is there and what to do.
func TestEngineLimits(t *testing.T) {
	g := start(t, map[string]string{
		"kyuubi.server.limit.engines.per.user": "2", "kyuubi.server.limit.engines.per.group": "3",
		"hadoop.user.group.static.mapping.overrides": "alice=analysts,staff;bob=analysts;carol=staff,analysts",
	})
	alice, bob := env.NewSparkClient(t, g.GRPC, "alice"), env.NewSparkClient(t, g.GRPC, "bob")
	require.NoError(t, alice.Version(t.Context()))
	require.NoError(t, alice.Another().Version(t.Context()), "equal wishes share an engine")
	require.NoError(t, alice.Another().Version(wants(t.Context(), "2g")))
	requireLimit(t, alice.Another().Version(wants(t.Context(), "3g")), "kyuubi.server.limit.engines.per.user",
		"alice has 2 engines and may have 2", enginesOf(g, "alice")[0].RefID, "DELETE /api/v1/admin/engine")
	require.NoError(t, bob.Version(t.Context()))
	requireLimit(t, bob.Another().Version(wants(t.Context(), "3g")), "kyuubi.server.limit.engines.per.group", "group analysts have 3 engines and may have 3")
	require.NoError(t, env.NewSparkClient(t, g.GRPC, "carol").Version(t.Context()), "the primary group counts")
	g.KillEngine(enginesOf(g, "alice")[0].RefID)
	require.NoError(t, bob.Another().Version(wants(t.Context(), "3g")))
}
