// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

const (
	// stopPoll is how often Stop looks whether the process is gone.
	stopPoll = 50 * time.Millisecond
	// quietTime passes before Stop tells that it waits, and between two times.
	quietTime = 2 * time.Second
	// nowGrace is how long a process may take that was told to end at once.
	nowGrace = 3 * time.Second
)

// StopOptions say how to stop a daemon.
type StopOptions struct {
	// Now ends it without waiting for work under way; a process that does not
	// follow within seconds is killed.
	Now bool
	// Signal asks for the orderly end; nil is SIGTERM.
	Signal os.Signal
	// Progress, if not nil, is called every two seconds while Stop waits.
	Progress func()
}

// Stop asks p to end and waits until it is gone or ctx ends. It signals p only
// while it is certain that the pid still belongs to p.
func Stop(ctx context.Context, p Process, o StopOptions) error {
	if o.Now {
		return stopNow(ctx, p, o.Progress)
	}
	if o.Signal == nil {
		o.Signal = syscall.SIGTERM
	}
	if err := send(p, o.Signal); err != nil {
		return err
	}
	return waitGone(ctx, p, o.Progress)
}

// stopNow sends two different signals, as the second one ends a graceful stop
// (two equal ones may be delivered as one), and kills what is still there.
func stopNow(ctx context.Context, p Process, progress func()) error {
	err := errors.Join(send(p, syscall.SIGTERM), send(p, syscall.SIGINT))
	if err != nil {
		return err
	}
	grace, cancel := context.WithTimeout(ctx, nowGrace)
	defer cancel()
	if waitGone(grace, p, progress) == nil {
		return nil
	}
	if err := send(p, syscall.SIGKILL); err != nil {
		return err
	}
	return waitGone(ctx, p, progress)
}

// send sends sig to p. A process that is gone already is no error.
func send(p Process, sig os.Signal) error {
	// FindProcess pins the process by a pidfd where the system has them, so
	// that what Alive looks at is what Signal reaches.
	handle, err := os.FindProcess(p.PID)
	if err != nil {
		return fmt.Errorf("finding process %d: %w", p.PID, err)
	}
	defer handle.Release()
	alive, err := p.Alive()
	if err != nil || !alive {
		return err
	}
	if err := handle.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %v to process %d: %w", sig, p.PID, err)
	}
	return nil
}

// waitGone waits until p is gone or ctx ends.
func waitGone(ctx context.Context, p Process, progress func()) error {
	tick := time.NewTicker(stopPoll)
	defer tick.Stop()
	next := time.Now().Add(quietTime)
	for {
		alive, err := p.Alive()
		if err != nil || !alive {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d is still there: %w", p.PID, context.Cause(ctx))
		case now := <-tick.C:
			if progress != nil && now.After(next) {
				progress()
				next = now.Add(quietTime)
			}
		}
	}
}
