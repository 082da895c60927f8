// SPDX-License-Identifier: Apache-2.0

// Package clients holds what unmodified clients do with Spark and want to do with a gateway, too:
// PySpark of several versions and a JVM client, with and without TLS, on real Spark.
package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// everyStreamReattaches are the engine settings with which Spark ends every
// response stream after a second or 123 bytes, so that all of them reattach.
func everyStreamReattaches() map[string]string {
	return map[string]string{
		"spark.connect.execute.reattachable.senderMaxStreamDuration": "1s",
		"spark.connect.execute.reattachable.senderMaxStreamSize":     "123",
	}
}

// TestPySparkThroughTheGatewayIsPySparkDirect runs the scenarios against a Spark
// Connect server of its own and through the gateway, as many side by side as
// there are processors, and compares the results. Those of PySpark 4.0 have to
// pass only: its texts are others.
func TestPySparkThroughTheGatewayIsPySparkDirect(t *testing.T) {
	plain := func(t *testing.T) (string, string) { return env.Start(t, bigDriver(nil)).Remote(), "" }
	runs := []struct {
		name, client string
		start        func(t *testing.T) (remote, ca string)
	}{
		{"direct", "4.3", func(t *testing.T) (string, string) { return startDirect(t), "" }},
		{"plain", "4.3", plain},
		{"every stream reattaches", "4.3", func(t *testing.T) (string, string) {
			return env.Start(t, bigDriver(everyStreamReattaches())).Remote(), ""
		}},
		{"TLS with a token", "4.3", func(t *testing.T) (string, string) { return startTLS(t, bigDriver(nil)) }},
		{"older", "4.0", plain},
	}
	results := make([]string, len(runs))
	t.Run("runs", func(t *testing.T) {
		for i, r := range runs {
			t.Run(r.name, func(t *testing.T) {
				t.Parallel()
				remote, ca := r.start(t)
				results[i] = runScenarios(t, remote, r.client, ca)
			})
		}
	})
	for i, r := range runs {
		require.NotEmpty(t, results[i], r.name)
		if r.client == runs[0].client {
			require.Equal(t, results[0], results[i], r.name)
		}
	}
}

// bigDriver gives the engine memory for the large results.
func bigDriver(conf map[string]string) map[string]string {
	return env.With(conf, "spark.driver.memory", "2g", "spark.driver.maxResultSize", "2g")
}

// runScenarios runs all scenarios and returns their comparable results. ca is
// the file with the authority of the gateway's certificate, "" without TLS.
func runScenarios(t *testing.T, remote, client, ca string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "results.json")
	script := filepath.Join(env.Root(t), "integration-tests", "pyspark", "run.py")
	const rows = 1 << 20 // of 200 bytes: the large results have 200 MiB
	cmd := exec.Command(env.Python(t, client), script, "--remote", remote, "--rows", fmt.Sprint(rows), "--out", out)
	cmd.Env = append(os.Environ(), "SPARK_HOME=")
	if ca != "" {
		cmd.Env = append(cmd.Env, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH="+ca)
	}
	report, err := cmd.CombinedOutput()
	require.NoErrorf(t, err, "%s", report)
	results, err := os.ReadFile(out)
	require.NoError(t, err)
	return string(results)
}

var listening = regexp.MustCompile(`Spark Connect server started at: \S*:(\d+)`)

