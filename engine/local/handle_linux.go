// SPDX-License-Identifier: Apache-2.0

package local

import (
	"errors"
	"math"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// handle is a pidfd (pidfd_open(2)): it names one process whatever becomes of
// its pid, and the Go runtime's poller tells when that process ends. Without
// one (Linux < 5.3) processes are polled.
type handle struct {
	file *os.File
	conn syscall.RawConn
}

func openHandle(pid int) handle {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return handle{}
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	conn, err := file.SyscallConn()
	if err != nil || file.SetReadDeadline(time.Time{}) != nil {
		file.Close()
		return handle{} // the poller does not take it
	}
	return handle{file: file, conn: conn}
}

// wait returns true when it is worth looking at the process again, and false
// when free was closed.
func (h handle) wait(free <-chan struct{}) bool {
	if h.file == nil {
		return waitPoll(free)
	}
	err := h.conn.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		return err == nil && n > 0
	})
	select {
	case <-free:
		return false
	default:
	}
	if err != nil {
		return waitPoll(free)
	}
	return true
}

// wake makes wait look at free.
func (h handle) wake() {
	if h.file != nil {
		_ = h.file.SetReadDeadline(time.Unix(1, 0))
	}
}

func (h handle) close() {
	if h.file != nil {
		h.file.Close()
	}
}

func (h handle) signal(pid int, sig unix.Signal) error {
	if h.file == nil {
		return unix.Kill(pid, sig)
	}
	var result error
	err := h.conn.Control(func(fd uintptr) { result = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	if errors.Is(err, os.ErrClosed) {
		return ErrGone
	}
	return errors.Join(err, result)
}

// keepDescriptors marks every descriptor above stderr close-on-exec. Go opens
// its own that way; this is for those that the gateway inherited itself.
// Systems without the call (Linux < 5.11) go without it.
func keepDescriptors() {
	_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
}
