// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

var (
	pythonBlock = regexp.MustCompile("(?s)```python\n(.*?)```")
	// exampleURL is a connection string with options that needs nothing else:
	// neither a token nor a profile.
	exampleURL = regexp.MustCompile(`sc://host:15002/;[A-Za-z0-9._;=]+`)
)

// TestExamplesOfTheReadmeRun: what users copy works as it stands, but for the
// name of the host.
func TestExamplesOfTheReadmeRun(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(env.Root(t), "README.md"))
	require.NoError(t, err)
	g := env.Start(t, env.FakeSpark(t))
	program := "from pyspark.sql import SparkSession\n"
	blocks := pythonBlock.FindAllStringSubmatch(string(text), -1)
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		program += block[1]
	}
	urls := 0
	for _, url := range exampleURL.FindAllString(string(text), -1) {
		if !strings.Contains(url, "use_ssl") && !strings.Contains(url, "profile=") {
			program += "SparkSession.builder.remote('" + url + "').create().stop()\n"
			urls++
		}
	}
	require.NotZero(t, urls)
	run := exec.Command(env.Python(t, "4.3"), "-c", strings.ReplaceAll(program, "host:15002", g.GRPC))
	run.Env = append(os.Environ(), "SPARK_HOME=", "SPARK_REMOTE=")
	out := env.Run(t, run)
	t.Logf("%d blocks and %d connection strings ran%s", len(blocks), urls, out)
	require.Empty(t, g.Sessions(), "every example gives its session back")
}

var namedTest = regexp.MustCompile("`(?:([a-z/-]+)\\.)?(Test\\w+)`")

// traps is how many rows the table of traps has: none goes unnoticed.
const traps = 34

// namedCases are names of cases and the file of integration-tests that has them.
var (
	namedCases = regexp.MustCompile("((?:`[a-z_*]+`(?:, | and )?)+) of `(pyspark/cases/\\w+\\.py)`")
	quoted     = regexp.MustCompile("`([a-z_*]+)`")
)

// TestTrapsNameRealTests: the table of traps does not outlive its tests.
func TestTrapsNameRealTests(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "\n| trap | test |\n|---|---|\n")
	require.True(t, found)
	rows := strings.Split(strings.TrimSpace(table), "\n")
	require.Len(t, rows, traps)
	named := namedTest.FindAllStringSubmatch(string(text), -1)
	require.Greater(t, len(named), traps)
	for _, name := range named {
		require.True(t, testExists(t, name[1], name[2]), "there is no test %s.%s", name[1], name[2])
	}
	files, cases := 0, 0
	for _, match := range namedCases.FindAllStringSubmatch(string(text), -1) {
		program, err := os.ReadFile(filepath.Join(env.Root(t), "integration-tests", filepath.FromSlash(match[2])))
		require.NoError(t, err)
		for _, name := range quoted.FindAllStringSubmatch(match[1], -1) {
			def := "def " + name[1] + "("
			if start, wild := strings.CutSuffix(name[1], "*"); wild {
				def = "def " + start
			}
			require.Contains(t, string(program), "\n"+def, "%s in %s", name[1], match[2])
			cases++
		}
		files++
	}
	require.Equal(t, strings.Count(table, "pyspark/cases/"), files, "each mention was looked up")
	require.GreaterOrEqual(t, cases, 5)
}

// testExists looks for a test in a folder, or in one of integration-tests.
func testExists(t *testing.T, folder, name string) bool {
	t.Helper()
	if folder == "" {
		folder = "faults"
	}
	for _, above := range []string{"", "integration-tests"} {
		files, err := filepath.Glob(filepath.Join(env.Root(t), above, folder, "*_test.go"))
		require.NoError(t, err)
		for _, file := range files {
			if text, _ := os.ReadFile(file); strings.Contains(string(text), "func "+name+"(") {
				return true
			}
		}
	}
	return false
}
