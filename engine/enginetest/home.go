// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// TB is the part of testing.TB that BuildFakeSparkHome needs.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// BuildFakeSparkHome returns a SPARK_HOME whose bin/spark-submit is
// integration-tests/fakespark. It lies in the ignored build folder of the
// checkout and is built when it is not up to date, so the second call of any
// test costs a fraction of a second. Test processes take turns.
func BuildFakeSparkHome(t TB) string {
	t.Helper()
	home, err := buildFakeSparkHome()
	if err != nil {
		t.Fatalf("fake SPARK_HOME: %v", err)
	}
	return home
}

func buildFakeSparkHome() (home string, err error) {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(mod)))
	home = filepath.Join(root, "build", "fakespark")
	if err := os.MkdirAll(filepath.Join(home, "bin"), 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(home, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close() // gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(home, "bin", "spark-submit"), "./integration-tests/fakespark")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return home, nil
}
