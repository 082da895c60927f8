// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/conf"
	"roundhouse/server"
)

// kindVariable makes this test binary the gateway program, with a server of
// that kind.
const kindVariable = "CLI_TEST_GATEWAY"

func TestMain(m *testing.M) {
	if kind := os.Getenv(kindVariable); kind != "" {
		a := &app{
			build: fakeGateway(kind), check: fakeCheck(kind), left: fakeRemaining(kind),
			stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv,
		}
		os.Exit(run(context.Background(), a, os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// fake is a server without a network.
type fake struct {
	kind  string
	ready chan struct{}
}

func fakeGateway(kind string) newGateway {
	return func(_ *conf.Conf, log *slog.Logger) (Gateway, error) {
		if kind == "unbuildable" {
			return nil, errors.New("the store is in use by another gateway")
		}
		log.Info("built", "kind", kind)
		return &fake{kind: kind, ready: make(chan struct{})}, nil
	}
}

// fakeRemaining are the engines that a gateway leaves: "clinging" has one.
func fakeRemaining(kind string) func(string) ([]string, error) {
	return func(dataDir string) ([]string, error) {
		if kind == "clinging" {
			return []string{"e1 of alice (pid 4711) in " + filepath.Base(dataDir)}, nil
		}
		return nil, nil
	}
}

// Run plays its kind: "fine" ends when told, and so does "clinging"; "broken"
// fails before it serves, "dying" after that, "deaf" hears nothing, "slow" never
// serves, "draining" ends with its engines only; "several" is one of several gateways, "lost"
// one whose end fails, "late" is asked for its engines too late.
func (f *fake) Run(ctx context.Context, withEngines <-chan struct{}) (enginesTold bool, err error) {
	switch f.kind {
	case "broken":
		return false, errors.New("port 15002 is taken")
	case "dying":
		close(f.ready)
		return false, errors.New("the store broke")
	case "deaf":
		close(f.ready)
		ctx = context.Background()
	case "draining":
		close(f.ready)
		<-ctx.Done()
		fmt.Fprintln(os.Stderr, "draining")
		<-withEngines
	case "late":
		close(f.ready)
		<-ctx.Done()
		<-withEngines
		return false, nil
	case "fine", "clinging", "several", "lost":
		close(f.ready)
	}
	select {
	case <-ctx.Done():
		fmt.Fprintln(os.Stderr, "ended:", context.Cause(ctx))
		select {
		case <-withEngines:
			fmt.Fprintln(os.Stderr, "ended with engines")
			return f.kind != "several", map[string]error{"several": &server.EnginesGoOnError{Gateways: 2}, "lost": errors.New("the store broke")}[f.kind]
		default:
		}
		return false, nil
	case <-time.After(time.Minute): // a test that died leaves nothing behind for long
		return false, errors.New("forgotten")
	}
}

func (f *fake) Ready() <-chan struct{} { return f.ready }
func (f *fake) ConnectAddr() string    { return "127.0.0.1:15002" }
func (f *fake) RESTAddr() string       { return "127.0.0.1:10099" }
func (f *fake) Calls() int             { return 3 }

// machine is a home folder and the program to run in it.
type machine struct {
	t    *testing.T
	home string
	kind string
	env  []string
}

func newMachine(t *testing.T, kind string) *machine {
	t.Helper()
	m := &machine{t: t, home: t.TempDir(), kind: kind}
	m.configure("kyuubi.frontend.spark.connect.enabled=true\n")
	t.Cleanup(func() { m.run("stop", "--now") })
	return m
}

func (m *machine) configure(text string) {
	m.t.Helper()
	require.NoError(m.t, os.MkdirAll(filepath.Join(m.home, "conf"), 0o755))
	require.NoError(m.t, os.WriteFile(filepath.Join(m.home, "conf", conf.DefaultsFile), []byte(text), 0o644))
}

// fakeCheck finds fault with what package conf cannot judge, if kind says so.
func fakeCheck(kind string) func(*conf.Conf) error {
	return func(*conf.Conf) error {
		if kind == "unusable" {
			return errors.New("the token file has no token")
		}
		return nil
	}
}

// path is a file below the home folder, by a pattern with one match.
func (m *machine) path(pattern string) string {
	m.t.Helper()
	found, err := filepath.Glob(filepath.Join(m.home, pattern))
	require.NoError(m.t, err)
	require.Len(m.t, found, 1, pattern)
	return found[0]
}

func (m *machine) read(pattern string) string {
	m.t.Helper()
	text, err := os.ReadFile(m.path(pattern))
	require.NoError(m.t, err)
	return string(text)
}

func (m *machine) command(args ...string) *exec.Cmd {
	m.t.Helper()
	program, err := os.Executable()
	require.NoError(m.t, err)
	cmd := exec.Command(program, args...)
	cmd.Env = append([]string{
		"GATEWAY_HOME=" + m.home, "PATH=" + os.Getenv("PATH"), kindVariable + "=" + m.kind, quickstartVariable + "=1",
		"GORACE=atexit_sleep_ms=0", // else each command takes a second with the race detector
	}, m.env...)
	return cmd
}

// result is what a command left behind.
type result struct {
	code   int
	stdout string
	stderr string
}

func (m *machine) run(args ...string) result {
	m.t.Helper()
	cmd := m.command(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(m.t, err)
	}
	return result{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

// requireRun runs a command that must end with this code.
func (m *machine) requireRun(code int, args ...string) result {
	m.t.Helper()
	r := m.run(args...)
	require.Equal(m.t, code, r.code, fmt.Sprintf("%s\n%s\n%s", strings.Join(args, " "), r.stdout, r.stderr))
	return r
}
