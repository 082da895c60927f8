// SPDX-License-Identifier: Apache-2.0

package local

import (
	"errors"
	"time"

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
