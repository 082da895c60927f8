// SPDX-License-Identifier: Apache-2.0

package enginetest_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// sparkVersion is the version that the fake copies; other versions differ.
const sparkVersion = "4.3"

// requireSpark skips the test, with the reason, where SPARK_HOME names no Spark
// of the version that the fake copies.
func requireSpark(t *testing.T) {
	t.Helper()
	home := os.Getenv("SPARK_HOME")
	if home == "" {
		t.Skip("SPARK_HOME is not set: the fake engine is compared with the recorded answers of Spark " + sparkVersion + " only")
	}
	jars, err := filepath.Glob(filepath.Join(home, "jars", "spark-connect_*-"+sparkVersion+".*.jar"))
	require.NoError(t, err)
	if len(jars) == 0 {
		t.Skip("SPARK_HOME=" + home + " is not Spark " + sparkVersion + ", whose answers the fake engine copies")
	}
}

var startedAt = regexp.MustCompile(`Spark Connect server started at: \S*?:(\d+)`)

// startSpark starts a real Spark Connect server in its own process group and
// ends it with the test.
func startSpark(t *testing.T, confs map[string]string) target {
	t.Helper()
	home, dir, token := os.Getenv("SPARK_HOME"), t.TempDir(), uuid.NewString()
	args := []string{"-n", "10", filepath.Join(home, "bin", "spark-submit"),
		"--class", "org.apache.spark.sql.connect.service.SparkConnectServer",
		"--master", "local[2]", "--driver-memory", "512m"}
	for k, v := range map[string]string{
		"spark.connect.grpc.binding.address": "127.0.0.1", "spark.connect.grpc.binding.port": "0",
		"spark.ui.enabled": "false", "spark.local.dir": dir, "spark.sql.warehouse.dir": filepath.Join(dir, "warehouse"),
		"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1",
	} {
		args = append(args, "--conf", k+"="+v)
	}
	for k, v := range confs {
		args = append(args, "--conf", k+"="+v)
	}
	cmd := exec.Command("nice", append(args, "spark-internal")...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SPARK_CONNECT_AUTHENTICATE_TOKEN="+token)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	port, drained := make(chan string, 1), make(chan struct{})
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-drained
		_ = cmd.Wait()
	})
	go func() { // the cleanup above waits for it
		defer close(drained)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if m := startedAt.FindStringSubmatch(lines.Text()); m != nil {
				port <- m[1]
			}
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	select {
	case p := <-port:
		return target{addr: "127.0.0.1:" + p, token: token}
	case <-drained:
		require.FailNow(t, "spark-submit ended before its Connect server started")
	case <-ctx.Done():
		require.FailNow(t, "the Connect server of Spark did not start in 90 s")
	}
	return target{}
}
