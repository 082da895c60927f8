// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// person runs a command as somebody who types a password, in this process.
func person(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	typed := filepath.Join(t.TempDir(), "typed")
	require.NoError(t, os.WriteFile(typed, []byte("s3cret\n"), 0o600))
	stdin, err := os.Open(typed)
	require.NoError(t, err)
	defer func() { _ = stdin.Close() }()
	var out, said bytes.Buffer
	a := &app{stdin: stdin, stdout: &out, stderr: &said, getenv: func(string) string { return "" }}
	code = run(t.Context(), a, args)
	return out.String(), said.String(), code
}

func TestLoginTrustsAndTellsOnlyTheGateway(t *testing.T) {
	const answer = `{"user": "alice", "token": "rht_x", "remote": "sc://h:15002/;use_ssl=true;token=rht_x", "expireTime": 1, "lastTime": 2, "hint": "Set X."}`
	told := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { told = true }))
	defer elsewhere.Close()
	gateway := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case r.URL.Path == "/moved"+tokensPath:
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		case user != "alice" || password != "s3cret":
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"message": "[GATEWAY.UNAUTHENTICATED] No."}`)
		default:
			_, _ = io.WriteString(w, answer)
		}
	}))
	gateway.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	gateway.StartTLS()
	defer gateway.Close()

	stdout, stderr, code := person(t, "login", "--url", gateway.URL, "--user", "alice")
	require.Equal(t, ExitFailure, code)
	require.Contains(t, stderr, "with --ca", "who the gateway is cannot be told")
	require.NotContains(t, stderr, askPort)
	require.Equal(t, noLine, stdout)

	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: gateway.Certificate().Raw}), 0o600))
	stdout, stderr, code = person(t, "login", "--url", gateway.URL+"/", "--user", "alice", "--ca", ca)
	require.Zero(t, code, stderr)
	require.Equal(t, "export SPARK_REMOTE='sc://h:15002/;use_ssl=true;token=rht_x'\nexport "+rootsVariable+"='"+ca+"'\n", stdout)
	require.NotContains(t, stderr, "Give ")
	_, stderr, code = person(t, "token", "create", "--for", "carol", "--url", gateway.URL, "--user", "alice", "--ca", ca)
	require.Zero(t, code, stderr)
	require.Contains(t, stderr, "Give carol a copy of "+ca+" too, and the path of that copy in "+rootsVariable+".")

	_, stderr, code = person(t, "login", "--url", gateway.URL, "--user", "bob", "--ca", ca)
	require.Equal(t, ExitFailure, code)
	require.Equal(t, "gateway: Wrong user name or password. [GATEWAY.UNAUTHENTICATED] No.\n", stderr)

	_, stderr, code = person(t, "login", "--url", gateway.URL+"/moved", "--user", "alice", "--ca", ca)
	require.Equal(t, ExitFailure, code)
	require.Contains(t, stderr, "307")
	require.False(t, told, "credentials follow no redirection")
}

// noLine is what a shell evaluates where a token was wanted and there is none.
const noLine = "unset SPARK_REMOTE; false\n"

// TestEvalFailsWithTheCommand, whatever is wrong, and nothing goes on with an old
// line.
func TestEvalFailsWithTheCommand(t *testing.T) {
	gateway, _ := answering(t, "{}")
	for _, args := range [][]string{
		{"login", "--url", gateway, "--user", "alice"}, {"login"}, {"login", "--users", "alice"}, {"login", "alice"}, {"login", "--user", "alice", "--oidc"},
		{"token", "create", "--url", gateway, "--user", "alice"}, {"token", "create", "--url", "x"},
	} {
		stdout, _, code := person(t, args...)
		require.NotZero(t, code, args)
		shell := exec.Command("sh", "-c", `if eval "$1"; then exit 3; fi; printf %s "${SPARK_REMOTE-gone}"`, "sh", stdout)
		shell.Env = []string{"SPARK_REMOTE=sc://old"}
		out, err := shell.CombinedOutput()
		require.NoError(t, err, args)
		require.Equal(t, "gone", string(out), args)
	}
	stdout, _, code := person(t, "token", "list", "--url", gateway, "--user", "alice")
	require.NotZero(t, code)
	require.Empty(t, stdout, "that is not for a shell")
}

// TestWrongPorts are asked about, whatever they answer.
func TestWrongPorts(t *testing.T) {
	say := func(status int, text string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	raw := func(text string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		go func() { // ends with the listener
			for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
				_, _ = conn.Read(make([]byte, 4096))
				_, _ = io.WriteString(conn, text)
				_ = conn.Close()
			}
		}()
		return "http://" + l.Addr().String()
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	for name, address := range map[string]string{
		"nobody": closed.URL, "a page": say(http.StatusOK, "<html>"), "another server": say(http.StatusNotFound, "404 page not found"),
		"EOF": raw(""), "HTTP/2": raw("\x00\x00\x06\x04\x00\x00\x00\x00\x00"), "no TLS": "https" + strings.TrimPrefix(say(http.StatusOK, ""), "http"),
	} {
		_, stderr, code := person(t, "login", "--url", address, "--user", "alice")
		require.Equal(t, ExitFailure, code, name)
		require.Contains(t, stderr, askPort, name)
	}
	_, stderr, _ := person(t, "login", "--url", say(http.StatusForbidden, `{"message": "No."}`), "--user", "alice")
	require.Equal(t, "gateway: No.\n", stderr, "that is a gateway")
}

func TestRevokedTokensOfAUserAreCounted(t *testing.T) {
	gateway, _ := answering(t, "Tokens of user carol that were good and are revoked: 0.\n")
	stdout, stderr, code := person(t, "token", "revoke", "--of", "carol", "--url", gateway, "--user", "alice")
	require.Zero(t, code, stderr)
	require.Equal(t, "Tokens of user carol that were good and are revoked: 0.\n", stdout)
	gateway, _ = answering(t, "")
	stdout, _, _ = person(t, "token", "revoke", "t-1", "--url", gateway, "--user", "alice")
	require.Equal(t, "Revoked.\n", stdout)
}

func TestReasonsOfDisabledUsersStandWhereThereAreAny(t *testing.T) {
	gateway, _ := answering(t, `[{"user": "bob"}, {"user": "carol", "reason": "left"}]`)
	stdout, stderr, code := person(t, "user", "list", "--url", gateway, "--user", "alice")
	require.Zero(t, code, stderr)
	require.NotContains(t, stdout, `""`)
	require.Contains(t, stdout, `"left"`)
}

// answering is a gateway, or an issuer, that answers with one text; it counts
// the credentials that it is sent.
func answering(t *testing.T, answer string) (address string, sent *atomic.Int32) {
	t.Helper()
	sent = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			sent.Add(1)
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s.URL, sent
}

// TestNothingOfAnAnswerIsRun by a shell that evaluates what login prints, nor by
// the terminal.
func TestNothingOfAnAnswerIsRun(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	remote := "sc://h:1/;x=$(touch " + run + ")`touch " + run + "`';touch " + run + ";'\";token=rht_x"
	answer, err := json.Marshal(map[string]any{"user": "al\x1b[2Jice", "token": "rht_x", "remote": remote, "hint": "\x1b]0;x\a\u009b2J"})
	require.NoError(t, err)
	gateway, _ := answering(t, string(answer))
	stdout, stderr, code := person(t, "login", "--url", gateway, "--user", "alice")
	require.Zero(t, code, stderr)
	require.NotContains(t, stderr, "\x1b")
	require.NotContains(t, stderr, "\u009b")
	shell := exec.Command("sh", "-c", `eval "$1" && printf %s "$SPARK_REMOTE"`, "sh", stdout)
	out, err := shell.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, remote, string(out))
	require.NoFileExists(t, run)

	for _, token := range []string{"", "touch " + run, "rht_$(touch)", "rht_x;ls", "rht_x\nls"} {
		answer, err := json.Marshal(map[string]string{"token": token})
		require.NoError(t, err)
		gateway, _ := answering(t, string(answer))
		stdout, stderr, code := person(t, "login", "--url", gateway, "--user", "alice")
		require.Equal(t, ExitFailure, code, token)
		require.Contains(t, stderr, "is no token")
		require.Equal(t, noLine, stdout)
	}
}

// TestCredentialsStayAmongThoseTheyAreFor: passwords do not cross the network in
// clear text, and the gateway's own credentials go to the gateway alone.
func TestCredentialsStayAmongThoseTheyAreFor(t *testing.T) {
	for _, address := range []string{"http://192.0.2.1:10099", "http://gateway.example", "http://localhost.example:1"} {
		_, stderr, code := person(t, "login", "--url", address, "--user", "alice")
		require.Equal(t, ExitUsage, code, stderr)
		require.Contains(t, stderr, "would send credentials in clear text")
	}
	m := newMachine(t, "fine")
	secret := filepath.Join(m.home, "data", "cluster.secret")
	require.NoError(t, os.MkdirAll(filepath.Dir(secret), 0o700))
	require.NoError(t, os.WriteFile(secret, []byte(strings.Repeat("ab", 32)), 0o600))
	elsewhere, sent := answering(t, "[]")
	refused := func() {
		require.Contains(t, m.requireRun(ExitUsage, "token", "list", "--url", elsewhere).stderr, "say who you are")
	}
	refused()
	m.requireRun(ExitOK, "start")
	refused()
	require.Zero(t, sent.Load())
}

func TestLoginsAtIssuersAreConfidential(t *testing.T) {
	const provider = `{"issuer": "%s", "device_authorization_endpoint": "%s", "token_endpoint": "%s"}`
	for _, bad := range [][3]string{
		{"http://192.0.2.1/realm"},
		{"", "http://192.0.2.1/device", "https://192.0.2.1/token"},
		{"", "https://192.0.2.1/device", "http://192.0.2.1/token"},
	} {
		issuer := bad[0]
		if issuer == "" {
			var text string
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }))
			defer s.Close()
			issuer, text = s.URL, fmt.Sprintf(provider, s.URL, bad[1], bad[2])
		}
		gateway, _ := answering(t, fmt.Sprintf(`{"issuer": "%s", "clientId": "cli"}`, issuer))
		_, stderr, code := person(t, "login", "--url", gateway, "--oidc")
		require.Equal(t, ExitFailure, code)
		require.Contains(t, stderr, "is no https:// address", bad)
	}
}
