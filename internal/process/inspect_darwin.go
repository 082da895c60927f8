// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const zombie = 5 // SZOMB of sys/proc.h: the whole process has ended, not only a thread

// Inspect asks the kernel; ErrNone when nobody has the pid.
func Inspect(pid int) (Info, error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if errors.Is(err, unix.EIO) || errors.Is(err, unix.ESRCH) {
		return Info{}, ErrNone // how this call says that nobody has the pid
	}
	if err != nil {
		return Info{}, fmt.Errorf("inspect process %d: %w", pid, err)
	}
	t := info.Proc.P_starttime
	return Info{Start: uint64(t.Sec)*1e6 + uint64(t.Usec), Ended: info.Proc.P_stat == zombie}, nil
}
