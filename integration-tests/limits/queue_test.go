// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
)

// TestLaunchQueueIsFairAndVisible: one user queues many slow launches; another
// one's turn comes after at most one more of them, and everybody can see where
// they stand.
func TestLaunchQueueIsFairAndVisible(t *testing.T) {
	const delay = 2 * time.Second
	g := start(t, map[string]string{
		"kyuubi.server.limit.engine.startup": "1", "kyuubi.server.limit.engines.per.user": "6",
		"spark.fake.start.delay.ms": fmt.Sprint(delay.Milliseconds()),
	})
	eve, bob := env.NewSparkClient(t, g.GRPC, "eve"), env.NewSparkClient(t, g.GRPC, "bob")
	greedy, enough := context.WithCancel(t.Context())
	over := make(chan error, 6)
	for i := range 6 {
		go func() { over <- another(eve).Version(wants(greedy, fmt.Sprintf("%dm", 1024+i))) }() // waited for below
	}
	eventually(t, 10*time.Second, "five wait", func() bool { return metric(t, g, "kyuubi_engine_startup_permit_waiting") == "5" })
	require.Equal(t, "0", metric(t, g, "kyuubi_engine_startup_permit_available"))

	began := time.Now()
	impatient, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := bob.Version(impatient)
	require.Equal(t, codes.Unavailable, status.Code(err), err)
	require.Contains(t, err.Error(), "waits in the launch queue of the gateway, number ")
	require.Contains(t, err.Error(), "behind launches of eve (1)")
	t.Log(status.Convert(err).Message())
	positions := queuePositions(t, g)
	require.NotZero(t, positions["bob"])
	require.LessOrEqual(t, positions["bob"], 2)

	require.NoError(t, bob.Version(t.Context()))
	waited := time.Since(began)
	t.Logf("bob waited %v beside %d launches of eve, %v each", waited.Round(time.Millisecond), 6, delay)
	require.Less(t, waited, 4*delay, "the rest of one launch, one more, and the own one; in the order of coming it would be seven")
	require.Less(t, len(running(g, "eve")), 5)

	enough()
	for range 6 {
		<-over
	}
}

func running(g *env.Gateway, user string) []env.Engine {
	var found []env.Engine
	for _, e := range enginesOf(g, user) {
		if e.State == "running" {
			found = append(found, e)
		}
	}
	return found
}

// queuePositions are the best places in the queue by user, as REST shows them.
func queuePositions(t *testing.T, g *env.Gateway) map[string]int {
	t.Helper()
	code, body := g.Call(http.MethodGet, "/api/v1/admin/engine?all=true", "")
	require.Equal(t, http.StatusOK, code)
	var list []struct {
		User          string `json:"user"`
		QueuePosition int    `json:"queuePosition"`
	}
	require.NoError(t, json.Unmarshal(body, &list))
	best := map[string]int{}
	for _, e := range list {
		if p := e.QueuePosition; p > 0 && (best[e.User] == 0 || p < best[e.User]) {
			best[e.User] = p
		}
	}
	return best
}
