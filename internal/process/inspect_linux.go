// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Inspect reads /proc/PID/stat (proc(5)); ErrNone when there is none.
func Inspect(pid int) (Info, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if gone(err) {
		return Info{}, ErrNone
	}
	if err != nil {
		return Info{}, fmt.Errorf("inspect process %d: %w", pid, err)
	}
	info, err := parseStat(data)
	if err != nil {
		return Info{}, fmt.Errorf("inspect process %d: %w", pid, err)
	}
	return info, nil
}

// gone says whether err is how /proc tells that nobody has the pid.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) }

// parseStat reads the state, the number of threads and the start time. The name
// of the program, in parentheses, may itself contain spaces and parentheses.
func parseStat(data []byte) (Info, error) {
	const state, threads, start = 0, 17, 19 // fields 3, 20 and 22, counted after the name
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) <= start {
		return Info{}, fmt.Errorf("/proc/PID/stat has %d fields after the name", len(fields))
	}
	started, err := strconv.ParseUint(string(fields[start]), 10, 64)
	if err != nil {
		return Info{}, fmt.Errorf("/proc/PID/stat: start time: %w", err)
	}
	leaderEnded := fields[state][0] == 'Z' || fields[state][0] == 'X'
	return Info{Start: started, Ended: leaderEnded && atMostOne(fields[threads])}, nil
}

// atMostOne reads a number of threads: an ended leader counts until it is reaped.
func atMostOne(threads []byte) bool { return string(threads) == "0" || string(threads) == "1" }
