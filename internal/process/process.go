// SPDX-License-Identifier: Apache-2.0

// Package process tells what the system knows about a pid. A pid together with
// the start time names one process for as long as the machine is up.
package process

import "errors"

// ErrNone says that nobody has the pid.
var ErrNone = errors.New("process: nobody has this pid")

// Info is what the system tells about a pid.
type Info struct {
	// Start is when the process started, in the system's own unit: clock ticks
	// since boot on Linux (/proc/PID/stat field 22), microseconds since 1970 on
	// macOS.
	Start uint64
	// Ended says that only the unreaped remains are left. A process whose first
	// thread has ended while others live has not: they still hold its files,
	// locks and ports.
	Ended bool
}
