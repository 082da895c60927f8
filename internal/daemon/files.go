// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
)

// DefaultKeptLogs is how many earlier logs are kept (KYUUBI_MAX_LOG_FILES).
const DefaultKeptLogs = 5

// Files are the files of one daemon.
type Files struct {
	// PID is the pid file, $KYUUBI_PID_DIR/<name>-<user>.pid.
	PID string
	// Log holds what the daemon writes, $KYUUBI_LOG_DIR/<name>-<user>.log.
	Log string
	// KeptLogs is how many earlier logs are kept.
	KeptLogs int
}

// plainName is what an OS user name may look like inside a file name.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_.@-]+$`)

// Locate names the files of the daemon called name. The directories come from
// KYUUBI_PID_DIR and KYUUBI_LOG_DIR, else they are pid and logs below home.
func Locate(home, name string, getenv func(string) string) (Files, error) {
	kept, err := keptLogs(getenv("KYUUBI_MAX_LOG_FILES"))
	if err != nil {
		return Files{}, err
	}
	stem := name + "-" + UserName()
	return Files{
		PID:      filepath.Join(either(getenv("KYUUBI_PID_DIR"), filepath.Join(home, "pid")), stem+".pid"),
		Log:      filepath.Join(either(getenv("KYUUBI_LOG_DIR"), filepath.Join(home, "logs")), stem+".log"),
		KeptLogs: kept,
	}, nil
}

func keptLogs(text string) (int, error) {
	if text == "" {
		return DefaultKeptLogs, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("KYUUBI_MAX_LOG_FILES=%q is not a count; write a number such as %d", text, DefaultKeptLogs)
	}
	return n, nil
}

func either(first, second string) string {
	if first != "" {
		return first
	}
	return second
}

// UserName is the OS user of this process, or its number where it has no plain
// name.
func UserName() string {
	if u, err := user.Current(); err == nil && plainName.MatchString(u.Username) {
		return u.Username
	}
	return strconv.Itoa(os.Getuid())
}

// Rotate moves path to path.1, path.1 to path.2 and so on, keeping at most keep
// earlier files, so that a new log can begin. An absent log is no error.
func Rotate(path string, keep int) error {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if keep == 0 {
		return os.Remove(path)
	}
	for i := keep - 1; i >= 1; i-- {
		if err := rename(numbered(path, i), numbered(path, i+1)); err != nil {
			return err
		}
	}
	return rename(path, numbered(path, 1))
}

func numbered(path string, i int) string { return path + "." + strconv.Itoa(i) }

func rename(from, to string) error {
	err := os.Rename(from, to)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("rotating the log: %w", err)
	}
	return nil
}
