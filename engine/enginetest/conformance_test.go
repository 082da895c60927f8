// SPDX-License-Identifier: Apache-2.0

package enginetest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	waitLimit = 20 * time.Second
	pollEvery = 20 * time.Millisecond
)

// scenarios run on an engine with Spark's own settings.
var scenarios = []struct {
	name string
	run  func(*probe)
}{
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
var tightScenarios = []struct {
	name string
	run  func(*probe)
}{
	{"tight streams", tightStreams},
	{"tight duration", tightDuration},
	{"abandoned operation", abandoned},
}

func TestDumpReal(t *testing.T) {
	_ = exec.Command
	_ = filepath.Join
	real := startSpark(t, nil)
	var out strings.Builder
	for _, s := range scenarios {
		out.WriteString("=== " + s.name + "\n")
		t.Run(s.name, func(t *testing.T) {
			p := newProbe(t, real)
			defer func() { out.WriteString(strings.Join(p.seen, "\n") + "\n") }()
			s.run(p)
		})
	}
	tight := startSpark(t, map[string]string{
		"spark.connect.execute.reattachable.senderMaxStreamDuration": "1s",
		"spark.connect.execute.reattachable.senderMaxStreamSize":     "123",
		"spark.connect.execute.manager.detachedTimeout":              "2s",
		"spark.connect.execute.manager.maintenanceInterval":          "500ms",
	})
	for _, s := range tightScenarios {
		out.WriteString("=== " + s.name + "\n")
		t.Run(s.name, func(t *testing.T) {
			p := newProbe(t, tight)
			defer func() { out.WriteString(strings.Join(p.seen, "\n") + "\n") }()
			s.run(p)
		})
	}
	require.NoError(t, os.WriteFile("/tmp/w/fake-real.txt", []byte(out.String()), 0o600))
}
