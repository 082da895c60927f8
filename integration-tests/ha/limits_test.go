// SPDX-License-Identifier: Apache-2.0

package ha

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
)

// rush opens sessions of a user at all gateways at the same moment and counts those that
// were granted. The others must have been refused because of the setting key.
func rush(t *testing.T, c *env.Cluster, user string, clients int, key string) (granted []*env.SparkClient) {
	t.Helper()
	doors := []*env.SparkClient{c.Client(0, user), c.Client(1, user)}
	start, opened := make(chan struct{}), make(chan *env.SparkClient, clients)
	var all errgroup.Group
	for n := range clients {
		client := doors[n%len(doors)].Another()
		all.Go(func() error {
			<-start
			switch err := client.Version(t.Context()); status.Code(err) {
			case codes.OK:
				opened <- client
			case codes.ResourceExhausted:
				if !strings.Contains(err.Error(), key) {
					return fmt.Errorf("a session of %s was refused because of something else than %s: %w", user, key, err)
				}
			default:
				return fmt.Errorf("a session of %s: %w", user, err)
			}
			return nil
		})
	}
	close(start)
	require.NoError(t, all.Wait())
	close(opened)
	for client := range opened {
		granted = append(granted, client)
	}
	return granted
}

// TestLimitsOfAllGateways: limits count what all gateways have, however many sessions are
// opened at the same moment.
func TestLimitsOfAllGateways(t *testing.T) {
	t.Parallel()
	const sessions, engines = 7, 2
	const sessionKey, engineKey = "kyuubi.server.limit.connections.per.user", "kyuubi.server.limit.engines.per.user"
	c := env.StartGateways(t, env.StartZooKeeper(t, 1), 2, env.FakeSpark(t,
		sessionKey, fmt.Sprint(sessions), engineKey, fmt.Sprint(engines), "kyuubi.server.limit.engine.startup", "8",
		"___bob___.kyuubi.engine.share.level", "CONNECTION"))
	for range env.Count(2, 10) {
		granted := rush(t, c, "alice", 40, sessionKey)
		require.Len(t, granted, sessions)
		require.Len(t, rush(t, c, "bob", 40, "kyuubi.server.limit."), engines, "each has an engine of its own")
		for _, g := range c.Gateways {
			env.Eventually(t, 5*time.Second, "all gateways know all of them", func() bool {
				return len(g.Sessions()) == sessions+engines && len(g.Engines()) == 1+engines
			})
		}
		require.NoError(t, granted[0].Release(t.Context()))
		require.Len(t, rush(t, c, "alice", 40, sessionKey), 1, "the place that was given back")
		for _, s := range c.Gateways[0].Sessions() {
			code, body := c.Gateways[1].Call(http.MethodDelete, "/api/v1/admin/sessions/"+s.Identifier, "root")
			require.Equal(t, http.StatusOK, code, string(body))
		}
		env.Eventually(t, settled, "the engines of bob have ended with their sessions", func() bool { return len(env.Drivers(c.Gateways...)) == 1 })
		for _, g := range c.Gateways {
			env.Eventually(t, settled, "all gateways know that", func() bool { return len(g.Engines()) == 1 && len(g.Sessions()) == 0 })
		}
	}
}
