// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// inspect reads /proc/PID/stat (proc(5)); ErrGone when there is none.
func inspect(pid int) (facts, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return facts{}, ErrGone
	}
	if err != nil {
		return facts{}, fmt.Errorf("inspect process %d: %w", pid, err)
	}
	return parseStat(data)
}

// parseStat reads the state and the start time, fields 3 and 22. The name of
// the program, in parentheses, may itself contain spaces and parentheses.
func parseStat(data []byte) (facts, error) {
	const stateField, startField = 0, 19 // counted after the name
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) <= startField {
		return facts{}, fmt.Errorf("/proc/PID/stat has %d fields after the name", len(fields))
	}
	start, err := strconv.ParseUint(string(fields[startField]), 10, 64)
	if err != nil {
		return facts{}, fmt.Errorf("/proc/PID/stat: start time: %w", err)
	}
	state := fields[stateField][0]
	return facts{start: start, ended: state == 'Z' || state == 'X'}, nil
}
