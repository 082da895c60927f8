// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// roleVariable makes this test binary play a daemon.
const roleVariable = "DAEMON_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	goleak.VerifyTestMain(m)
}

// play is the life of a child: it holds the pid file in its first argument, if
// any, and reports readiness on ReadyFD or on its standard output.
func play(role string) int {
	fmt.Println("role", role)
	if len(os.Args) > 1 && os.Args[1] != "" {
		held, err := Hold(os.Args[1])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer held.Release()
	}
	switch role {
	case "fails":
		fmt.Fprintln(os.Stderr, "no Spark here")
		return 7
	case "background":
		KeepPrivate(ReadyFD)
		return wait(func() error { return Ready(ReadyFD) })
	case "stubborn":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
		fmt.Println("up")
		select {}
	default:
		return wait(func() error { return nil })
	}
}

// wait says that it is up and ends with the first SIGTERM.
func wait(ready func() error) int {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	fmt.Println("up")
	if err := ready(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	select {
	case <-stop:
		return 0
	case <-time.After(time.Minute): // a test that died leaves nothing behind for long
		return 3
	}
}

// child starts this binary in a role, with a pid file, and waits until it is
// up. The test reaps it.
func child(t *testing.T, role string) (pidFile string) {
	t.Helper()
	pidFile = filepath.Join(t.TempDir(), "x.pid")
	cmd := exec.Command(testBinary(t), pidFile)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	reaped := make(chan struct{})
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "up" {
	}
	go func() { // the clean-up waits for it
		defer close(reaped)
		_ = cmd.Wait() // its exit code is not of interest
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // gone already, if all went well
		<-reaped
	})
	return pidFile
}

func testBinary(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	return path
}
