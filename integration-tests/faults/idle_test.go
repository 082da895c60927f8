// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// TestPingsOfAnIdleClient: a client that pings and does nothing else keeps its
// connection.
func TestPingsOfAnIdleClient(t *testing.T) {
	t.Parallel()
	g := env.Start(t, nil)
	ping, pause := "10", "45"
	if env.Long() {
		ping, pause = "60", "600"
	}
	c := env.StartClient(t, "4.3", "idle_ping.py", "--remote", g.Remote(), "--seconds", pause, "--ping-seconds", ping)
	c.Next("ready", 3*time.Minute)
	answered := c.Next("answered", 12*time.Minute)
	for _, state := range answered["states"].([]any) {
		require.Equal(t, "READY", state, "the channel never left READY")
	}
}
