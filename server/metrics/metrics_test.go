// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite testdata/metrics.txt")

// TestExposition compares everything with testdata/metrics.txt, so that a
// renamed figure or label is seen in review.
func TestExposition(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m, err := New(reg)
	require.NoError(t, err)
	require.NoError(t, RegisterGauges(reg, Gauges{
		Sessions:       func() int { return 2 },
		Engines:        func() map[string]int { return map[string]int{"running": 3} },
		QueuedLaunches: func() int { return 4 },
		FreeLaunches:   func() int { return 1 },
		States:         []string{"starting", "running"},
	}))
	m.CallDone("/spark.connect.SparkConnectService/ExecutePlan", "OK")
	m.CallDone("/spark.connect.SparkConnectService/Config", "Internal")
	m.HoldStarted()
	m.HoldStarted()
	m.HoldEnded()
	m.SessionOpened()
	m.SessionFailed()
	m.LaunchStarted()
	m.LaunchSucceeded(4 * time.Second)
	m.LaunchFailed(LaunchTimeout)
	m.NodeRejected(RejectedInvalid)
	m.RESTCall("GET /api/v1/ping", 200)

	const golden = "testdata/metrics.txt"
	got := scrape(t, reg)
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// TestLabelsAreBounded calls with what clients could invent.
func TestLabelsAreBounded(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m, err := New(reg)
	require.NoError(t, err)
	for i := range 100 {
		m.CallDone(fmt.Sprintf("/spark.connect.SparkConnectService/Evil%d", i), fmt.Sprintf("Code(%d)", i))
		m.CallDone(fmt.Sprintf("/other.Service/Execute%d", i), "OK")
		m.CallDone("ExecutePlan", "OK")
	}
	series := slices.DeleteFunc(strings.Split(scrape(t, reg), "\n"), func(line string) bool {
		return !strings.HasPrefix(line, "roundhouse_calls_total{")
	})
	require.Equal(t, []string{
		`roundhouse_calls_total{code="OK",method="other"} 200`,
		`roundhouse_calls_total{code="other",method="other"} 100`,
	}, series)
}

func TestNewTwiceOnOneRegistry(t *testing.T) {
	reg := NewRegistry()
	_, err := New(reg)
	require.NoError(t, err)
	_, err = New(reg)
	require.ErrorContains(t, err, "duplicate")
}

func TestRegisterProcess(t *testing.T) {
	reg := NewRegistry()
	require.NoError(t, RegisterProcess(reg))
	require.Contains(t, scrape(t, reg), "go_goroutines")
}

func scrape(t *testing.T, reg prometheus.Gatherer) string {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(reg).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code)
	return w.Body.String()
}
