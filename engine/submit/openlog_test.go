// SPDX-License-Identifier: Apache-2.0

package submit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"roundhouse/internal/secret"
)

// TestLogsThatTheDriverExchanged: the driver owns its folder and may put
// anything in the place of its log. Nothing of it is shown, and nothing blocks.
func TestLogsThatTheDriverExchanged(t *testing.T) {
	files, bobs := logOf(t, "what is bob's")
	outside := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(outside, []byte("what is the gateway's"), 0o600))
	for name, plant := range map[string]func(log string) error{
		"link outside":           func(log string) error { return os.Symlink(outside, log) },
		"link to another log":    func(log string) error { return os.Symlink(filepath.Join("..", "r", "engine.log"), log) },
		"link to itself":         func(log string) error { return os.Symlink("engine.log", log) },
		"link to the key file":   func(log string) error { return os.Symlink("engine.key", log) },
		"link to a device":       func(log string) error { return os.Symlink("/dev/zero", log) },
		"link to an environment": func(log string) error { return os.Symlink("/proc/self/environ", log) },
		"named pipe":             func(log string) error { return unix.Mkfifo(log, 0o600) },
		"folder":                 func(log string) error { return os.Mkdir(log, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(filepath.Dir(bobs), "planted")
			require.NoError(t, os.Mkdir(dir, 0o700))
			t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
			require.NoError(t, os.WriteFile(filepath.Join(dir, "engine.key"), []byte("rpc=what is secret"), 0o600))
			require.NoError(t, plant(filepath.Join(dir, "engine.log")))
			shown := make(chan string, 1)
			go func() { // gives its answer or fails the test below
				shown <- files.Reason(dir, secret.Mask()) + strings.Join(files.Tail(dir, 10, secret.Mask()), "")
			}()
			select {
			case text := <-shown:
				require.Empty(t, text)
			case <-time.After(20 * time.Second):
				require.FailNow(t, "reading the log blocks")
			}
		})
	}
	require.Equal(t, "what is bob's", files.Reason(bobs, secret.Mask()), "a plain log is shown")
}

// TestHugeLogIsReadInPart: what is read does not depend on the size.
func TestHugeLogIsReadInPart(t *testing.T) {
	files, dir := logOf(t, "first\n")
	log := filepath.Join(dir, "engine.log")
	require.NoError(t, os.Truncate(log, 10<<30)) // a hole: it takes no room
	f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("\nlast\n")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, []string{"last"}, files.Tail(dir, 1, secret.Mask()))
	begun := time.Now()
	files.Reason(dir, secret.Mask())
	require.Less(t, time.Since(begun), 20*time.Second)
}

// TestFoldersOfEnginesOnly: paths that are not the folder of an engine show
// nothing.
func TestFoldersOfEnginesOnly(t *testing.T) {
	files, dir := logOf(t, "text")
	for _, path := range []string{
		"", "/", "/etc", files.Root, filepath.Dir(dir), dir + "/..", dir + "/../../alice/r/../..", filepath.Join(files.Root, "..", "alice", "r"),
		"alice/r", files.Root + "/../" + filepath.Base(files.Root) + "/alice/r/x", filepath.Join(dir, "engine.log"),
	} {
		require.Empty(t, files.Tail(path, 10, secret.Mask()), path)
		require.Empty(t, files.Reason(path, secret.Mask()), path)
	}
	require.Equal(t, []string{"text"}, files.Tail(dir, 10, secret.Mask()))
}
