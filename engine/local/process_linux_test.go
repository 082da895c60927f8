// SPDX-License-Identifier: Apache-2.0

package local

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"roundhouse/internal/process"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a shell script and ends it with the test.
func start(t *testing.T, script string, env ...string) (*Process, string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	f, err := os.Create(out)
	require.NoError(t, err)
	defer f.Close()
	p, err := Start(Command{Args: []string{"/bin/sh", "-c", script}, Env: env, Dir: filepath.Dir(out), Output: f})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.kill()); p.Release() })
	return p, out
}

// ended waits for the end of p.
func ended(t *testing.T, p *Process) string {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(10 * time.Second):
		require.Fail(t, "the process did not end")
	}
	return p.Status()
}

// content waits until the file has a line and returns it.
func content(t *testing.T, file string) string {
	t.Helper()
	var text string
	require.Eventually(t, func() bool {
		data, err := os.ReadFile(file)
		text = strings.TrimSpace(string(data))
		return err == nil && strings.HasSuffix(string(data), "\n")
	}, 10*time.Second, 5*time.Millisecond)
	return text
}

func TestExitCodeIsReported(t *testing.T) {
	p, _ := start(t, "exit 7")
	require.Equal(t, "exit code 7", ended(t, p))
}

func TestRunningProcessHasNoStatus(t *testing.T) {
	p, _ := start(t, "exec sleep 60")
	require.Empty(t, p.Status())
	require.NoError(t, p.End(t.Context(), 0))
	require.Equal(t, "killed by signal 9 (killed)", p.Status())
}

func TestDeathIsSeenAtOnce(t *testing.T) {
	p, _ := start(t, "exec sleep 60")
	before := time.Now()
	require.NoError(t, unix.Kill(p.Identity().PID, unix.SIGKILL))
	ended(t, p)
	require.Less(t, time.Since(before), time.Second)
}

func TestChildLeadsItsOwnSessionWithACleanEnvironment(t *testing.T) {
	t.Setenv("SECRET_OF_THE_GATEWAY", "x")
	p, out := start(t, `echo "$ONLY:$SECRET_OF_THE_GATEWAY:$(ls /proc/self/fd | wc -l)"; exec sleep 60`, "ONLY=this", "PATH=/usr/bin:/bin")
	require.Equal(t, "this::4", content(t, out), "stdin, stdout, stderr and the directory that ls reads")
	sid, err := unix.Getsid(p.Identity().PID)
	require.NoError(t, err)
	require.Equal(t, p.Identity().PID, sid)
}

func TestEndTerminatesGently(t *testing.T) {
	p, out := start(t, `trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done`, "PATH=/usr/bin:/bin")
	content(t, out)
	require.NoError(t, p.End(t.Context(), 10*time.Second))
	require.Equal(t, "exit code 3", p.Status())
	require.Contains(t, content(t, out), "bye")
}

func TestEndKillsTheStubbornAfterGrace(t *testing.T) {
	p, out := start(t, `trap '' TERM; echo up; while :; do sleep 0.05; done`, "PATH=/usr/bin:/bin")
	content(t, out)
	require.NoError(t, p.End(t.Context(), 50*time.Millisecond))
	require.Contains(t, p.Status(), "killed by signal 9")
}

func TestGroupEndsWithItsLeader(t *testing.T) {
	for name, script := range map[string]string{
		"leader killed": `sleep 60 & echo $!; wait`,
		"leader exits":  `sleep 60 & echo $!`,
	} {
		t.Run(name, func(t *testing.T) {
			p, out := start(t, script, "PATH=/usr/bin:/bin")
			forked, err := strconv.Atoi(content(t, out))
			require.NoError(t, err)
			require.NoError(t, p.End(t.Context(), 0))
			ended(t, p)
			require.Eventually(t, func() bool {
				f, err := process.Inspect(forked)
				return errors.Is(err, process.ErrNone) || f.Ended
			}, 5*time.Second, 5*time.Millisecond)
		})
	}
}

