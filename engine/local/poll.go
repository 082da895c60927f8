// SPDX-License-Identifier: Apache-2.0

package local

import "time"

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

// facts are what the system tells about a pid.
type facts struct {
	start uint64
	ended bool // only the unreaped remains are left
}

// check returns nil while the process of id runs, ErrGone when it has ended,
// and another error when the system cannot say.
func check(id Identity) error {
	f, err := inspect(id.PID)
	if err != nil {
		return err
	}
	if f.ended || f.start != id.Start {
		return ErrGone
	}
	return nil
}
