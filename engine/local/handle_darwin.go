// SPDX-License-Identifier: Apache-2.0

package local

import "golang.org/x/sys/unix"

// handle is empty: this system has no pidfd, processes are polled.
type handle struct{}

func openHandle(int) handle { return handle{} }

func (handle) wait(free <-chan struct{}) bool { return waitPoll(free) }

func (handle) wake() {}

func (handle) close() {}

func (handle) signal(pid int, sig unix.Signal) error { return unix.Kill(pid, sig) }

// keepDescriptors does nothing here: Go opens its own descriptors
// close-on-exec, and this system has no call for inherited ones.
func keepDescriptors() {}