func TestReleaseLeavesTheProcessRunning(t *testing.T) {
	const script = "sleep 60; :"
	p, _ := start(t, script, "PATH=/usr/bin:/bin")
	p.Release()
	require.NoError(t, check(p.Identity()))

	adopted, err := Open(p.Identity(), script)
	require.NoError(t, err)
	defer adopted.Release()
	require.NoError(t, adopted.End(t.Context(), 0))
	require.Contains(t, adopted.Status(), "killed by signal 9")
	require.ErrorIs(t, check(p.Identity()), ErrGone)
	// The first watcher was told to stop: it is not there to see the end.
	require.Empty(t, p.Status())
	p.done = adopted.done // the cleanup of start has nothing left to kill
}

func TestOpenRefusesAnotherProcessWithThatPID(t *testing.T) {
	const script = "sleep 60; :"
	p, _ := start(t, script, "PATH=/usr/bin:/bin")
	id := p.Identity()
	_, err := Open(Identity{PID: id.PID, Start: id.Start + 1}, script)
	require.ErrorIs(t, err, ErrGone)
	_, err = Open(Identity{PID: 1, Start: id.Start}, script)
	require.ErrorIs(t, err, ErrGone)
	_, err = Open(id, "61")
	require.ErrorIs(t, err, ErrGone, "a process without the marker")
}

// TestOpenFindsAProcessByItsMarker: the leader, not what it forked.
func TestOpenFindsAProcessByItsMarker(t *testing.T) {
	const script = "(sleep 60; :) & (sleep 60; :) & wait # the marker is this text"
	p, _ := start(t, script, "PATH=/usr/bin:/bin")
	found, err := Open(Identity{}, script)
	require.NoError(t, err)
	require.Equal(t, p.Identity(), found.Identity())
	found.Release()
	require.NoError(t, p.End(t.Context(), 0))
	_, err = Open(Identity{}, script)
	require.ErrorIs(t, err, ErrGone)
}

func TestWithoutPidfdProcessesArePolled(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer f.Close()
	p, err := Start(Command{Args: []string{"/bin/sleep", "60"}, Output: f})
	require.NoError(t, err)
	p.Release()
	blind := &Process{id: p.id, child: true, done: make(chan struct{}), free: make(chan struct{}), idle: make(chan struct{})}
	go blind.watch() // ends with the process
	require.NoError(t, blind.End(t.Context(), 0))
	require.Contains(t, blind.Status(), "killed by signal 9")
	blind.Release()
}

func TestStartReportsAMissingProgram(t *testing.T) {
	_, err := Start(Command{Args: []string{"/nonexistent/spark-submit"}})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestAChildThatCannotBeNamedIsNotLeft(t *testing.T) {
	cmd := exec.Command("/bin/sleep", "60")
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	require.NoError(t, cmd.Start())
	_, err := identify(cmd.Process, func(int) (process.Info, error) { return process.Info{}, unix.EMFILE })
	require.ErrorIs(t, err, unix.EMFILE)
	_, err = process.Inspect(cmd.Process.Pid)
	require.ErrorIs(t, err, process.ErrNone, "no zombie either")
}

// TestOpenDuringAnExec: a process is its own also while it becomes another
// program, as spark-submit does twice.
func TestOpenDuringAnExec(t *testing.T) {
	const script = `n=$1; [ "$n" -eq 0 ] && { echo over; exec sleep 60; }; exec /bin/sh -c "$0" "$0" $((n-1)) marker`
	out := filepath.Join(t.TempDir(), "out")
	f, err := os.Create(out)
	require.NoError(t, err)
	defer f.Close()
	p, err := Start(Command{Args: []string{"/bin/sh", "-c", script, script, "200", "marker"}, Env: []string{"PATH=/usr/bin:/bin"}, Output: f})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.kill()); p.Release() })
	opened := 0
	for ; ; opened++ {
		q, err := Open(p.Identity(), "marker")
		if err == nil {
			q.Release()
		}
		if text, _ := os.ReadFile(out); len(text) > 0 {
			break // its last program has no marker
		}
		require.NoError(t, err)
	}
	require.NotZero(t, opened)
}
