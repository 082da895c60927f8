// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const unknownHolder = "another process"

// holder describes the process that has the file lock of path, from the
// kernel's own list (/proc/locks, proc(5)):
//
//	1: FLOCK  ADVISORY  WRITE 4711 08:01:131074 0 EOF
//
// The kernel's list cannot be stale as a file with a pid can.
func holder(path string) string {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return unknownHolder
	}
	list, err := os.ReadFile("/proc/locks")
	if err != nil {
		return unknownHolder
	}
	inode := fmt.Sprintf(":%d", st.Ino)
	for line := range strings.Lines(string(list)) {
		f := strings.Fields(line)
		if len(f) > 5 && f[1] == "FLOCK" && f[3] == "WRITE" && strings.HasSuffix(f[5], inode) {
			return "process " + f[4]
		}
	}
	return unknownHolder
}
