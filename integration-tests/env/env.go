// SPDX-License-Identifier: Apache-2.0

// Package env starts the real neighbours of the integration tests: the gateway
// binary, real or fake Spark behind it, and client programs. What a machine
// lacks is skipped with the reason and the command that installs it.
package env

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/internal/process"
)

// Root is the top folder of the checkout.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		require.NotEqual(t, dir, parent, "no go.mod above the test")
		dir = parent
	}
}

// Long says that the full counts are wanted (make test-long).
func Long() bool { return os.Getenv("ROUNDHOUSE_LONG") == "1" }

// Count is full in a long run, else short.
func Count(short, full int) int {
	if Long() {
		return full
	}
	return short
}

// Duration is full in a long run, else short.
func Duration(short, full time.Duration) time.Duration {
	if Long() {
		return full
	}
	return short
}

// built returns a file that `make build` makes, or skips.
func built(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(Root(t), "build", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not built: run `make build`", filepath.Join("build", name))
	}
	return path
}

// Binary is the built gateway.
func Binary(t testing.TB) string { return built(t, "gateway") }

// WithFailpoints builds a gateway that can kill itself, beside the ordinary one.
func WithFailpoints(t testing.TB) string {
	t.Helper()
	path := filepath.Join(Root(t), "build", "gateway-failpoints")
	build := exec.Command("go", "build", "-tags", "failpoints", "-o", path, "./cmd/gateway")
	build.Dir = Root(t)
	Run(t, build)
	return path
}

// PluginJar is the built engine plugin.
func PluginJar(t testing.TB) string { return built(t, "roundhouse-engine.jar") }

// SparkHome is the real Spark of the tests, or skips.
func SparkHome(t testing.TB) string {
	t.Helper()
	if home := os.Getenv("SPARK_HOME"); home != "" {
		return home
	}
	found, _ := filepath.Glob(filepath.Join(Root(t), ".local", "venv", "lib", "python3*", "site-packages", "pyspark"))
	if len(found) == 0 {
		t.Skip("no Spark: set SPARK_HOME or run `make spark`")
	}
	return found[0]
}

// Python is the interpreter with the PySpark client of a version ("4.3", "4.0"), or skips.
func Python(t testing.TB, version string) string {
	t.Helper()
	dir := ".local/venv"
	if version != "4.3" {
		dir += "-" + version
	}
	path := filepath.Join(Root(t), filepath.FromSlash(dir), "bin", "python")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no PySpark %s: run `make spark clients`", version)
	}
	return path
}

// FreePort returns a port that nothing listened on a moment ago. It is below
// those that the system gives to connections (32768 and more on Linux), of which
// one could take it before the test does.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 16_000 + rand.IntN(16_000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			require.NoError(t, l.Close())
			return port
		}
	}
	require.FailNow(t, "no port is free")
	return 0
}

// FreePorts returns two different ones.
func FreePorts(t testing.TB) (int, int) {
	t.Helper()
	first, second := FreePort(t), FreePort(t)
	for second == first {
		second = FreePort(t)
	}
	return first, second
}

// Alive says whether a process exists and has not ended.
func Alive(pid int) bool {
	found, err := process.Inspect(pid)
	return err == nil && !found.Ended
}

// Marked lists the processes whose command line contains text: the ref id of an
// engine or the folder of a test.
func Marked(text string) []int {
	var found []int
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range all {
		line, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(line, []byte(text)) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && Alive(pid) {
			found = append(found, pid)
		}
	}
	return found
}

// Drivers are the processes of the engines that gateways launched, sorted; what a driver forked does not count.
func Drivers(gateways ...*Gateway) (pids []int) {
	for _, g := range gateways {
		for _, pid := range Marked(g.Home) {
			if group, err := syscall.Getpgid(pid); err == nil && group == pid {
				pids = append(pids, pid)
			}
		}
	}
	slices.Sort(pids)
	return pids
}

// Known are the processes of the engines and launches that the gateway has, sorted.
func (g *Gateway) Known() (pids []int) {
	g.t.Helper()
	for _, e := range g.Engines() {
		if e.PID != 0 { // else it is in the queue, or elsewhere
			pids = append(pids, e.PID)
		}
	}
	slices.Sort(pids)
	return pids
}

// Run runs a command to its end and returns its output.
func Run(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	require.NoErrorf(t, err, "%s\n%s", strings.Join(cmd.Args, " "), out)
	return string(out)
}
