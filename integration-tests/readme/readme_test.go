// SPDX-License-Identifier: Apache-2.0

// Package readme holds the tests of the README's ways to log in: its settings
// and commands as they stand, with a real directory, KDC and issuer, real
// PySpark and real Spark. Only the names of example hosts are replaced.
package readme

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/integration-tests/env"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = 20 * time.Second
	// maxCommands is how many commands a new user needs at most.
	maxCommands = 4
)

// way is a way to log in: the settings to add, and the commands.
type way struct {
	settings string
	commands []string
}

// read finds a way by its bold word in the README.
func read(t *testing.T, name string) way {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(env.Root(t), "README.md"))
	require.NoError(t, err)
	found := regexp.MustCompile("(?s)\n\\*\\*" + name + "\\*\\*[^`]*\n\n```properties\n([^`]*)```\n\n((?:    [^\n]+\n)+)").FindStringSubmatch(string(text))
	require.NotNil(t, found, "the README has no way for %s", name)
	var commands []string
	for line := range strings.Lines(found[2]) {
		commands = append(commands, strings.TrimSpace(line))
	}
	require.LessOrEqual(t, len(commands), maxCommands)
	return way{found[1], commands}
}

// checkout is a folder like a checkout after make build.
type checkout struct {
	t       *testing.T
	home    string
	environ []string
}

func newCheckout(t *testing.T, environ ...string) *checkout {
	t.Helper()
	root, python, spark, jar := env.Root(t), env.Python(t, "4.3"), env.SparkHome(t), env.PluginJar(t)
	c := &checkout{t: t, home: t.TempDir()}
	for _, dir := range []string{"bin", "conf", ".local"} {
		require.NoError(t, os.Mkdir(filepath.Join(c.home, dir), 0o700))
	}
	require.NoError(t, os.Symlink(filepath.Join(root, "bin", "gateway"), filepath.Join(c.home, "bin", "gateway")))
	require.NoError(t, os.Symlink(filepath.Dir(filepath.Dir(python)), filepath.Join(c.home, ".local", "venv")))
	connect, rest := env.FreePorts(t)
	c.add("kyuubi.frontend.spark.connect.enabled=true",
		fmt.Sprint("kyuubi.frontend.spark.connect.bind.port=", connect),
		fmt.Sprint("kyuubi.frontend.rest.bind.port=", rest),
		"kyuubi.session.engine.spark.main.resource="+jar,
		"kyuubi.engineEnv.SPARK_HOME="+spark,
		"kyuubi.engineEnv.PYSPARK_PYTHON="+python,
		"kyuubi.session.engine.initialize.timeout=PT4M",
		"spark.master=local[1]", "spark.ui.enabled=false", "spark.driver.memory=1g")
	program := "import os\nfrom pyspark.sql import SparkSession\nspark = SparkSession.builder.remote(os.environ['SPARK_REMOTE']).getOrCreate()\nprint('rows', spark.range(42).count())\nspark.stop()\n"
	require.NoError(t, os.WriteFile(filepath.Join(c.home, "your_program.py"), []byte(program), 0o600))
	c.environ = append(append(os.Environ(), "GATEWAY_HOME="+c.home, "KYUUBI_HOME=", "KYUUBI_CONF_DIR=", "KYUUBI_LOG_DIR=", "KYUUBI_PID_DIR=",
		"KYUUBI_WORK_DIR_ROOT=", "SPARK_HOME=", "SPARK_REMOTE=", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH="), environ...)
	t.Cleanup(c.end)
	return c
}

func (c *checkout) end() {
	stop := c.shell("bin/gateway stop --engines")
	out, err := stop.CombinedOutput()
	require.NoError(c.t, err, "%s", out)
	env.Eventually(c.t, patience, "all processes end", func() bool { return len(env.Marked(c.home)) == 0 })
}

// add appends lines to the settings.
func (c *checkout) add(lines ...string) {
	c.t.Helper()
	file, err := os.OpenFile(filepath.Join(c.home, "conf", "kyuubi-defaults.conf"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(c.t, err)
	defer func() { _ = file.Close() }()
	_, err = io.WriteString(file, strings.Join(lines, "\n")+"\n")
	require.NoError(c.t, err)
}

// shell runs commands one after the other in one shell, as a person does.
func (c *checkout) shell(commands ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	c.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "bash", "-e", "-c", strings.Join(commands, "\n"))
	cmd.Dir, cmd.WaitDelay, cmd.Env = c.home, time.Second, c.environ
	return cmd
}

// certificates are made by the first way; the others build on them.
func (c *checkout) certificates() {
	c.t.Helper()
	env.Run(c.t, c.shell(read(c.t, "Tokens").commands[0]))
}

// walk goes a way and has the rows of alice. The names of example hosts are
// replaced; typed is what alice types, hear is told what she has seen so far.
func (c *checkout) walk(w way, typed string, hear func(said string), replace ...string) {
	c.t.Helper()
	settings := strings.NewReplacer(replace...).Replace(w.settings)
	require.NotContains(c.t, settings, "example.org")
	c.add(settings)
	cmd, seen := c.shell(w.commands...), &listener{hear: hear}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(typed), seen, seen
	require.NoError(c.t, cmd.Run(), "%s", seen)
	require.Contains(c.t, seen.String(), "rows 42")
	require.Contains(c.t, c.log(), `msg="session opened" user=alice`)
}

func (c *checkout) log() string {
	c.t.Helper()
	logs, err := filepath.Glob(filepath.Join(c.home, "logs", "gateway-*.log"))
	require.NoError(c.t, err)
	require.Len(c.t, logs, 1)
	text, err := os.ReadFile(logs[0])
	require.NoError(c.t, err)
	return string(text)
}

// listener keeps what is said and passes all of it on each time.
type listener struct {
	strings.Builder
	hear func(said string)
}

func (l *listener) Write(p []byte) (int, error) {
	n, err := l.Builder.Write(p)
	if l.hear != nil {
		l.hear(l.String())
	}
	return n, err
}
