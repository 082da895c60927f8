// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
)

// TestLowFileLimit: a gateway that is out of descriptors goes on with what it
// has, says what it lacks, gives no engine up, and recovers by itself.
func TestLowFileLimit(t *testing.T) {
	t.Parallel()
	h := newHops(t)
	alice := env.NewSparkClient(t, h.client.Addr, "alice")
	require.NoError(t, alice.Version(t.Context()))
	before := h.OnlyEngine()
	query := begin(t, alice, 600, 20*time.Millisecond)
	restore := limitFiles(t, h.PID(), descriptors(t, h.PID())+2)
	crowd := dialMany(t, h.GRPC, 30)

	require.NoError(t, alice.Version(t.Context()), "what is connected goes on")
	bob := beside(alice, "bob")
	requireOutOfDescriptors(t, bob.Version(t.Context()))

	limitFiles(t, h.PID(), 3) // so that no descriptor that is given back helps
	h.engine.Cut()
	err := alice.Version(t.Context())
	require.Equal(t, codes.Unavailable, status.Code(err), err)
	require.Contains(t, err.Error(), "lacks descriptors")
	t.Log(status.Convert(err).Message())

	query.requireRunning(t)
	restore()
	for _, c := range crowd {
		require.NoError(t, c.Close())
	}
	query.requireRows(t)
	require.NoError(t, bob.Version(t.Context()), "new sessions get engines again")
	newcomer := env.NewSparkClient(t, h.client.Addr, "alice")
	require.NoError(t, newcomer.Version(t.Context()), "new connections are taken again")
	var refs []string
	for _, e := range h.Engines() {
		refs = append(refs, e.RefID)
	}
	require.Contains(t, refs, before.RefID)
	require.Len(t, refs, 2)
}

// beside is another user's session over the connection of a client.
func beside(c *env.SparkClient, user string) *env.SparkClient {
	return &env.SparkClient{SparkConnectServiceClient: c.SparkConnectServiceClient, Session: "00112233-4455-6677-8899-aabbccddeeff", User: user}
}

// requireOutOfDescriptors wants an error that names cause and remedy.
func requireOutOfDescriptors(t *testing.T, err error) {
	t.Helper()
	require.Equal(t, codes.ResourceExhausted, status.Code(err), err)
	require.Contains(t, err.Error(), "[GATEWAY.OUT_OF_RESOURCES]")
	require.Contains(t, err.Error(), "ulimit -n")
	t.Log(status.Convert(err).Message())
}

// limitFiles lowers the file limit of a process until restore.
func limitFiles(t *testing.T, pid, limit int) (restore func()) {
	t.Helper()
	var old unix.Rlimit
	low := unix.Rlimit{Cur: uint64(limit)}
	require.NoError(t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &old))
	low.Max = old.Max
	require.NoError(t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, &low, nil))
	return func() { require.NoError(t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, &old, nil)) }
}

// dialMany makes connections that say nothing.
func dialMany(t *testing.T, address string, count int) []net.Conn {
	t.Helper()
	var all []net.Conn
	for range count {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		cancel()
		require.NoError(t, err, "the kernel takes connections that the gateway cannot")
		t.Cleanup(func() { _ = c.Close() })
		all = append(all, c)
	}
	return all
}
