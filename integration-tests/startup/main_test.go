// SPDX-License-Identifier: Apache-2.0

// Package startup runs the real gateway program with configurations and on
// machines on which it must not start, and reads what it says.
package startup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/integration-tests/env"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stranger is the user who runs the program where a test needs one whom file
// modes bind, and the tests are run by root. It has no name and, unlike nobody,
// no part in tests of other packages.
const stranger = 64999

// patience is how long a command may take that must fail.
const patience = 20 * time.Second

// machine is a folder with a valid configuration, to break.
type machine struct {
	t *testing.T
	// dir is for files of a test, home the gateway's below it.
	dir, home string
	program   string
	settings  map[string]string
	// lines follow the settings in the file.
	lines []string
	env   map[string]string
	// uid runs the commands, -1 for that of the test.
	uid int
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir(), program: env.Binary(t), uid: -1}
	connect, rest := env.FreePorts(t)
	m.home = filepath.Join(m.dir, "home")
	m.file("spark/bin/spark-submit", "#!/bin/sh\nexit 1\n", 0o755)
	m.settings = map[string]string{
		"kyuubi.frontend.spark.connect.enabled":   "true",
		"kyuubi.frontend.spark.connect.bind.port": fmt.Sprint(connect),
		"kyuubi.frontend.rest.bind.port":          fmt.Sprint(rest),
		"kyuubi.engineEnv.SPARK_HOME":             filepath.Join(m.dir, "spark"),
	}
	m.env = map[string]string{"GATEWAY_HOME": m.home, "PATH": os.Getenv("PATH"), "HOME": m.dir}
	return m
}

// file writes a file below the folder of the test and returns its path.
func (m *machine) file(name, text string, mode os.FileMode) string {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	require.NoError(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
	env.WriteProgram(m.t, path, strings.NewReader(text))
	require.NoError(m.t, os.Chmod(path, mode), "whatever the umask")
	return path
}

// folder makes a folder below that of the test.
func (m *machine) folder(name string, mode os.FileMode) string {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	require.NoError(m.t, os.MkdirAll(path, 0o755))
	require.NoError(m.t, os.Chmod(path, mode), "whatever the umask")
	return path
}

// configure writes the file of settings.
func (m *machine) configure() {
	m.t.Helper()
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(m.settings)) {
		fmt.Fprintf(&b, "%s=%s\n", key, m.settings[key])
	}
	for _, line := range m.lines {
		b.WriteString(strings.ReplaceAll(line, "{dir}", m.dir) + "\n")
	}
	if _, err := os.Stat(m.confFile()); errors.Is(err, os.ErrNotExist) {
		m.file("home/conf/kyuubi-defaults.conf", b.String(), 0o600)
	}
}

func (m *machine) confFile() string { return filepath.Join(m.home, "conf", "kyuubi-defaults.conf") }

// asStranger lets a user without rights run the program, in a folder of theirs.
func (m *machine) asStranger() {
	m.t.Helper()
	if os.Geteuid() != 0 {
		return // this user is bound by file modes already
	}
	m.uid = stranger
	source, err := os.Open(m.program)
	require.NoError(m.t, err)
	defer source.Close()
	m.program = filepath.Join(m.dir, "gateway")
	env.WriteProgram(m.t, m.program, source)
	require.NoError(m.t, os.Chmod(filepath.Dir(m.dir), 0o711))
	require.NoError(m.t, filepath.WalkDir(m.dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, stranger, stranger))
	}))
}

func (m *machine) command(ctx context.Context, args ...string) *exec.Cmd {
	m.t.Helper()
	cmd := exec.CommandContext(ctx, m.program, args...)
	cmd.Dir = m.dir
	cmd.Env = []string{}
	for name, value := range m.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if m.uid >= 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(m.uid), Gid: uint32(m.uid)}}
	}
	return cmd
}

// run runs a command to its end and returns its exit code and what it said on
// both channels.
func (m *machine) run(args ...string) (code int, said string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience) // also in cleanups
	defer cancel()
	cmd := m.command(ctx, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(m.t, err)
	}
	require.NoError(m.t, ctx.Err(), "gateway %s did not end:\n%s", strings.Join(args, " "), &out)
	return cmd.ProcessState.ExitCode(), out.String()
}

// requireRefused runs the commands, each of which must fail and say all pieces,
// and leave no process behind.
func (m *machine) requireRefused(commands []string, pieces ...string) {
	m.t.Helper()
	for _, command := range commands {
		code, said := m.run(strings.Fields(command)...)
		require.Equal(m.t, 1, code, "gateway %s:\n%s", command, said)
		for _, piece := range pieces {
			require.Contains(m.t, said, strings.ReplaceAll(piece, "{dir}", m.dir), "gateway %s", command)
		}
		require.NotContains(m.t, said, "panic")
		require.NotContains(m.t, said, "goroutine ")
	}
	require.Empty(m.t, env.Marked(m.dir), "a process is left")
}

// start runs the gateway in the background until the end of the test.
func (m *machine) start() string {
	m.t.Helper()
	m.configure()
	m.t.Cleanup(func() {
		_, said := m.run("stop")
		require.Empty(m.t, env.Marked(m.dir), "a process is left: %s", said)
	})
	code, said := m.run("start")
	require.Equal(m.t, 0, code, said)
	return said
}
