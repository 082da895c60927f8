// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "x.pid")
	held, err := Hold(path)
	require.NoError(t, err)
	require.NoError(t, held.Note(map[string]string{"rest": "http://[::1]:1/?a=b", "connect": strings.Repeat("x", 100)}))
	require.NoError(t, held.Note(map[string]string{"rest": "long"}), "a shorter text leaves nothing of the longer one")
	require.NoError(t, held.Put("rest", "short"))
	require.NoError(t, held.Put("calls", "3"))

	found, err := Find(path)
	require.NoError(t, err)
	require.Equal(t, os.Getpid(), found.PID)
	require.Equal(t, map[string]string{"rest": "short", "calls": "3"}, found.Notes)
	require.WithinDuration(t, time.Now(), found.Started, time.Minute)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(text), fmt.Sprintf("%d\n", os.Getpid())), "the first line is the bare pid")

	_, err = Hold(path)
	var running *RunningError
	require.ErrorAs(t, err, &running)
	require.Equal(t, os.Getpid(), running.PID)

	require.NoError(t, held.Release())
	_, err = Find(path)
	require.ErrorIs(t, err, ErrNotRunning)
	require.NoFileExists(t, path)
}

func TestOthers(t *testing.T) {
	dir := t.TempDir()
	held, err := Hold(filepath.Join(dir, "x-alice.pid"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x-carol.pid"), []byte("2147483647\nmark=1\n"), 0o600))
	found := Others(filepath.Join(dir, "x-bob.pid"))
	require.Len(t, found, 1, "one that is gone does not count")
	require.Equal(t, os.Getpid(), found[filepath.Join(dir, "x-alice.pid")].PID)
	require.Empty(t, Others(filepath.Join(dir, "x-alice.pid")), "its own file")
	require.Empty(t, Others(filepath.Join(dir, "y-bob.pid")), "another program")
	require.NoError(t, held.Release())
}

// TestHoldAfterACrash: the file of a killed process is taken over.
func TestHoldAfterACrash(t *testing.T) {
	path := child(t, "stubborn")
	p, err := Find(path)
	require.NoError(t, err)
	require.NoError(t, Stop(t.Context(), p, StopOptions{Now: true}))
	require.FileExists(t, path, "it was killed and could not tidy up")

	_, err = Find(path)
	require.ErrorIs(t, err, ErrNotRunning)
	require.ErrorContains(t, err, "left over")
	held, err := Hold(path)
	require.NoError(t, err)
	require.NoError(t, held.Release())
}

// TestARecycledPIDIsNotOurs: the pid lives, but it is not the process that
// wrote the file.
func TestARecycledPIDIsNotOurs(t *testing.T) {
	path := child(t, "stubborn")
	p, err := Find(path)
	require.NoError(t, err)
	p.Mark++
	require.NoError(t, os.WriteFile(path, p.format(), 0o644))

	_, err = Find(path)
	require.ErrorIs(t, err, ErrNotRunning)
	require.NoError(t, Stop(t.Context(), p, StopOptions{Now: true}))
	p.Mark--
	alive, err := p.Alive()
	require.NoError(t, err)
	require.True(t, alive, "the stranger must not have been signalled")
}

func TestBrokenPIDFiles(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "words": "hello\n", "negative": "-1\n", "zero": "0\n", "no pair": "1\nx\n", "bad mark": "1\nmark=x\n", "bad time": "1\nstarted=now\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.pid")
			require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
			_, err := Find(path)
			require.ErrorContains(t, err, path)
			require.NotErrorIs(t, err, ErrNotRunning)
		})
	}
}

func TestStopWaitsUntilItIsGone(t *testing.T) {
	path := child(t, "plain")
	p, err := Find(path)
	require.NoError(t, err)
	require.NoError(t, Stop(t.Context(), p, StopOptions{}))
	alive, err := p.Alive()
	require.NoError(t, err)
	require.False(t, alive)
	require.NoFileExists(t, path)
	require.NoError(t, Stop(t.Context(), p, StopOptions{}), "what is gone needs no stop")
}

func TestStopGivesUpWithTheReasonOfItsContext(t *testing.T) {
	p, err := Find(child(t, "stubborn"))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, fmt.Errorf("enough"))
	defer cancel()
	require.ErrorContains(t, Stop(ctx, p, StopOptions{}), "enough")
}

func TestStopTellsThatItWaits(t *testing.T) {
	p, err := Find(child(t, "stubborn"))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	told := 0
	err = Stop(ctx, p, StopOptions{Progress: func() {
		if told++; told == 2 {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 2, told)
}

func startOptions(t *testing.T, role string) StartOptions {
	t.Helper()
	dir := t.TempDir()
	t.Setenv(roleVariable, role)
	files := Files{PID: filepath.Join(dir, "x.pid"), Log: filepath.Join(dir, "logs", "x.log"), KeptLogs: 2}
	return StartOptions{Program: testBinary(t), Args: []string{files.PID}, Dir: dir, Files: files}
}

func TestStart(t *testing.T) {
	o := startOptions(t, "background")
	pid, err := Start(t.Context(), o)
	require.NoError(t, err)
	p, err := Find(o.Files.PID)
	require.NoError(t, err)
	require.Equal(t, pid, p.PID)
	require.NoError(t, Stop(t.Context(), p, StopOptions{}))
	text, err := os.ReadFile(o.Files.Log)
	require.NoError(t, err)
	require.Equal(t, "role background\nup\n", string(text))
}

func TestStartShowsWhyItFailed(t *testing.T) {
	o := startOptions(t, "fails")
	_, err := Start(t.Context(), o)
	var failure *StartError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, "It ended before it was ready (exit status 7)", failure.Reason)
	require.Equal(t, "role fails\nno Spark here", failure.LogTail)
	require.Contains(t, err.Error(), o.Files.Log)
}

// TestStartInTime: a child that never gets ready is ended, not left behind.
func TestStartInTime(t *testing.T) {
	o := startOptions(t, "plain")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { // the test waits for ended
		_, err := Start(ctx, o)
		ended <- err
	}()
	require.Eventually(t, func() bool {
		_, err := Find(o.Files.PID)
		return err == nil
	}, 10*time.Second, 5*time.Millisecond)
	cancel(fmt.Errorf("too slow"))
	err := <-ended
	require.ErrorContains(t, err, "It was not ready in time and was ended (too slow)")
	_, err = Find(o.Files.PID)
	require.ErrorIs(t, err, ErrNotRunning)
}

func TestStartWithoutProgram(t *testing.T) {
	o := startOptions(t, "fails")
	o.Program = filepath.Join(o.Dir, "absent")
	_, err := Start(t.Context(), o)
	require.ErrorIs(t, err, os.ErrNotExist)
}
