// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLocate(t *testing.T) {
	env := map[string]string{}
	getenv := func(name string) string { return env[name] }
	who := UserName()

	f, err := Locate("/srv/gw", "gateway", getenv)
	require.NoError(t, err)
	require.Equal(t, Files{PID: "/srv/gw/pid/gateway-" + who + ".pid", Log: "/srv/gw/logs/gateway-" + who + ".log", KeptLogs: 5}, f)

	env = map[string]string{"KYUUBI_PID_DIR": "/run/k", "KYUUBI_LOG_DIR": "/var/log/k", "KYUUBI_MAX_LOG_FILES": "9"}
	f, err = Locate("/srv/gw", "gateway", getenv)
	require.NoError(t, err)
	require.Equal(t, Files{PID: "/run/k/gateway-" + who + ".pid", Log: "/var/log/k/gateway-" + who + ".log", KeptLogs: 9}, f)

	env["KYUUBI_MAX_LOG_FILES"] = "many"
	_, err = Locate("/srv/gw", "gateway", getenv)
	require.ErrorContains(t, err, "KYUUBI_MAX_LOG_FILES")
}

func TestRotate(t *testing.T) {
	log := filepath.Join(t.TempDir(), "x.log")
	require.NoError(t, Rotate(log, 2), "there is no log yet")
	for i := range 4 {
		require.NoError(t, Rotate(log, 2))
		require.NoError(t, os.WriteFile(log, fmt.Append(nil, i), 0o644))
	}
	require.NoError(t, Rotate(log, 2))
	require.NoFileExists(t, log)
	require.NoFileExists(t, log+".3")
	for name, want := range map[string]string{log + ".1": "3", log + ".2": "2"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, want, string(text))
	}
	require.NoError(t, os.WriteFile(log, nil, 0o644))
	require.NoError(t, Rotate(log, 0))
	require.NoFileExists(t, log)
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"fewer", "a\nb\n", "a\nb"},
		{"more", "a\nb\nc\nd\n", "b\nc\nd"},
		{"unfinished line", "a\nb\nc\nd", "b\nc\nd"},
		{"beyond the window", strings.Repeat("x", tailWindow) + "\na\nb\nc\n", "a\nb\nc"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(path, []byte(tt.text), 0o644))
			got, err := Tail(path, 3)
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
	_, err := Tail(path+".absent", 3)
	require.ErrorIs(t, err, os.ErrNotExist)
}
