// SPDX-License-Identifier: Apache-2.0

package errs

import (
	"errors"
	"fmt"
	"syscall"
)

// shortages are the errors of the operating system that say that the machine
// is short of something, with what to do. It is immutable.
var shortages = []struct {
	err    error
	remedy string
}{
	{syscall.ENOSPC, "The disk is full: make room for the gateway's data and work folders; no restart is needed."},
	{syscall.EDQUOT, "The disk quota of the gateway's user is used up: raise it or make room; no restart is needed."},
	{syscall.EROFS, "The file system is read-only, which often follows a disk fault: mend it; no restart is needed."},
	{syscall.EMFILE, "The gateway is out of file descriptors: raise its limit (ulimit -n, or LimitNOFILE of its unit)."},
	{syscall.ENFILE, "The machine is out of file descriptors: raise fs.file-max or end what uses them up."},
	{syscall.ENOMEM, "The machine is out of memory: end what uses it up."},
}

// Shortage says what to do about an error of the operating system that tells of
// a shortage, in a sentence; "" for any other error.
func Shortage(err error) string {
	for _, s := range shortages {
		if errors.Is(err, s.err) {
			return s.remedy
		}
	}
	return ""
}

// Fault makes an error of the gateway itself: of class OutOfResources, with
// what to do, when cause tells of a shortage, else of class Internal. The text
// is a whole sentence.
func Fault(cause error, format string, args ...any) *Error {
	if remedy := Shortage(cause); remedy != "" {
		return Wrap(OutOfResources, cause, "%s %s", fmt.Sprintf(format, args...), remedy)
	}
	return Wrap(Internal, cause, format, args...)
}
