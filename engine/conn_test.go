// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"roundhouse/discovery"
	"roundhouse/engine/control"
	connect "roundhouse/proto/gen/spark/connect"
)

// connectServer answers Config calls and keeps the metadata of the last one.
type connectServer struct {
	connect.UnimplementedSparkConnectServiceServer
	seen metadata.MD
}

func (s *connectServer) Config(ctx context.Context, _ *connect.ConfigRequest) (*connect.ConfigResponse, error) {
	s.seen, _ = metadata.FromIncomingContext(ctx)
	return &connect.ConfigResponse{SessionId: strings.Repeat("x", 3000)}, nil
}

func serveConnect(t *testing.T) (*connectServer, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	service, server := &connectServer{}, grpc.NewServer()
	connect.RegisterSparkConnectServiceServer(server, service)
	go func() { _ = server.Serve(listener) }() // ends with Stop
	t.Cleanup(server.Stop)
	return service, listener.Addr().String()
}

func TestConnectionCarriesTheTokenOnce(t *testing.T) {
	service, address := serveConnect(t)
	conn, err := dial(address, Keys{RPC: "token"}, "4.3.0", 1<<20)
	require.NoError(t, err)
	defer conn.Close()
	_, err = connect.NewSparkConnectServiceClient(conn).Config(t.Context(), &connect.ConfigRequest{})
	require.NoError(t, err)
	require.Equal(t, []string{"Bearer token"}, service.seen["authorization"])
}

func TestConnectionLimitsMessages(t *testing.T) {
	_, address := serveConnect(t)
	conn, err := dial(address, Keys{}, "4.3.0", 2000-messageMargin)
	require.NoError(t, err)
	defer conn.Close()
	_, err = connect.NewSparkConnectServiceClient(conn).Config(t.Context(), &connect.ConfigRequest{})
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
}

func TestConnectionToNobodyFailsAtOnce(t *testing.T) {
	conn, err := dial(closedPort(t), Keys{}, "4.3.0", 1<<20)
	require.NoError(t, err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err = connect.NewSparkConnectServiceClient(conn).Config(ctx, &connect.ConfigRequest{})
	require.Equal(t, codes.Unavailable, status.Code(err))
}

func TestKeepaliveSuitsTheEngine(t *testing.T) {
	for version, want := range map[string]time.Duration{
		"4.3.0": 30 * time.Second, "4.3.0-SNAPSHOT": 30 * time.Second, "4.10.1": 30 * time.Second, "5.0.0": 30 * time.Second,
		"4.2.0": 6 * time.Minute, "4.0.1": 6 * time.Minute, "3.5.5": 6 * time.Minute, "": 6 * time.Minute, "x.y": 6 * time.Minute,
	} {
		got := keepaliveFor(version)
		require.Equal(t, want, got.Time, version)
		require.Equal(t, want == 30*time.Second, got.PermitWithoutStream, version)
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// controlServer is a control endpoint that answers with code and body.
func controlServer(t *testing.T, code int, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// silentPort accepts connections and says nothing.
func silentPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

func TestCheck(t *testing.T) {
	open := silentPort(t)
	tests := map[string]struct {
		connect, control string
		want             Health
		why              string
	}{
		"alive":               {open, controlServer(t, 200, `{"refId":"r"}`), Alive, ""},
		"port closed":         {closedPort(t), controlServer(t, 200, `{"refId":"r"}`), Dead, "nothing listens on its port"},
		"another engine":      {open, controlServer(t, 200, `{"refId":"q"}`), Dead, "engine q answers"},
		"key not accepted":    {open, controlServer(t, 401, ``), Dead, "another engine answers"},
		"control without use": {open, controlServer(t, 500, ``), Silent, ""},
		"control hangs":       {open, open, Silent, ""},
		"control closed":      {open, closedPort(t), Silent, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := control.New(test.control, "key")
			defer client.Close()
			why := ""
			e := &Engine{
				refID: "r", process: newFakeProcess(7), control: client,
				node:   discovery.Node{Address: test.connect, Attributes: map[string]string{attrControl: test.control}},
				done:   make(chan struct{}),
				failed: func(_ *Engine, text string) { why = text },
			}
			before := time.Now()
			require.Equal(t, test.want, e.Check(t.Context()))
			require.Less(t, time.Since(before), 2*time.Second)
			require.Contains(t, why, test.why)
			require.Equal(t, test.want == Dead, why != "")
		})
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	keys := keysOf(clusterSecret, "r")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		text := fmt.Sprintf(verb, Launch{Keys: keys})
		require.NotContains(t, text, keys.RPC)
		require.NotContains(t, text, keys.Control)
	}
	require.Equal(t, "********", keys.LogValue().String())
}
