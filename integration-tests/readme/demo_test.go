// SPDX-License-Identifier: Apache-2.0

package readme

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// TestDemoOfTwoGateways runs what `make demo-ha` runs: the program of the demo ends well though
// its gateway is killed, and nothing is left behind.
func TestDemoOfTwoGateways(t *testing.T) {
	env.Binary(t)
	env.SparkHome(t)
	temporary := t.TempDir()
	cmd := exec.CommandContext(t.Context(), filepath.Join(env.Root(t), "bin", "lib", "demo-ha.sh"))
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
	said := env.Run(t, cmd)
	t.Log(said)
	for _, proof := range []string{
		"==> kill -9 ", "gateway 1, which carries this query, is dead",
		"600 rows, each of them once",
		"the same session on the same Spark application as before: yes",
		"The program ended well without gateway 1.",
		"Nothing is left.",
	} {
		require.Contains(t, said, proof)
	}
	require.NotContains(t, said, "\x1b", "no colours where there is no terminal")
	require.Empty(t, env.Marked(temporary))
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	require.Empty(t, left)
}
