// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLifeOfADaemon(t *testing.T) {
	m := newMachine(t, "fine")
	require.Equal(t, "The gateway is not running.\n", m.requireRun(ExitNotRunning, "status").stdout)
	require.Equal(t, "The gateway is not running.\n", m.requireRun(ExitOK, "stop").stdout)

	started := m.requireRun(ExitOK, "start", "--conf", "kyuubi.session.idle.timeout=PT1H")
	require.Regexp(t, `^The gateway is running \(pid \d+, for \d+s\)\.`, started.stdout)
	require.Contains(t, started.stdout, "sc://127.0.0.1:15002")
	require.Contains(t, started.stdout, "http://127.0.0.1:10099")
	require.Contains(t, started.stdout, m.path("logs/gateway-*.log"))
	require.Equal(t, "Warning: Spark: none, so no engine can start: set SPARK_HOME (in kyuubi-env.sh or the environment).\n", started.stderr)
	require.Contains(t, m.read("logs/gateway-*.log"), "Roundhouse gateway")
	require.Regexp(t, `time=\S+ level=INFO msg="gateway started" version=.* connect=127.0.0.1:15002 rest=127.0.0.1:10099`, m.read("logs/gateway-*.log"))
	require.NotContains(t, m.read("logs/gateway-*.log"), "orderly")

	status := m.requireRun(ExitOK, "status")
	require.Equal(t, pidOf(t, started.stdout), pidOf(t, status.stdout))
	require.Equal(t, strconv.Itoa(pidOf(t, status.stdout)), strings.SplitN(m.read("pid/gateway-*.pid"), "\n", 2)[0])

	again := m.requireRun(ExitFailure, "start")
	require.Contains(t, again.stderr, "the gateway is already running (pid ")
	foreground := m.requireRun(ExitFailure, "run")
	require.Contains(t, foreground.stderr, "the gateway is already running (pid ")

	restarted := m.requireRun(ExitOK, "restart")
	require.Contains(t, restarted.stdout, "The gateway has stopped.")
	require.NotEqual(t, pidOf(t, started.stdout), pidOf(t, lastRunning(restarted.stdout)))
	require.Contains(t, m.read("logs/gateway-*.log.1"), `msg="gateway stopped" why="stopped by terminated"`, "the earlier log is kept")

	require.Contains(t, m.requireRun(ExitOK, "stop").stdout, "The gateway has stopped.")
	m.requireRun(ExitNotRunning, "status")
	require.Empty(t, glob(t, m.home, "pid/*"))
}

var pidPattern = regexp.MustCompile(`running \(pid (\d+)`)

func pidOf(t *testing.T, text string) int {
	t.Helper()
	m := pidPattern.FindStringSubmatch(text)
	require.NotNil(t, m, text)
	pid, err := strconv.Atoi(m[1])
	require.NoError(t, err)
	return pid
}

func lastRunning(text string) string { return text[strings.LastIndex(text, "The gateway is running"):] }

func glob(t *testing.T, home, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(home, pattern))
	require.NoError(t, err)
	return found
}

func TestStartThatFails(t *testing.T) {
	for kind, reason := range map[string]string{
		"broken": "gateway: port 15002 is taken", "unbuildable": "gateway: the store is in use by another gateway",
	} {
		t.Run(kind, func(t *testing.T) {
			m := newMachine(t, kind)
			failed := m.requireRun(ExitFailure, "start")
			require.Contains(t, failed.stderr, "the gateway did not start. It ended before it was ready (exit status 1).")
			require.Contains(t, failed.stderr, reason, "the log's end must be shown")
			require.Contains(t, failed.stderr, m.path("logs/gateway-*.log"))
			m.requireRun(ExitNotRunning, "status")
		})
	}
}

func TestStartThatTakesTooLong(t *testing.T) {
	m := newMachine(t, "slow")
	failed := m.requireRun(ExitFailure, "start", "--timeout", "300ms")
	require.Contains(t, failed.stderr, "it did not serve within 300ms")
	m.requireRun(ExitNotRunning, "status")
}

func TestRunEndsAfterASignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			m := newMachine(t, "fine")
			r := m.runUntilServing()
			require.Contains(t, r.banner, "Authentication  NONE")
			require.Contains(t, r.banner, "Log             this terminal")
			require.Contains(t, m.requireRun(ExitOK, "status").stdout, "sc://127.0.0.1:15002", "a foreground gateway is found too")
			require.NoError(t, r.signal(sig))
			require.Equal(t, ExitOK, r.wait())
			require.Empty(t, glob(t, m.home, "pid/*"))
		})
	}
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	r := newMachine(t, "deaf").runUntilServing()
	require.NoError(t, r.signal(syscall.SIGTERM))
	require.NoError(t, r.signal(syscall.SIGINT))
	require.Equal(t, ExitFailure, r.wait())
}

func TestStopThatTakesTooLong(t *testing.T) {
	m := newMachine(t, "deaf")
	m.requireRun(ExitOK, "start")
	failed := m.requireRun(ExitFailure, "stop", "--timeout", "2500ms")
	require.Contains(t, failed.stderr, "it did not end within 2.5s")
	require.Contains(t, failed.stderr, "gateway stop --now")
	require.Contains(t, failed.stdout, "It waits for 3 calls of clients to end")
	require.Contains(t, m.requireRun(ExitOK, "status").stdout, "It waits for 3 calls of clients to end")
	m.requireRun(ExitOK, "stop", "--now")
	m.requireRun(ExitNotRunning, "status")
}

func TestRunThatDies(t *testing.T) {
	m := newMachine(t, "dying")
	require.Contains(t, m.requireRun(ExitFailure, "run").stderr, "gateway: the store broke")
	require.Empty(t, glob(t, m.home, "pid/*"))
}

func TestStopWithEngines(t *testing.T) {
	m := newMachine(t, "fine")
	require.Contains(t, m.requireRun(ExitOK, "stop", "--engines").stdout, "start it, then stop it with --engines")
	m.requireRun(ExitOK, "start")
	require.Contains(t, m.requireRun(ExitOK, "stop", "--engines").stdout, "The gateway has stopped.")
	require.Contains(t, m.read("logs/gateway-*.log"), "ended with engines")
	m.requireRun(ExitOK, "start")
	m.requireRun(ExitOK, "stop")
	require.NotContains(t, m.read("logs/gateway-*.log"), "ended with engines")
	m.requireRun(ExitUsage, "stop", "--engines", "--now")
}

func TestStopWithEnginesThatDoNotEnd(t *testing.T) {
	m := newMachine(t, "clinging")
	m.requireRun(ExitOK, "start")
	failed := m.requireRun(ExitFailure, "stop", "--engines")
	require.Contains(t, failed.stdout, "The gateway has stopped.")
	require.Contains(t, failed.stderr, "engines still run: e1 of alice (pid 4711) in data; start the gateway and stop it with --engines again")
	m.requireRun(ExitOK, "start")
	m.requireRun(ExitOK, "stop")
}

// TestStopWithEnginesOfSeveralGateways: what the gateway itself knows is told, and nothing of
// the store that it had when it was alone.
func TestStopWithEnginesOfSeveralGateways(t *testing.T) {
	for kind, want := range map[string]struct {
		code         int
		said, failed string
	}{
		"fine":     {ExitOK, "so they were told to end", ""},
		"clinging": {ExitOK, "so they were told to end", ""},
		"several":  {ExitEnginesGoOn, "The gateway has stopped.", "the engines go on, because 2 other gateways serve them"},
		"lost":     {ExitFailure, "The gateway has stopped.", "whether its engines go on cannot be told"},
		"late":     {ExitFailure, "The gateway has stopped.", "whether its engines go on cannot be told"},
	} {
		t.Run(kind, func(t *testing.T) {
			m := newMachine(t, kind)
			secret := filepath.Join(m.home, "secret")
			require.NoError(t, os.WriteFile(secret, []byte(strings.Repeat("ab", 32)), 0o600))
			m.configure("kyuubi.frontend.spark.connect.enabled=true\nkyuubi.ha.addresses=127.0.0.1:2181\nkyuubi.server.cluster.secret.file=" + secret + "\n")
			m.requireRun(ExitOK, "start")
			stopped := m.requireRun(want.code, "stop", "--engines")
			require.Contains(t, stopped.stdout, want.said)
			require.Contains(t, stopped.stderr, want.failed)
		})
	}
}

