// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func runOn(t *testing.T, events string) (passed bool, shown, full, skips string) {
	t.Helper()
	dir := t.TempDir()
	output, skipFile := filepath.Join(dir, "x.log"), filepath.Join(dir, "skips")
	var show strings.Builder
	passed, err := run("units", output, skipFile, strings.NewReader(events), &show)
	require.NoError(t, err)
	fullText, err := os.ReadFile(output)
	require.NoError(t, err)
	skipText, err := os.ReadFile(skipFile)
	require.NoError(t, err)
	return passed, strings.ReplaceAll(show.String(), output, "x.log"), string(fullText), string(skipText)
}

func TestPassed(t *testing.T) {
	passed, shown, full, skips := runOn(t, `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"noise\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.1}
{"Action":"pass","Package":"p","Elapsed":1.25}
`)
	require.True(t, passed)
	require.Equal(t, "ok    p (1.2 s)\nunits: 1 passed, 0 failed, 0 skipped; the whole output is in x.log\n", shown)
	require.Equal(t, "noise\n", full)
	require.Empty(t, skips)
}

func TestFailed(t *testing.T) {
	passed, shown, _, _ := runOn(t, `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: wrong\n"}
{"Action":"fail","Package":"p","Test":"TestA","Elapsed":0.1}
{"Action":"output","Package":"p","Output":"FAIL\n"}
{"Action":"fail","Package":"p","Elapsed":1}
`)
	require.False(t, passed)
	require.Contains(t, shown, "FAIL  p TestA (0.1 s)\n    a_test.go:3: wrong\n")
	require.Contains(t, shown, "1 failed")
}

// TestBroken: a package that does not compile, or that died, has no failed test.
func TestBroken(t *testing.T) {
	passed, shown, _, _ := runOn(t, `{"ImportPath":"p [p.test]","Action":"build-output","Output":"p/a.go:1: undefined: x\n"}
{"Action":"fail","Package":"p","Elapsed":0,"FailedBuild":"p [p.test]"}
go: something else entirely
`)
	require.False(t, passed)
	require.Contains(t, shown, "FAIL  p (0.0 s)\np/a.go:1: undefined: x\n")
	require.Contains(t, shown, "go: something else entirely")
}

func TestSkipped(t *testing.T) {
	var events strings.Builder
	for _, name := range []string{"TestA", "TestB", "TestC", "TestD"} {
		events.WriteString(`{"Action":"output","Package":"p","Test":"` + name + `","Output":"    a_test.go:3: no Spark: run make spark\n"}
{"Action":"output","Package":"p","Test":"` + name + `","Output":"--- SKIP: ` + name + ` (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"` + name + `"}
`)
	}
	events.WriteString(`{"Action":"skip","Package":"p","Test":"TestE"}` + "\n")
	events.WriteString(`{"Action":"skip","Package":"without/tests"}` + "\n")
	passed, shown, _, skips := runOn(t, events.String())
	require.True(t, passed)
	require.Contains(t, shown, "5 skipped")
	require.Equal(t, "TestA, TestB, TestC and 1 more: no Spark: run make spark\nTestE: no reason given\n", skips)
}
