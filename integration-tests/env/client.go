// SPDX-License-Identifier: Apache-2.0

package env

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Client is a client program that prints one JSON object per line.
type Client struct {
	t     testing.TB
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan map[string]any
	over  chan struct{}
	mu    struct {
		sync.Mutex
		stderr strings.Builder
	}
}

// StartClient starts a program of integration-tests/pyspark with the PySpark of
// a version.
func StartClient(t testing.TB, version, script string, args ...string) *Client {
	t.Helper()
	path := filepath.Join(Root(t), "integration-tests", "pyspark", script)
	cmd := exec.Command(Python(t, version), append([]string{path}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONUNBUFFERED=1", "SPARK_REMOTE=", "SPARK_HOME=")
	return StartProgram(t, cmd)
}

// StartProgram starts a client program, which ends with the test.
func StartProgram(t testing.TB, cmd *exec.Cmd) *Client {
	t.Helper()
	c := &Client{t: t, cmd: cmd, lines: make(chan map[string]any, 10000), over: make(chan struct{})}
	c.cmd.Stderr = stderrOf{c}
	stdout, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	c.stdin, err = c.cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, c.cmd.Start())
	go c.read(stdout) // ends with the process, which Wait or the cleanup ends
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.over
		if t.Failed() {
			t.Logf("stderr of %s:\n%s", cmd.Args[:2], tail(c.Stderr(), 40))
		}
	})
	return c
}

type stderrOf struct{ c *Client }

func (w stderrOf) Write(p []byte) (int, error) {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	return w.c.mu.stderr.Write(p)
}

func (c *Client) read(stdout io.Reader) {
	defer close(c.over)
	defer func() { _ = c.cmd.Wait() }()
	defer close(c.lines)
	scan := bufio.NewScanner(stdout)
	scan.Buffer(nil, 16<<20)
	for scan.Scan() {
		line := map[string]any{}
		if json.Unmarshal(scan.Bytes(), &line) == nil {
			c.lines <- line
		}
	}
}

// Stderr is what the program wrote to standard error so far.
func (c *Client) Stderr() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.stderr.String()
}

// Next returns the next line whose "event" is event.
func (c *Client) Next(event string, within time.Duration) map[string]any {
	c.t.Helper()
	deadline := time.After(within)
	for {
		select {
		case line, ok := <-c.lines:
			require.Truef(c.t, ok, "the client ended before %q\n%s", event, Lazily(func() any { return c.Stderr() }))
			require.Falsef(c.t, line["event"] == "failed" && event != "failed", "the client failed before %q: %v", event, line)
			if line["event"] == event {
				return line
			}
		case <-deadline:
			require.FailNowf(c.t, "no "+event, "within %v\n%s", within, c.Stderr())
		}
	}
}

// Say writes a line to the program's standard input.
func (c *Client) Say(line string) {
	c.t.Helper()
	_, err := io.WriteString(c.stdin, line+"\n")
	require.NoError(c.t, err)
}

// Signal sends a signal to the program.
func (c *Client) Signal(sig os.Signal) {
	c.t.Helper()
	require.NoError(c.t, c.cmd.Process.Signal(sig))
}

// Wait waits for the end and returns the exit code and the lines not yet read.
func (c *Client) Wait(within time.Duration) (int, []map[string]any) {
	c.t.Helper()
	_ = c.stdin.Close()
	select {
	case <-c.over:
	case <-time.After(within):
		require.FailNowf(c.t, "the client does not end", "within %v\n%s", within, c.Stderr())
	}
	var rest []map[string]any
	for line := range c.lines {
		rest = append(rest, line)
	}
	return c.cmd.ProcessState.ExitCode(), rest
}