// TestStopWithEnginesDuringAStop: it adds the engines, and cuts nothing off.
func TestStopWithEnginesDuringAStop(t *testing.T) {
	m := newMachine(t, "draining")
	m.requireRun(ExitOK, "start")
	require.Contains(t, m.requireRun(ExitFailure, "stop", "--timeout", "200ms").stderr, "it did not end within 200ms")
	m.requireRun(ExitOK, "stop", "--engines")
	require.Contains(t, m.read("logs/gateway-*.log"), "draining\nended: stopped by terminated\nended with engines\n")
}

func TestAKilledGatewayIsNotRunning(t *testing.T) {
	m := newMachine(t, "fine")
	r := m.runUntilServing()
	require.NoError(t, r.signal(syscall.SIGKILL))
	r.wait()
	require.Contains(t, m.requireRun(ExitNotRunning, "status").stdout, "left over from process")
	m.requireRun(ExitOK, "start")
	require.Contains(t, m.read("logs/gateway-*.log"), "did not end in an orderly way")
}

// TestTheGatewayOfAnotherUser, whose pid file has another name.
func TestTheGatewayOfAnotherUser(t *testing.T) {
	m := newMachine(t, "fine")
	m.requireRun(ExitOK, "start")
	own := m.path("pid/gateway-*.pid")
	other := filepath.Join(filepath.Dir(own), "gateway-somebody-else.pid")
	require.NoError(t, os.Rename(own, other))
	t.Cleanup(func() { require.NoError(t, os.Rename(other, own)) }) // before it is stopped
	require.Contains(t, m.requireRun(ExitNotRunning, "status").stdout, "another one runs (pid ")
	failed := m.requireRun(ExitFailure, "stop")
	require.Contains(t, failed.stderr, other)
	require.Contains(t, failed.stderr, "stop it as its own user")
}

func TestWarnings(t *testing.T) {
	m := newMachine(t, "fine")
	tokens := filepath.Join(t.TempDir(), "tokens")
	require.NoError(t, os.WriteFile(tokens, []byte("0123456789abcdef-of-alice alice\n"), 0o600))
	text := "kyuubi.frontend.spark.connect.enabled=true\nkyuubi.authentication=TOKEN\nkyuubi.authentication.token.file=" + tokens + "\n"
	m.configure(text)
	require.Contains(t, m.requireRun(ExitOK, "validate").stderr, "can run anything here: drivers run under that name")
	require.Contains(t, m.runUntilServing().banner, "Authentication  TOKEN; only ")
	m.configure(text + "kyuubi.engine.local.allow.gateway.user=true\n")
	require.NotContains(t, m.requireRun(ExitOK, "validate").stderr, "can run anything here")
	m.env = append(m.env, quickstartVariable+"=")
	require.Equal(t, os.Geteuid() == 0, strings.Contains(m.requireRun(ExitOK, "validate").stderr, "the gateway runs as root"))
}

func TestNothingToServe(t *testing.T) {
	m := newMachine(t, "fine")
	m.configure("# nothing\n")
	for _, command := range []string{"run", "start", "validate"} {
		failed := m.requireRun(ExitFailure, command)
		require.Equal(t, fmt.Sprintf("gateway: nothing to serve: set kyuubi.frontend.spark.connect.enabled=true in %s\n",
			filepath.Join(m.home, "conf", "kyuubi-defaults.conf")), failed.stderr)
	}
	require.NoError(t, os.Remove(filepath.Join(m.home, "conf", "kyuubi-defaults.conf")))
	require.Contains(t, m.requireRun(ExitFailure, "run").stderr, "enabled=true in "+m.home)
}

