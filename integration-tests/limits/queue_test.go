// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
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
		go func() { over <- eve.Another().Version(wants(greedy, fmt.Sprintf("%dm", 1024+i))) }() // waited for below
	}
	env.Eventually(t, 10*time.Second, "five wait", func() bool { return g.Metric("kyuubi_engine_startup_permit_waiting") == 5 })
	require.Zero(t, g.Metric("kyuubi_engine_startup_permit_available"))

	met := len(startOrder(t, g))
	began := time.Now()
	impatient, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := bob.Version(impatient)
	require.Equal(t, codes.Unavailable, status.Code(err), err)
	require.Contains(t, err.Error(), "waits in the launch queue of the gateway, number ")
	require.NotContains(t, err.Error(), "eve", "who else uses the gateway is nobody's business")
	t.Log(status.Convert(err).Message())
	positions := queuePositions(t, g)
	require.NotZero(t, positions["bob"])
	require.LessOrEqual(t, positions["bob"], 2)

	require.NoError(t, bob.Version(t.Context()))
	t.Logf("bob waited %v beside %d launches of eve, %v each", time.Since(began).Round(time.Millisecond), 6, delay)
	order := startOrder(t, g)
	require.Contains(t, order, "bob")
	require.LessOrEqual(t, slices.Index(order, "bob"), met+1, "%v: after the %d launches that bob met, one more may start before his", order, met)

	enough()
	for range 6 {
		<-over
	}
}

// launch is an engine as REST shows it, once it waits for its launch.
type launch struct {
	User          string `json:"user"`
	QueuePosition int    `json:"queuePosition"`
	SubmitTime    int64  `json:"submitTime"` // in ms, of the start of its process
}

func launches(t *testing.T, g *env.Gateway) (list []launch) {
	t.Helper()
	code, body := g.Call(http.MethodGet, "/api/v1/admin/engine?all=true", "")
	require.Equal(t, http.StatusOK, code)
	require.NoError(t, json.Unmarshal(body, &list))
	return list
}

// startOrder are the users of all engines that were started, the first one first.
func startOrder(t *testing.T, g *env.Gateway) (users []string) {
	t.Helper()
	list := slices.DeleteFunc(launches(t, g), func(l launch) bool { return l.QueuePosition > 0 })
	slices.SortFunc(list, func(a, b launch) int { return cmp.Compare(a.SubmitTime, b.SubmitTime) })
	for _, l := range list {
		require.Positive(t, l.SubmitTime, "%+v", l)
		users = append(users, l.User)
	}
	return users
}

// queuePositions are the best places in the queue by user, as REST shows them.
func queuePositions(t *testing.T, g *env.Gateway) map[string]int {
	t.Helper()
	best := map[string]int{}
	for _, e := range launches(t, g) {
		if p := e.QueuePosition; p > 0 && (best[e.User] == 0 || p < best[e.User]) {
			best[e.User] = p
		}
	}
	return best
}
