// SPDX-License-Identifier: Apache-2.0

package local

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"roundhouse/internal/process"
)

// waitPoll waits one poll interval; it returns false when free was closed.
func waitPoll(free <-chan struct{}) bool {
	timer := time.NewTimer(pollInterval)
	defer timer.Stop()
	select {
	case <-free:
		return false
	case <-timer.C:
		return true
	}
}

// find looks among the processes of the own user for the one that Start
// started with marker among its arguments: it leads a session, what it forked
// does not. ErrGone if there is none.
func find(marker string) (Identity, error) {
	own, err := process.Own()
	if err != nil {
		return Identity{}, err
	}
	for _, pid := range own {
		if sid, err := unix.Getsid(pid); err != nil || sid != pid {
			continue
		}
		marked, err := process.HasArgument(pid, marker)
		if err != nil {
			return Identity{}, err
		}
		if !marked {
			continue
		}
		found, err := process.Inspect(pid)
		if errors.Is(err, process.ErrNone) || err == nil && found.Ended {
			continue
		}
		return Identity{PID: pid, Start: found.Start}, err
	}
	return Identity{}, ErrGone
}

// check returns nil while the process of id runs, ErrGone when it has ended,
// and another error when the system cannot say.
func check(id Identity) error {
	found, err := process.Inspect(id.PID)
	switch {
	case errors.Is(err, process.ErrNone):
		return ErrGone
	case err != nil:
		return err
	case found.Ended || found.Start != id.Start:
		return ErrGone
	}
	return nil
}