func TestValidate(t *testing.T) {
	m := newMachine(t, "fine")
	valid := m.requireRun(ExitOK, "validate")
	require.Contains(t, valid.stdout, "The configuration is valid: "+filepath.Join(m.home, "conf", "kyuubi-defaults.conf"))

	m.configure("kyuubi.frontend.spark.connect.enabled=perhaps\nkyuubi.sesion.idle.timeout=PT1H\n")
	faulty := m.requireRun(ExitFailure, "validate", "--conf", "kyuubi.frontend.rest.bind.port=80")
	require.Contains(t, faulty.stderr, "kyuubi-defaults.conf:1")
	require.Contains(t, faulty.stderr, "kyuubi-defaults.conf:2")
	require.Contains(t, faulty.stderr, "kyuubi.session.idle.timeout", "the nearest name")
	require.Contains(t, faulty.stderr, "kyuubi.frontend.rest.bind.port")
	require.Empty(t, faulty.stdout)
	require.Empty(t, glob(t, m.home, "pid*"), "nothing is written")
}

func TestHomes(t *testing.T) {
	env := map[string]string{"KYUUBI_HOME": "/k"}
	a := &app{getenv: func(name string) string { return env[name] }}
	home, err := a.home()
	require.NoError(t, err)
	require.Equal(t, "/k", home)
	env["GATEWAY_HOME"] = "/g"
	home, err = a.home()
	require.NoError(t, err)
	require.Equal(t, "/g", home, "so that it can live beside a running Kyuubi")
}

func TestUsage(t *testing.T) {
	m := newMachine(t, "fine")
	require.Regexp(t, `^Roundhouse gateway \d+\.\d+\.\d+ \(.*go1`, m.requireRun(ExitOK, "version").stdout)
	help := m.requireRun(ExitOK, "help").stdout
	for _, command := range []string{"run", "start", "stop", "restart", "status", "version", "validate"} {
		require.Regexp(t, `(?m)^  `+command+` `, help)
	}
	require.NotContains(t, m.requireRun(ExitOK, "help", "run").stdout, "ready-fd")
	for _, args := range [][]string{{"fly"}, {"run", "fast"}, {"start", "--confs", "a=b"}, {"stop", "--timeout", "soon"}} {
		wrong := m.requireRun(ExitUsage, args...)
		require.Contains(t, wrong.stderr, "see gateway help")
	}
}

func TestSparkHome(t *testing.T) {
	home := t.TempDir()
	require.Equal(t, "no Spark found in "+home+", so no engine can start: correct SPARK_HOME", spark{home: home}.String())
	for _, file := range []string{"bin/spark-submit", "jars/spark-core_2.13-4.3.0.jar", "conf/spark-env.sh"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(home, file)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(home, file), nil, 0o755))
	}
	m := newMachine(t, "fine")
	require.Contains(t, m.runUntilServing().stopped(), "Spark           none, so no engine can start: set SPARK_HOME")
	m.env = []string{"SPARK_HOME=" + home}
	require.Contains(t, m.runUntilServing().stopped(), "Spark           4.3.0 in "+home)
	m.configure("kyuubi.frontend.spark.connect.enabled=true\nkyuubi.engineEnv.SPARK_HOME=/elsewhere\n")
	require.Contains(t, m.requireRun(ExitFailure, "run").stderr, "kyuubi-defaults.conf:2: kyuubi.engineEnv.SPARK_HOME: /elsewhere is not a folder")
}

// running is a gateway in the foreground.
type running struct {
	t      *testing.T
	signal func(os.Signal) error
	wait   func() int
	banner string
}

// stopped ends it and returns its banner.
func (r running) stopped() string {
	r.t.Helper()
	require.NoError(r.t, r.signal(syscall.SIGTERM))
	require.Equal(r.t, ExitOK, r.wait())
	return r.banner
}

func (m *machine) runUntilServing() running {
	m.t.Helper()
	cmd := m.command("run")
	out, err := cmd.StdoutPipe()
	require.NoError(m.t, err)
	require.NoError(m.t, cmd.Start())
	timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	var banner strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&banner, lines.Text())
		if strings.HasPrefix(lines.Text(), "  Log ") { // its last line
			break
		}
	}
	return running{
		t: m.t, signal: cmd.Process.Signal, banner: banner.String(),
		wait: func() int {
			_, _ = io.Copy(io.Discard, out) // until it ends
			_ = cmd.Wait()                  // the exit code tells the same
			timer.Stop()
			return cmd.ProcessState.ExitCode()
		},
	}
}
