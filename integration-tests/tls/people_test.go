// SPDX-License-Identifier: Apache-2.0

package tls

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// curl calls REST as people do and returns what it prints, headers included.
func curl(t *testing.T, h *house, path string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	args = append([]string{"-sS", "-i", path}, args...)
	out, err := exec.CommandContext(ctx, program(t, "curl", "curl"), args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// TestRESTOverTLSWithCurl: the authority is got from the gateway itself, then
// trusted; without it curl refuses, and in plain nothing is told.
func TestRESTOverTLSWithCurl(t *testing.T) {
	h := start(t)
	dir := t.TempDir()
	token := write(t, dir, "header", "Authorization: Bearer "+aliceToken+"\n")
	ca := filepath.Join(dir, "ca.pem")
	curl(t, h, "https://"+h.REST+"/ca.pem", "-k", "-o", ca, "--no-include")
	given, err := os.ReadFile(ca)
	require.NoError(t, err)
	own, err := os.ReadFile(h.authority.Files.Certificate)
	require.NoError(t, err)
	require.Equal(t, string(own), string(given))

	answer := curl(t, h, "https://"+h.REST+"/api/v1/sessions", "--cacert", ca, "-H", "@"+token)
	require.Contains(t, answer, "200 OK")
	require.Contains(t, answer, "Strict-Transport-Security: max-age=31536000")
	answer = curl(t, h, "https://"+h.REST+"/api/v1/sessions", "--cacert", ca)
	require.Contains(t, answer, "401 Unauthorized")
	answer = curl(t, h, "http://"+h.REST+"/api/v1/sessions", "-H", "@"+token)
	require.Contains(t, answer, "400 Bad Request")
	require.Contains(t, answer, "write https:// in the place of http://")
	require.NotContains(t, answer, "Strict-Transport-Security")
	require.Error(t, exec.Command("curl", "-sS", "https://"+h.REST+"/healthz").Run(), "nobody trusts it without the authority")
}

// TestPeopleAreToldHowToTrust by the gateway's first lines, by status and by the
// answer of a new session.
func TestPeopleAreToldHowToTrust(t *testing.T) {
	h := start(t)
	needed := "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=" + h.authority.Files.Certificate
	require.Contains(t, h.Log(), needed)
	status := exec.Command(h.Binary, "status")
	status.Env = h.Env()
	said := env.Run(t, status)
	require.Contains(t, said, needed)
	require.Contains(t, said, "https://"+h.REST)

	request, err := http.NewRequest(http.MethodPost, "https://"+h.REST+"/api/v1/sessions", strings.NewReader(`{"configs":{}}`))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+aliceToken)
	request.Header.Set("Content-Type", "application/json")
	reply, err := h.Client.Do(request)
	require.NoError(t, err)
	defer func() { _ = reply.Body.Close() }()
	var opened struct{ Remote, Hint string }
	require.NoError(t, json.NewDecoder(reply.Body).Decode(&opened))
	require.Contains(t, opened.Remote, ";use_ssl=true")
	require.Contains(t, opened.Hint, "https://"+h.REST+"/ca.pem")
	require.Contains(t, opened.Hint, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")
}

// trial finds the commands of the README's trial.
var trial = regexp.MustCompile(`(?s)\*\*A trial with tokens over TLS\.\*\*[^\n]*\n\n(.*?)\n\n[^ ]`)

// TestTheTrialOfTheReadme runs its commands as they stand, from a folder like a
// checkout, with real Spark and real PySpark.
func TestTheTrialOfTheReadme(t *testing.T) {
	root := env.Root(t)
	env.SparkHome(t)
	python := env.Python(t, "4.3")
	env.PluginJar(t)
	program(t, "openssl", "openssl")
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	found := trial.FindStringSubmatch(string(readme))
	require.NotNil(t, found, "the README has no trial of TLS")
	commands := strings.Split(strings.TrimSpace(found[1]), "\n")
	require.LessOrEqual(t, len(commands), 4)

	home := t.TempDir()
	for _, dir := range []string{"bin", "conf", ".local"} {
		require.NoError(t, os.Mkdir(filepath.Join(home, dir), 0o700))
	}
	require.NoError(t, os.Symlink(filepath.Join(root, "bin", "gateway"), filepath.Join(home, "bin", "gateway")))
	require.NoError(t, os.Symlink(filepath.Dir(filepath.Dir(python)), filepath.Join(home, ".local", "venv")))
	connect, rest := env.FreePorts(t)
	settings := map[string]string{
		"PORT": port(connect), "REST": port(rest), "JAR": env.PluginJar(t), "SPARK": env.SparkHome(t), "PYTHON": python,
	}
	write(t, home, "conf/kyuubi-defaults.conf", replaceAll(`kyuubi.frontend.spark.connect.enabled=true
kyuubi.frontend.spark.connect.bind.port=PORT
kyuubi.frontend.rest.bind.port=REST
kyuubi.session.engine.spark.main.resource=JAR
kyuubi.engineEnv.SPARK_HOME=SPARK
kyuubi.engineEnv.PYSPARK_PYTHON=PYTHON
kyuubi.engine.local.allow.gateway.user=true
spark.master=local[1]
spark.ui.enabled=false
spark.driver.memory=1g
`, settings))
	write(t, home, "your_program.py", `from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
print("rows", spark.range(42).count())
spark.stop()
`)
	run := shell(t, home)
	t.Cleanup(func() {
		out, err := run("bin/gateway stop --engines").CombinedOutput()
		require.NoError(t, err, "%s", out)
		env.Eventually(t, patience, "all processes end", func() bool { return len(env.Marked(home)) == 0 })
	})
	said := ""
	for _, command := range commands {
		command = strings.ReplaceAll(strings.TrimSpace(command), ":15002", ":"+port(connect))
		out, err := run(command).CombinedOutput()
		said = string(out)
		require.NoError(t, err, "%s\n%s", command, said)
	}
	require.Contains(t, said, "rows 42")
	log, err := filepath.Glob(filepath.Join(home, "logs", "gateway-*.log"))
	require.NoError(t, err)
	require.Len(t, log, 1)
	text, err := os.ReadFile(log[0])
	require.NoError(t, err)
	require.Contains(t, string(text), "user=alice")
}

// shell runs commands in a folder, for alice, each for a few minutes at most.
func shell(t *testing.T, home string) func(command string) *exec.Cmd {
	return func(command string) *exec.Cmd {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		t.Cleanup(cancel)
		cmd := exec.CommandContext(ctx, "bash", "-c", command)
		cmd.Dir, cmd.WaitDelay = home, time.Second
		cmd.Env = append(os.Environ(), "GATEWAY_HOME="+home, "KYUUBI_HOME=", "KYUUBI_CONF_DIR=", "KYUUBI_LOG_DIR=", "KYUUBI_PID_DIR=",
			"KYUUBI_WORK_DIR_ROOT=", "SPARK_HOME=", "SPARK_REMOTE=", "USER=alice")
		return cmd
	}
}
