// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
	"roundhouse/server/frontend"
)

// interopCases are the cases of gRPC's suite that need no credentials of a cloud.
var interopCases = map[string]func(context.Context, toGateway){
	"empty_unary":                 onService(interop.DoEmptyUnaryCall),
	"large_unary":                 onService(interop.DoLargeUnaryCall),
	"client_streaming":            onService(interop.DoClientStreaming),
	"server_streaming":            onService(interop.DoServerStreaming),
	"ping_pong":                   onService(interop.DoPingPong),
	"empty_stream":                onService(interop.DoEmptyStream),
	"timeout_on_sleeping_server":  onService(interop.DoTimeoutOnSleepingServer),
	"cancel_after_begin":          onService(interop.DoCancelAfterBegin),
	"cancel_after_first_response": onService(interop.DoCancelAfterFirstResponse),
	"status_code_and_message":     onService(interop.DoStatusCodeAndMessage),
	"special_status_message":      onService(interop.DoSpecialStatusMessage),
	"custom_metadata":             onService(interop.DoCustomMetadata),
	"unimplemented_method":        unimplementedMethod,
	"unimplemented_service": func(ctx context.Context, cc toGateway) {
		interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(cc))
	},
}

func onService(do func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)) func(context.Context, toGateway) {
	return func(ctx context.Context, cc toGateway) { do(ctx, testgrpc.NewTestServiceClient(cc)) }
}

// unimplementedMethod is the suite's case of this name, which wants grpc's own
// type of connection.
func unimplementedMethod(ctx context.Context, cc toGateway) {
	err := cc.Invoke(ctx, testService+"UnimplementedCall", &testgrpc.Empty{}, &testgrpc.Empty{})
	if status.Code(err) != codes.Unimplemented {
		panic(fmt.Sprintf("want UNIMPLEMENTED, got %v", err))
	}
}

func TestInteropSuite(t *testing.T) {
	require.Len(t, interopCases, 14)
	address := interopGateway(t)
	for name := range interopCases {
		t.Run(name, func(t *testing.T) { env.Run(t, role(t, time.Minute, usualPriority, "interop", address, name)) })
	}
}

// TestSoak makes calls of about 300 kB each way, over one connection and over a
// new one for each call.
func TestSoak(t *testing.T) {
	address := interopGateway(t)
	calls := env.Count(1000, 10_000)
	for name, calls := range map[string]int{"rpc_soak": calls, "channel_soak": calls / 10} {
		begin := time.Now()
		env.Run(t, role(t, 10*time.Minute, usualPriority, "interop", address, name, strconv.Itoa(calls)))
		t.Logf("%s: %d calls in %v", name, calls, time.Since(begin).Round(time.Millisecond))
	}
}

// interopGateway runs the gateway's front door before an interop server.
func interopGateway(t *testing.T) (address string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	behind := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(behind, interop.NewTestServer())
	go func() { _ = behind.Serve(listener) }() // ended by the cleanup
	t.Cleanup(behind.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })

	var said bytes.Buffer
	front, err := frontend.Listen(frontend.ServerOptions{
		Address: "127.0.0.1:0", MaxMessage: 128 << 20, DrainTimeout: time.Second,
		Director: testRoute{conn}, Log: slog.New(slog.NewTextHandler(&said, nil)), // one handler locks its writer
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- front.Run(ctx) }() // waited for by the cleanup
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
		require.Empty(t, said.String(), "the door complains of ordinary calls")
	})
	return front.Addr().String()
}

// interopClient is a role: the gateway's address, the case, and for a soak the
// number of calls. A failed case ends the process with a message.
func interopClient(args []string) error {
	address, name := args[0], args[1]
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cc, err := dialGateway(address)
	if err != nil {
		return err
	}
	defer func() { _ = cc.Close() }()
	if run := interopCases[name]; run != nil {
		run(ctx, cc)
		return nil
	}
	calls, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	var workers errgroup.Group
	workers.SetLimit(4)
	for range calls {
		workers.Go(func() error { return soakCall(ctx, address, cc, name == "channel_soak") })
	}
	return workers.Wait()
}

// soakCall makes one large call, over a connection of its own or the shared one.
func soakCall(ctx context.Context, address string, cc toGateway, own bool) (err error) {
	if own {
		if cc, err = dialGateway(address); err != nil {
			return err
		}
		defer func() { _ = cc.Close() }()
	}
	interop.DoLargeUnaryCall(ctx, testgrpc.NewTestServiceClient(cc))
	return nil
}
