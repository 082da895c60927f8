// SPDX-License-Identifier: Apache-2.0

// Package scenarios holds the tests that a user would recognise: real PySpark,
// the real gateway binary, and real Spark or (where numbers or faults ask for
// it) the fake one. `make test` runs them scaled down, `make test-long` in full.
package scenarios

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// kill9 ends an engine's process as a crash would.
func kill9(t *testing.T, e env.Engine) {
	t.Helper()
	require.NotZero(t, e.PID)
	require.NoError(t, syscall.Kill(e.PID, syscall.SIGKILL))
}

func text(line map[string]any, key string) string {
	s, _ := line[key].(string)
	return s
}

func number(line map[string]any, key string) float64 {
	n, _ := line[key].(float64)
	return n
}

// launches is the metric of how many engines a gateway ever launched.
const launches = "kyuubi_engine_total"
