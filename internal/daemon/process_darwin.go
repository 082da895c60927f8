// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// startMark tells a process from a later one with the same pid: the
// microsecond at which it started. The mark is 0 when there is no such process.
func startMark(pid int) (uint64, error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if errors.Is(err, unix.EIO) || errors.Is(err, unix.ESRCH) {
		return 0, nil // how this system call says that nobody has the pid
	}
	if err != nil {
		return 0, fmt.Errorf("looking at process %d: %w", pid, err)
	}
	started := info.Proc.P_starttime
	return uint64(started.Sec)*1_000_000 + uint64(started.Usec), nil
}
