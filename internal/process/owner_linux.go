// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// A process that is just becoming another program (execve(2)) has no arguments
// for some microseconds. It is asked so often, with a pause between.
const (
	execTries = 20
	execPause = time.Millisecond
)

// HasArgument says whether arg is one of the arguments of the process pid
// (/proc/PID/cmdline). A process that has ended has none.
func HasArgument(pid int, arg string) (bool, error) {
	var line []byte
	for range execTries {
		var err error
		line, err = os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if gone(err) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("arguments of process %d: %w", pid, err)
		}
		if len(line) > 0 {
			break
		}
		time.Sleep(execPause)
	}
	return slices.ContainsFunc(bytes.Split(line, []byte{0}), func(a []byte) bool { return string(a) == arg }), nil
}

// Own lists the processes of this process's own user.
func Own() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var own []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		info, err := os.Stat(filepath.Join("/proc", entry.Name()))
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("owner of process %d: %w", pid, err)
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) == os.Geteuid() {
			own = append(own, pid)
		}
	}
	return own, nil
}
