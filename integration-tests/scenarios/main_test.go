// SPDX-License-Identifier: Apache-2.0

// Package scenarios holds the tests that a user would recognise: real PySpark,
// the real gateway binary, and real Spark or (where numbers or faults ask for
// it) the fake one. `make test` runs them scaled down, `make test-long` in full.
package scenarios

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/engine/enginetest"
	"roundhouse/integration-tests/env"
)

// fake returns the settings of a gateway whose engines are fakes that behave as
// the given spark.fake.* settings say.
func fake(t *testing.T, settings map[string]string) map[string]string {
	t.Helper()
	conf := map[string]string{"kyuubi.engineEnv.SPARK_HOME": enginetest.BuildFakeSparkHome(t)}
	for k, v := range settings {
		conf[k] = v
	}
	return conf
}

// with adds settings to others.
func with(conf map[string]string, pairs ...string) map[string]string {
	if conf == nil {
		conf = map[string]string{}
	}
	for i := 0; i < len(pairs); i += 2 {
		conf[pairs[i]] = pairs[i+1]
	}
	return conf
}

// onlyEngine waits for exactly one running engine.
func onlyEngine(t *testing.T, g *env.Gateway) env.Engine {
	t.Helper()
	var found env.Engine
	require.Eventually(t, func() bool {
		running := runningEngines(g)
		if len(running) == 1 {
			found = running[0]
		}
		return len(running) == 1
	}, 60*time.Second, 50*time.Millisecond)
	return found
}

func runningEngines(g *env.Gateway) []env.Engine {
	var running []env.Engine
	for _, e := range g.Engines() {
		if e.State == "running" {
			running = append(running, e)
		}
	}
	return running
}

// kill9 ends an engine's process as a crash would.
func kill9(t *testing.T, e env.Engine) {
	t.Helper()
	require.NotZero(t, e.PID)
	require.NoError(t, syscall.Kill(e.PID, syscall.SIGKILL))
}

// eventually is require.Eventually with one way to wait.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, within, 50*time.Millisecond, what)
}

func text(line map[string]any, key string) string {
	s, _ := line[key].(string)
	return s
}

func number(line map[string]any, key string) float64 {
	n, _ := line[key].(float64)
	return n
}

// launches counts how many engines the gateway ever launched, by its metrics.
func launches(t *testing.T, g *env.Gateway) string {
	t.Helper()
	code, body := g.Call(http.MethodGet, "/metrics", "")
	require.Equal(t, http.StatusOK, code)
	for line := range strings.SplitSeq(string(body), "\n") {
		if v, ok := strings.CutPrefix(line, "kyuubi_engine_total "); ok {
			return v
		}
	}
	require.FailNow(t, "kyuubi_engine_total is not among the metrics")
	return ""
}
