// SPDX-License-Identifier: Apache-2.0

package enginetest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/engine/enginetest"
)

const (
	waitLimit = 20 * time.Second
	pollEvery = 20 * time.Millisecond

	// goldenFile holds what real Spark 4.3 showed; both halves are compared
	// with it, so the fake is compared with Spark also where there is no Spark.
	goldenFile = "testdata/spark-4.3.txt"
	// updateGolden is the environment variable that makes the real half write it anew.
	updateGolden = "ROUNDHOUSE_UPDATE_GOLDEN"
	// fakeToken is the bearer of the fake; the real engine gets a random one.
	fakeToken = "fake-token"
)

type scenario struct {
	name string
	run  func(*probe)
}

// scenarios run on an engine with Spark's own settings.
var scenarios = []scenario{
	{"new session", newSession},
	{"unknown session", unknownSession},
	{"release of an unknown session", releasedUnknownSession},
	{"tombstone", tombstone},
	{"reconnect", reconnect},
	{"observed session id", observedSession},
	{"observed id of an unknown session", observedUnknownSession},
	{"format of the session id", sessionFormat},
	{"without user", withoutUser},
	{"tokens", tokens},
	{"clone", clone},
	{"config", configs},
	{"config refusals", configRefusals},
	{"config defaults", configDefaults},
	{"analyze", analyze},
	{"artifacts", artifacts},
	{"plain execute", plainExecute},
	{"reattachable execute", reattachable},
	{"same operation id", sameOperation},
	{"pre-empted stream", preempted},
	{"cut stream", cutStream},
	{"interrupts", interrupts},
	{"bad tags", badTags},
	{"release during a query", releaseDuringQuery},
	{"statuses", statuses},
	{"error details", errorDetails},
	{"commands", commands},
}

// tightScenarios run on an engine that ends streams and abandons operations early.
var tightScenarios = []scenario{
	{"tight streams", tightStreams},
	{"tight duration", tightDuration},
	{"abandoned operation", abandoned},
}

func TestFakeEngineConforms(t *testing.T) {
	start := func(o enginetest.Options) target {
		o.Token = fakeToken
		e, err := enginetest.New(o)
		require.NoError(t, err)
		t.Cleanup(e.Close)
		return target{addr: e.Addr(), token: fakeToken}
	}
	compare(t, scenarios, start(enginetest.Options{Confs: map[string]string{"spark.app.name": "fake"}}))
	compare(t, tightScenarios, start(enginetest.Options{
		MaxStreamDuration: time.Second, MaxStreamSize: 123,
		DetachedTimeout: 2 * time.Second, MaintenanceInterval: 500 * time.Millisecond,
	}))
}

func TestRealSparkConforms(t *testing.T) {
	requireSpark(t)
	seen := make(map[string][]string)
	check := compare
	if os.Getenv(updateGolden) != "" {
		check = func(t *testing.T, all []scenario, to target) { collect(t, all, to, seen) }
	}
	check(t, scenarios, startSpark(t, nil))
	check(t, tightScenarios, startSpark(t, map[string]string{
		"spark.connect.execute.reattachable.senderMaxStreamDuration": "1s",
		"spark.connect.execute.reattachable.senderMaxStreamSize":     "123",
		"spark.connect.execute.manager.detachedTimeout":              "2s",
		"spark.connect.execute.manager.maintenanceInterval":          "500ms",
	}))
	if len(seen) > 0 {
		writeGolden(t, seen)
	}
}

// compare runs scenarios and holds what they see against the golden file.
func compare(t *testing.T, all []scenario, to target) {
	want := readGolden(t)
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			p := newProbe(t, to)
			s.run(p)
			require.Equal(t, want[s.name], strings.Join(p.seen, "\n"))
		})
	}
}

func collect(t *testing.T, all []scenario, to target, seen map[string][]string) {
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			p := newProbe(t, to)
			s.run(p)
			seen[s.name] = p.seen
		})
	}
}

// readGolden gives the observations of each scenario.
func readGolden(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile(goldenFile)
	require.NoError(t, err)
	out := make(map[string]string)
	for _, part := range strings.Split(string(b), "=== ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		out[name] = strings.TrimSuffix(text, "\n\n")
	}
	return out
}

func writeGolden(t *testing.T, seen map[string][]string) {
	t.Helper()
	b := &strings.Builder{}
	b.WriteString("Observed on Apache Spark " + sparkVersion + " by TestRealSparkConforms with " + updateGolden + "=1.\n\n")
	for _, s := range append(append([]scenario{}, scenarios...), tightScenarios...) {
		b.WriteString("=== " + s.name + "\n" + strings.Join(seen[s.name], "\n") + "\n\n")
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(goldenFile), 0o750))
	require.NoError(t, os.WriteFile(goldenFile, []byte(b.String()), 0o600))
}
