// SPDX-License-Identifier: Apache-2.0

package env

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// recorder is a test that fails without failing the one that it is part of.
type recorder struct {
	testing.TB
	failures []string
	cleanups []func()
}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}
func (r *recorder) FailNow()         { runtime.Goexit() }
func (r *recorder) Failed() bool     { return len(r.failures) > 0 }
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

// apart runs f as a test does: what fails ends f only.
func (r *recorder) apart(f func()) {
	done := make(chan struct{})
	go func() { // waited for below
		defer close(done)
		f()
	}()
	<-done
}

// script is a gateway that does what the lines say.
func script(t *testing.T, lines ...string) (*recorder, *Gateway) {
	t.Helper()
	g := Prepare(t, map[string]string{"kyuubi.engineEnv.SPARK_HOME": "/nowhere", "kyuubi.session.engine.spark.main.resource": "/nothing.jar"})
	g.Binary = filepath.Join(g.Home, "program")
	WriteProgram(t, g.Binary, strings.NewReader("#!/bin/sh\n"+strings.Join(lines, "\n")+"\n"))
	g.patience = patience{ready: 500 * time.Millisecond, end: 500 * time.Millisecond, left: 500 * time.Millisecond}
	r := &recorder{TB: t}
	g.t = r
	return r, g
}

// TestGatewayThatIsNeverReady is ended with its test, by force if it must.
func TestGatewayThatIsNeverReady(t *testing.T) {
	r, g := script(t, `trap "" TERM`, "while :; do sleep 0.1; done")
	r.apart(g.StartUntilCleanup)
	require.Contains(t, strings.Join(r.failures, "\n"), "the gateway is not ready")
	require.True(t, Alive(g.PID()))
	require.Len(t, r.cleanups, 1)
	r.apart(r.cleanups[0])
	require.Contains(t, strings.Join(r.failures, "\n"), "did not end within 500ms of SIGTERM and is killed")
	require.False(t, Alive(g.PID()))
}

// TestGatewayThatEndsAtOnce is not waited for.
func TestGatewayThatEndsAtOnce(t *testing.T) {
	r, g := script(t, "exit 1")
	g.patience.ready = time.Minute
	began := time.Now()
	r.apart(g.StartUntilCleanup)
	require.Contains(t, strings.Join(r.failures, "\n"), "the gateway ended at once")
	require.Less(t, time.Since(began), 20*time.Second)
}

// TestWhatIsLeftOfEngines fails the test and is killed.
func TestWhatIsLeftOfEngines(t *testing.T) {
	r, g := script(t)
	left := exec.Command("/bin/sh", "-c", "while :; do sleep 0.1; done", g.Home)
	require.NoError(t, left.Start())
	over := make(chan struct{})
	go func() { _ = left.Wait(); close(over) }() // waited for below
	r.apart(g.cleanup)
	require.Len(t, r.failures, 1)
	require.Contains(t, r.failures[0], fmt.Sprintf("process %d of the gateway's engines is left and is killed: /bin/sh", left.Process.Pid))
	<-over
}
