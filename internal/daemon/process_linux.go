// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// startMark tells a process from a later one with the same pid: the clock
// tick since boot at which it started, field 22 of /proc/PID/stat (proc(5)).
// The mark is 0 when there is no such process, or only its unreaped remains.
func startMark(pid int) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("looking at process %d: %w", pid, err)
	}
	// The name in parentheses may hold spaces and parentheses itself.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	const state, threads, start = 0, 17, 19 // fields 3, 20 and 22, counted after the name
	if len(fields) <= start {
		return 0, fmt.Errorf("looking at process %d: /proc shows %d fields", pid, len(fields))
	}
	// The first thread of a killed process may be dead while others still hold
	// its files and locks.
	if s := string(fields[state]); (s == "Z" || s == "X") && oneThread(fields[threads]) {
		return 0, nil
	}
	return strconv.ParseUint(string(fields[start]), 10, 64)
}

func oneThread(count []byte) bool { return string(count) == "0" || string(count) == "1" }
