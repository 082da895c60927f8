// SPDX-License-Identifier: Apache-2.0

// Package daemon runs a program in the background and finds it again: the pid
// file that names a process beyond doubt, the log with its rotation, the start
// that waits until the child is ready, and the stop that waits until it is gone.
//
// A pid file is held under a file lock for as long as its process lives, and it
// records when that process started, so a recycled pid is never taken for ours
// nor signalled. The first line is the bare pid, as scripts for Kyuubi expect.
package daemon
