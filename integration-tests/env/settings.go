// SPDX-License-Identifier: Apache-2.0

package env

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/engine/enginetest"
)

// FakeSpark returns the settings of a gateway whose engines are fakes
// (integration-tests/fakespark), and more: key, value, key, value.
func FakeSpark(t testing.TB, pairs ...string) map[string]string {
	t.Helper()
	require.Zero(t, len(pairs)%2, "a key without a value: %q", pairs)
	return With(map[string]string{"kyuubi.engineEnv.SPARK_HOME": enginetest.BuildFakeSparkHome(t)}, pairs...)
}

// With adds settings to conf, which may be nil: key, value, key, value.
func With(conf map[string]string, pairs ...string) map[string]string {
	if conf == nil {
		conf = map[string]string{}
	}
	for i := 0; i < len(pairs); i += 2 {
		conf[pairs[i]] = pairs[i+1]
	}
	return conf
}

// Tokens returns the settings of a gateway that wants a token of each caller.
// The lines are those of its file: "<token> <user>", or "<token> <user> admin".
func Tokens(t testing.TB, lines ...string) map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tokens")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return map[string]string{
		"kyuubi.authentication":            "TOKEN",
		"kyuubi.authentication.token.file": file,
		// The engines of these users run as the user of the test.
		"kyuubi.engine.local.allow.gateway.user": "true",
	}
}
