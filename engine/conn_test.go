// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
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
	conn, err := dial(Endpoint{Address: address}, Keys{RPC: "token"}, "4.3.0", 1<<20)
	require.NoError(t, err)
	defer conn.Close()
	_, err = connect.NewSparkConnectServiceClient(conn).Config(t.Context(), &connect.ConfigRequest{})
	require.NoError(t, err)
	require.Equal(t, []string{"Bearer token"}, service.seen["authorization"])
}

func TestConnectionLimitsMessages(t *testing.T) {
	_, address := serveConnect(t)
	conn, err := dial(Endpoint{Address: address}, Keys{}, "4.3.0", 2000-messageMargin)
	require.NoError(t, err)
	defer conn.Close()
	_, err = connect.NewSparkConnectServiceClient(conn).Config(t.Context(), &connect.ConfigRequest{})
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
}

func TestConnectionToNobodyFailsAtOnce(t *testing.T) {
	conn, err := dial(Endpoint{Address: closedPort(t)}, Keys{}, "4.3.0", 1<<20)
	require.NoError(t, err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err = connect.NewSparkConnectServiceClient(conn).Config(ctx, &connect.ConfigRequest{})
	require.Equal(t, codes.Unavailable, status.Code(err))
}

func TestKeepaliveSuitsTheEngine(t *testing.T) {
	for version, want := range map[string]time.Duration{
		"4.3.0": 11 * time.Second, "4.3.0-SNAPSHOT": 11 * time.Second, "4.10.1": 11 * time.Second, "5.0.0": 11 * time.Second,
		"4.2.0": 6 * time.Minute, "4.0.1": 6 * time.Minute, "3.5.5": 6 * time.Minute, "": 6 * time.Minute, "x.y": 6 * time.Minute,
	} {
		got := keepaliveFor(version)
		require.Equal(t, want, got.Time, version)
		require.Equal(t, want == 11*time.Second, got.PermitWithoutStream, version)
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
				node:    discovery.Node{Address: test.connect, Attributes: map[string]string{attrControl: test.control}},
				connect: Endpoint{Address: test.connect},
				done:    make(chan struct{}),
				failed:  func(_ *Engine, text string) { why = text },
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

func TestWantOfTheGatewayIsNoSilenceOfTheEngine(t *testing.T) {
	for err, want := range map[error]Health{
		syscall.EMFILE: Unknown, syscall.ENFILE: Unknown, syscall.EADDRNOTAVAIL: Unknown, syscall.ENOMEM: Unknown,
		syscall.ECONNRESET: Silent, syscall.ETIMEDOUT: Silent, context.DeadlineExceeded: Silent,
	} {
		require.Equal(t, want, silentOr(&net.OpError{Op: "dial", Err: os.NewSyscallError("socket", err)}), err)
	}
}

// TestCheckWithoutDescriptors runs out of descriptors for real.
func TestCheckWithoutDescriptors(t *testing.T) {
	address := controlServer(t, 200, `{"refId":"r"}`)
	client := control.New(address, "key")
	defer client.Close()
	e := &Engine{
		refID: "r", process: newFakeProcess(7), control: client, done: make(chan struct{}),
		node:    discovery.Node{Address: address, Attributes: map[string]string{attrControl: address}},
		connect: Endpoint{Address: address},
		failed:  func(*Engine, string) {},
	}
	var before unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	var taken []*os.File
	giveBack := func() {
		require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before))
		for _, f := range taken {
			f.Close()
		}
	}
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 256, Max: before.Max}))
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		taken = append(taken, f)
	}
	health := e.Check(t.Context())
	giveBack()
	require.Equal(t, Unknown, health)
	require.Equal(t, Alive, e.Check(t.Context()))
}