// startDirect starts a Spark Connect server without a gateway.
func startDirect(t *testing.T) string {
	t.Helper()
	home := env.SparkHome(t)
	cmd := exec.Command(filepath.Join(home, "bin", "spark-submit"),
		"--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "--master", "local[2]",
		"--driver-memory", "2g", "--conf", "spark.driver.maxResultSize=2g", "--conf", "spark.ui.enabled=false",
		"--conf", "spark.sql.shuffle.partitions=2", "--conf", "spark.connect.grpc.arrow.maxBatchSize=16m",
		"--conf", "spark.connect.grpc.binding.port=0", "--conf", "spark.connect.grpc.binding.address=127.0.0.1", "spark-internal")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "SPARK_HOME="+home, "PYSPARK_PYTHON="+env.Python(t, "4.3"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	path := filepath.Join(cmd.Dir, "server.log")
	log, err := os.Create(path)
	require.NoError(t, err)
	cmd.Stderr = log
	require.NoError(t, cmd.Start())
	require.NoError(t, log.Close())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	port := ""
	env.Eventually(t, 90*time.Second, "the Spark Connect server starts", func() bool {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		if m := listening.FindSubmatch(text); m != nil {
			port = string(m[1])
		}
		return port != ""
	})
	return "sc://127.0.0.1:" + port
}

// TestUsersAndWishes: launch options give an engine of their own, equal wishes
// share it, other wishes and other users do not.
func TestUsersAndWishes(t *testing.T) {
	g := env.Start(t, map[string]string{"spark.driver.memory": "600m"})
	wish := func(remote string, args ...string) (*env.Client, string, map[string]any) {
		c := env.StartClient(t, "4.3", "config_wishes.py", append([]string{"--remote", remote, "--hold"}, args...)...)
		created := c.Next("created", 3*time.Minute)
		engine := fmt.Sprint(c.Next("engine", time.Minute)["application_id"])
		conf := c.Next("conf", time.Minute)
		require.Empty(t, created["warnings"])
		return c, engine, conf
	}
	_, byConfig, conf := wish(g.Remote("user_id=alice"), "--conf", "spark.driver.memory=700m", "--conf", "spark.app.name=one")
	require.Contains(t, fmt.Sprint(conf), "spark.driver.memory:map[config:700m sql:700m]")
	_, byURL, _ := wish(g.Remote("user_id=alice", "spark.driver.memory=700M"))
	require.Equal(t, byConfig, byURL, "equal wishes share an engine")
	_, other, conf := wish(g.Remote("user_id=alice", "spark.executor.memory=650m"))
	require.NotEqual(t, byConfig, other)
	require.Contains(t, fmt.Sprint(conf), "spark.executor.memory:map[config:650m sql:650m]")
	_, bobs, _ := wish(g.Remote("user_id=bob", "spark.driver.memory=700m"))
	require.NotEqual(t, byConfig, bobs, "two users get two engines")
	users := map[string]int{}
	for _, e := range g.Engines() {
		users[e.User]++
	}
	require.Equal(t, map[string]int{"alice": 2, "bob": 1}, users)
}

// TestWishesThatComeTooLateOrAreNotAllowed: the client is told in one sentence.
func TestWishesThatComeTooLateOrAreNotAllowed(t *testing.T) {
	g := env.Start(t, nil)
	c := env.StartClient(t, "4.3", "config_wishes.py", "--remote", g.Remote(),
		"--set", "spark.driver.memory=3g", "--set", "spark.sql.shuffle.partitions=3", "--set", "spark.submit.deployMode=cluster")
	late := c.Next("set", 3*time.Minute)
	require.Contains(t, fmt.Sprint(late), "spark.driver.memory is an option of the engine")
	fine := c.Next("set", time.Minute)
	require.Empty(t, fine["warnings"])
	require.Nil(t, fine["error"])
	refused := c.Next("set", time.Minute)
	require.Contains(t, fmt.Sprint(refused), "[GATEWAY.OPTION_NOT_ALLOWED]")

	never := env.StartClient(t, "4.3", "config_wishes.py", "--remote", g.Remote("user_id=eve"),
		"--conf", "spark.driver.extraJavaOptions=-Dx=y")
	failed := never.Next("failed", time.Minute)
	require.Contains(t, fmt.Sprint(failed["text"]), "spark.driver.extraJavaOptions")
	for _, e := range g.Engines() {
		require.NotEqual(t, "eve", e.User, "a refused wish launches no engine")
	}
}

// TestJVMClient: a JVM client by the URL form.
func TestJVMClient(t *testing.T) {
	script := filepath.Join(env.Root(t), "integration-tests", "jvm", "run.sh")
	g := env.Start(t, map[string]string{"spark.driver.memory": "600m"})
	cmd := exec.Command(script, env.SparkHome(t), t.TempDir(), g.Remote("spark.driver.memory=650m"))
	out := env.Run(t, cmd)
	require.Contains(t, out, `"count"`)
	require.True(t, strings.Contains(out, "650m"), out)
}
