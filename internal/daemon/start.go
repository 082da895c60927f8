// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ReadyFD is the number of the file that a started child reports its readiness
// on; it is passed to the child in an argument, not in its environment, which
// grandchildren would inherit.
const ReadyFD = 3

// readyWord is what a child writes once it serves.
const readyWord = "ready"

// shownLogLines is how much of the log a failed start shows.
const shownLogLines = 20

// StartOptions describe the child.
type StartOptions struct {
	// Program is the absolute path to run.
	Program string
	Args    []string
	// Dir is the working directory.
	Dir string
	// Files names the log, which is rotated first.
	Files Files
}

// StartError says that a child did not come up.
type StartError struct {
	// Reason is a whole sentence.
	Reason string
	// LogTail are the last lines of its log.
	LogTail string
	Log     string
}

// Error shows the reason, the end of the log and where the rest is.
func (e *StartError) Error() string {
	return fmt.Sprintf("%s. Last lines of %s:\n%s", e.Reason, e.Log, e.LogTail)
}

// Start runs the child in the background, in a session of its own, and waits
// until it reports that it is ready (see Ready). It returns the pid. When the
// child ends before that the error is a *StartError; when ctx ends first the
// child is ended too.
func Start(ctx context.Context, o StartOptions) (int, error) {
	log, err := newLog(o.Files)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	answer, child, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("making the readiness pipe: %w", err)
	}
	defer answer.Close()
	cmd := exec.Command(o.Program, o.Args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = o.Dir, log, log
	cmd.ExtraFiles = []*os.File{child} // becomes ReadyFD
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	child.Close()
	if err != nil {
		return 0, fmt.Errorf("starting %s: %w", o.Program, err)
	}
	return awaitReady(ctx, cmd, answer, o.Files.Log)
}

func newLog(files Files) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(files.Log), 0o755); err != nil {
		return nil, fmt.Errorf("making the directory of the log (KYUUBI_LOG_DIR): %w", err)
	}
	if err := Rotate(files.Log, files.KeptLogs); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(files.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return nil, fmt.Errorf("opening the log (KYUUBI_LOG_DIR): %w", err)
	}
	return log, nil
}

// awaitReady waits for the first line on answer; an end without one means that
// the child ended.
func awaitReady(ctx context.Context, cmd *exec.Cmd, answer *os.File, log string) (int, error) {
	stop := context.AfterFunc(ctx, func() { answer.Close() })
	defer stop()
	line, err := bufio.NewReader(answer).ReadString('\n')
	if err == nil && strings.TrimSpace(line) == readyWord {
		pid := cmd.Process.Pid
		return pid, cmd.Process.Release()
	}
	if ctx.Err() != nil {
		return 0, giveUp(ctx, cmd, log)
	}
	return 0, startError(exitSentence(cmd.Wait()), log)
}

// giveUp ends a child that is not wanted any longer.
func giveUp(ctx context.Context, cmd *exec.Cmd, log string) error {
	err := errors.Join(cmd.Process.Kill(), context.Cause(ctx))
	_ = cmd.Wait() // killed: its exit code says nothing
	return startError(fmt.Sprintf("It was not ready in time and was ended (%v)", err), log)
}

func startError(reason, log string) error {
	tail, err := Tail(log, shownLogLines)
	if err != nil {
		tail = err.Error()
	}
	return &StartError{Reason: reason, LogTail: tail, Log: log}
}

func exitSentence(err error) string {
	if err == nil {
		return "It ended before it was ready"
	}
	return fmt.Sprintf("It ended before it was ready (%v)", err)
}

// Ready reports readiness to the parent that waits in Start and closes the
// file. fd is the number given to the child.
func Ready(fd int) error {
	f := os.NewFile(uintptr(fd), "readiness")
	if f == nil {
		return fmt.Errorf("file %d is not open", fd)
	}
	_, err := io.WriteString(f, readyWord+"\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("telling the parent that we are ready: %w", err)
	}
	return nil
}

// KeepPrivate keeps processes that this one starts from inheriting fd, whose
// end the parent would otherwise never see.
func KeepPrivate(fd int) { unix.CloseOnExec(fd) }
