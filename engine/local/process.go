// SPDX-License-Identifier: Apache-2.0

// Package local starts, watches and ends processes on the gateway's own
// machine. A process is known by its pid together with its start time, so a
// pid that the system gave to somebody else is never signalled. Every process
// leads a session and a process group of its own: it outlives the gateway, and
// what it forked ends with it.
package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"roundhouse/internal/process"
)

// ErrGone says that the process does not exist any more, or that its pid
// belongs to another process now.
var ErrGone = errors.New("local: the process is gone")

// pollInterval is how often a process is looked at where the system cannot
// tell its end.
const pollInterval = 200 * time.Millisecond

// Identity names a process for as long as the machine is up.
type Identity struct {
	PID int
	// Start is when it started (process.Info).
	Start uint64
}

// Command is what Start runs.
type Command struct {
	// Args is the argument vector; the first one is the path of the program.
	Args []string
	// Env is the whole environment: nothing is inherited.
	Env []string
	Dir string
	// Output receives stdout and stderr directly, without a pipe, so that the
	// process does not depend on the gateway.
	Output *os.File
}

// Process is a watched process. Its methods are safe for concurrent use.
type Process struct {
	id     Identity
	child  bool
	handle handle
	done   chan struct{} // closed when the process has ended
	free   chan struct{} // closed by Release
	idle   chan struct{} // closed when watch has returned
	once   sync.Once
	status string // valid after done
}

// Start runs c in a new session and process group, with stdin at /dev/null and
// no inherited descriptors. The error is of the kind that os/exec returns.
func Start(c Command) (*Process, error) {
	keepDescriptors()
	cmd := exec.Cmd{Path: c.Args[0], Args: c.Args, Env: c.Env, Dir: c.Dir, Stdout: c.Output, Stderr: c.Output}
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	id, err := identify(cmd.Process, process.Inspect)
	if err != nil {
		return nil, err
	}
	return newProcess(id, true), nil
}

// identify names a child and leaves it to watch, which reaps it: until then its
// pid stays its own, also when it has ended. A child that cannot be named is
// killed with its group.
func identify(child *os.Process, inspect func(pid int) (process.Info, error)) (Identity, error) {
	found, err := inspect(child.Pid)
	if err != nil {
		err = errors.Join(fmt.Errorf("identify process %d: %w", child.Pid, err), unix.Kill(-child.Pid, unix.SIGKILL))
		_, waitErr := child.Wait()
		return Identity{}, errors.Join(err, waitErr)
	}
	id := Identity{PID: child.Pid, Start: found.Start}
	return id, child.Release()
}

// Open watches a process that an earlier gateway started and that has marker
// among its arguments; ErrGone if it has ended. The marker tells after a restart
// of the machine, when a pid and a start time may come again. An id without a
// pid is of a gateway that ended before it could record one: the process is
// searched for by its marker.
func Open(id Identity, marker string) (*Process, error) {
	if id.PID == 0 {
		var err error
		if id, err = find(marker); err != nil {
			return nil, err
		}
	}
	if id.PID <= 1 {
		return nil, ErrGone
	}
	if err := check(id); err != nil {
		return nil, err
	}
	marked, err := process.HasArgument(id.PID, marker)
	if err != nil {
		return nil, err
	}
	if !marked {
		return nil, ErrGone
	}
	p := newProcess(id, false)
	if err := check(id); err != nil { // the pid may have changed hands before the handle was taken
		p.Release()
		return nil, err
	}
	return p, nil
}

func newProcess(id Identity, child bool) *Process {
	p := &Process{
		id: id, child: child, handle: openHandle(id.PID),
		done: make(chan struct{}), free: make(chan struct{}), idle: make(chan struct{}),
	}
	go p.watch() // ends with the process; Release waits for it
	return p
}

// Identity returns the pid and the start time.
func (p *Process) Identity() Identity { return p.id }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Status says how the process ended, such as "exit code 1" or "killed by
// signal 9 (killed)". It is "" while the process runs.
func (p *Process) Status() string {
	select {
	case <-p.done:
		return p.status
	default:
		return ""
	}
}

// Release stops watching. The process goes on.
func (p *Process) Release() {
	p.once.Do(func() {
		close(p.free)
		p.handle.wake()
	})
	<-p.idle
}

// End asks the process to end (SIGTERM to its group) and kills the group when
// it has not done so within grace, or when ctx ends before; without a grace it
// kills at once. It returns when the process is gone; that it was gone before
// is no error.
func (p *Process) End(ctx context.Context, grace time.Duration) error {
	if grace <= 0 {
		return p.kill()
	}
	if err := p.signal(unix.SIGTERM); err != nil {
		return ignoreGone(err)
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return p.kill()
}

// kill kills the process group and waits until the process is gone.
func (p *Process) kill() error {
	if err := p.signal(unix.SIGKILL); err != nil {
		return ignoreGone(err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(killWait):
		return fmt.Errorf("process %d does not end after SIGKILL; it is probably blocked in the kernel", p.id.PID)
	}
}

// killWait is how long a killed process may take to vanish.
const killWait = 5 * time.Second

// signal sends sig to the leader and to the rest of its group.
func (p *Process) signal(sig unix.Signal) error {
	select {
	case <-p.done:
		return ErrGone
	default:
	}
	if err := check(p.id); err != nil {
		return err
	}
	if err := p.handle.signal(p.id.PID, sig); err != nil {
		return err
	}
	err := unix.Kill(-p.id.PID, sig)
	if errors.Is(err, unix.ESRCH) {
		return nil // the leader was all there was, and it has ended by now
	}
	return err
}

func ignoreGone(err error) error {
	if errors.Is(err, ErrGone) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// watch waits for the end of the process or for Release.
func (p *Process) watch() {
	defer close(p.idle)
	defer p.handle.close()
	for {
		err := check(p.id)
		if errors.Is(err, ErrGone) {
			p.status = p.reap()
			close(p.done)
			return
		}
		again := false
		if err == nil {
			again = p.handle.wait(p.free)
		} else { // the system cannot say now, for want of descriptors for instance
			again = waitPoll(p.free)
		}
		if !again {
			return
		}
	}
}

// reap collects the exit code. What is left of a child's group is killed
// first: until the child is reaped nobody else can get the group's id.
func (p *Process) reap() string {
	if p.child {
		_ = unix.Kill(-p.id.PID, unix.SIGKILL)
	}
	var ws unix.WaitStatus
	for {
		pid, err := unix.Wait4(p.id.PID, &ws, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid != p.id.PID {
			return "ended, with an exit code that only the gateway which started it could see"
		}
		return describe(ws)
	}
}

func describe(ws unix.WaitStatus) string {
	if ws.Signaled() {
		return fmt.Sprintf("killed by signal %d (%s)", int(ws.Signal()), ws.Signal())
	}
	return fmt.Sprintf("exit code %d", ws.ExitStatus())
}
