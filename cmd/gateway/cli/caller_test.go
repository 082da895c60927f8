// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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
	require.Empty(t, stdout)

	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: gateway.Certificate().Raw}), 0o600))
	stdout, stderr, code = person(t, "login", "--url", gateway.URL+"/", "--user", "alice", "--ca", ca)
	require.Zero(t, code, stderr)
	require.Equal(t, "export SPARK_REMOTE=\"sc://h:15002/;use_ssl=true;token=rht_x\"\nexport "+rootsVariable+"=\""+ca+"\"\n", stdout)

	_, stderr, code = person(t, "login", "--url", gateway.URL, "--user", "bob", "--ca", ca)
	require.Equal(t, ExitFailure, code)
	require.Equal(t, "gateway: [GATEWAY.UNAUTHENTICATED] No.\n", stderr)

	_, stderr, code = person(t, "login", "--url", gateway.URL+"/moved", "--user", "alice", "--ca", ca)
	require.Equal(t, ExitFailure, code)
	require.Contains(t, stderr, "307")
	require.False(t, told, "credentials follow no redirection")
}
