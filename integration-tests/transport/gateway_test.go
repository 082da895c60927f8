// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"roundhouse/integration-tests/env"
)

// healthPath is a call that every gRPC server of these tests answers at once.
const healthPath = "/grpc.health.v1.Health/Check"

// startGateway starts the gateway binary with fake engines.
func startGateway(t *testing.T) *env.Gateway {
	t.Helper()
	return env.Start(t, env.FakeSpark(t, "kyuubi.server.graceful.shutdown.timeout", "PT2S"))
}

// plainServer is a role: grpc-go as it comes, with the health service. It prints
// its address.
func plainServer([]string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	healthpb.RegisterHealthServer(s, health.NewServer())
	fmt.Println(listener.Addr())
	return s.Serve(listener)
}

// startPlain starts that server in a process of its own.
func startPlain(t *testing.T) (address string) {
	t.Helper()
	cmd := role(t, 5*time.Minute, usualPriority, "plain")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan(), "the control server says nothing")
	return lines.Text()
}
