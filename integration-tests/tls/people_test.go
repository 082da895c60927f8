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
	env.Eventually(t, patience, "the gateway tells it", func() bool { return strings.Contains(h.Log(), needed) })
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

// TestATokenOfTheHostOpensTheGateway: both lines that it prints are needed and
// enough, also for commands that call the REST port by TLS.
func TestATokenOfTheHostOpensTheGateway(t *testing.T) {
	h := start(t)
	create := exec.Command(h.Binary, "token", "create", "--for", "carol", "--name", "job")
	create.Env = h.Env()
	stdout, err := create.Output()
	require.NoError(t, err)
	found := regexp.MustCompile(`^export SPARK_REMOTE='sc://\S+/;use_ssl=true;token=(rht_[\w.-]+)'\n` +
		`export GRPC_DEFAULT_SSL_ROOTS_FILE_PATH='` + regexp.QuoteMeta(h.authority.Files.Certificate) + `'\n$`).FindStringSubmatch(string(stdout))
	require.NotNil(t, found, "%s", stdout)
	require.NoError(t, h.version(found[1], nil))
}
