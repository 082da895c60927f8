// SPDX-License-Identifier: Apache-2.0

package local

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const zombie = 5 // SZOMB of sys/proc.h

// inspect asks the kernel; the start time is in microseconds since 1970.
func inspect(pid int) (facts, error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if errors.Is(err, unix.EIO) || errors.Is(err, unix.ESRCH) {
		return facts{}, ErrGone // how this call says that nobody has the pid
	}
	if err != nil {
		return facts{}, fmt.Errorf("inspect process %d: %w", pid, err)
	}
	t := info.Proc.P_starttime
	return facts{start: uint64(t.Sec)*1e6 + uint64(t.Usec), ended: info.Proc.P_stat == zombie}, nil
}
