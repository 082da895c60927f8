// SPDX-License-Identifier: Apache-2.0

package env

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Metric is a figure of the gateway's metrics, by its name and labels as they
// are printed. Without such a line the test fails.
func (g *Gateway) Metric(name string) float64 {
	g.t.Helper()
	code, body := g.Call(http.MethodGet, "/metrics", "")
	require.Equal(g.t, http.StatusOK, code, string(body))
	for line := range strings.SplitSeq(string(body), "\n") {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			value, err := strconv.ParseFloat(text, 64)
			require.NoError(g.t, err, line)
			return value
		}
	}
	require.FailNow(g.t, "no such metric", name)
	return 0
}

// RSS is the resident memory of a process, in bytes (proc(5), statm). The test
// fails if the process is gone.
func RSS(t testing.TB, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	require.NoError(t, err, "the process is gone")
	fields := strings.Fields(string(text))
	require.Greater(t, len(fields), 1, "the process has ended: %q", text)
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	require.NoError(t, err)
	require.NotZero(t, pages, "the process has ended")
	return pages * int64(os.Getpagesize())
}
