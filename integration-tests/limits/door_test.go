// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// TestConnectionsWithoutACall: an address that only opens connections keeps
// some of them, and a client from the same address works all the while, on its
// old connection and on new ones.
func TestConnectionsWithoutACall(t *testing.T) {
	const most, tries = 20, 200
	g := start(t, map[string]string{"kyuubi.server.limit.unauthenticated.connections.per.ipaddress": strconv.Itoa(most)})
	alice := env.NewSparkClient(t, g.GRPC, "alice")
	require.NoError(t, alice.Version(t.Context()))
	var idle []net.Conn
	for i := range tries {
		c, err := net.Dial("tcp", g.GRPC)
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		idle = append(idle, c)
		if i%50 == 0 {
			require.NoError(t, alice.Version(t.Context()))
			require.NoError(t, env.NewSparkClient(t, g.GRPC, "alice").Version(t.Context()))
		}
	}
	env.Eventually(t, 5*time.Second, "all but a few are closed", func() bool { return countOpen(idle) <= most })
	require.NoError(t, alice.Version(t.Context()))
}

// TestConnectionsToRESTWithoutACall: the same for people and scripts.
func TestConnectionsToRESTWithoutACall(t *testing.T) {
	const most, tries = 20, 200
	g := start(t, map[string]string{"kyuubi.server.limit.unauthenticated.connections.per.ipaddress": strconv.Itoa(most)})
	alice := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
	t.Cleanup(alice.CloseIdleConnections)
	opened := 0
	trace := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if !i.Reused {
			opened++
		}
	}})
	ask := func() {
		r, err := http.NewRequestWithContext(trace, http.MethodGet, "http://"+g.REST+"/api/v1/sessions", nil)
		require.NoError(t, err)
		reply, err := alice.Do(r)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, reply.Body)
		require.NoError(t, err)
		require.NoError(t, reply.Body.Close())
		require.Equal(t, http.StatusOK, reply.StatusCode)
	}
	ask()
	var idle []net.Conn
	for i := range tries {
		c, err := net.Dial("tcp", g.REST)
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		idle = append(idle, c)
		if i%50 == 0 {
			ask()
			require.Empty(t, g.Engines(), "a caller on a connection of its own")
		}
	}
	env.Eventually(t, 5*time.Second, "all but a few are closed", func() bool { return countOpen(idle) <= most })
	ask()
	require.Equal(t, 1, opened, "her connection was never closed")
}

func countOpen(all []net.Conn) int {
	open := 0
	for _, c := range all {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, err := c.Read(make([]byte, 1<<10)) // the server's own first frame, if any
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			open++
		}
	}
	return open
}
