// SPDX-License-Identifier: Apache-2.0

// Package tokens holds the tests of the tokens that a gateway issues: the real
// binary, clients over REST, Spark Connect and the command line, a real directory
// and a real KDC for those who come for one, and engines that are fakes but for
// one test.
package tokens

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"roundhouse/engine/enginetest"
	"roundhouse/integration-tests/env"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The tokens of the file, which no test here is about: how people come in to
// ask for others.
const (
	bossToken  = "b055-token-7c6b5a4f3e2d1c0b"
	aliceToken = "a11ce-token-7c6b5a4f3e2d1c0b"
	bobToken   = "b0b-token-7c6b5a4f3e2d1c0bff"
)

// house is a gateway with fake engines.
type house struct {
	*env.Gateway
	t *testing.T
}

// start starts a gateway with fake engines that reads a file of tokens, too.
// Settings are laid over.
func start(t *testing.T, settings map[string]string, environ ...string) *house {
	t.Helper()
	conf := map[string]string{"kyuubi.engineEnv.SPARK_HOME": enginetest.BuildFakeSparkHome(t)}
	maps.Copy(conf, settings)
	return startWith(t, conf, environ...)
}

// startWith starts a gateway with the Spark of the settings, else real Spark.
func startWith(t *testing.T, settings map[string]string, environ ...string) *house {
	t.Helper()
	tokens := filepath.Join(t.TempDir(), "tokens")
	lines := bossToken + " boss admin\n" + aliceToken + " alice groups=staff\n" + bobToken + " bob\n"
	require.NoError(t, os.WriteFile(tokens, []byte(lines), 0o600))
	conf := map[string]string{
		"kyuubi.authentication": "TOKEN", "kyuubi.authentication.token.file": tokens,
		"kyuubi.engine.local.allow.gateway.user": "true",
	}
	maps.Copy(conf, settings)
	h := &house{Gateway: env.Prepare(t, conf), t: t}
	h.Token, h.Environ = bossToken, environ
	h.Gateway.StartUntilCleanup()
	return h
}

// token is what REST tells of a token.
type token struct {
	ID         string   `json:"id"`
	User       string   `json:"user"`
	Name       string   `json:"name"`
	Scope      []string `json:"scope"`
	ExpireTime int64    `json:"expireTime"`
	LastTime   int64    `json:"lastTime"`
	RevokeTime int64    `json:"revokeTime"`
	UseTime    int64    `json:"useTime"`
	Token      string   `json:"token"`
	Remote     string   `json:"remote"`
}

// try makes a REST call with a bearer token.
func (h *house) try(bearer, method, path, body string) (int, string, error) {
	r, err := http.NewRequest(method, "http://"+h.REST+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	return reply.StatusCode, string(text), err
}

func (h *house) rest(bearer, method, path, body string) (int, string) {
	h.t.Helper()
	code, text, err := h.try(bearer, method, path, body)
	require.NoError(h.t, err)
	return code, text
}

// issue gets a token.
func (h *house) issue(bearer, body string) token {
	h.t.Helper()
	code, text := h.rest(bearer, http.MethodPost, "/api/v1/tokens", body)
	require.Equal(h.t, http.StatusOK, code, text)
	var got token
	require.NoError(h.t, json.Unmarshal([]byte(text), &got))
	require.Regexp(h.t, "^rht_", got.Token)
	return got
}

// list are the tokens that a caller sees.
func (h *house) list(bearer, query string) (all []token) {
	h.t.Helper()
	code, text := h.rest(bearer, http.MethodGet, "/api/v1/tokens"+query, "")
	require.Equal(h.t, http.StatusOK, code, text)
	require.NoError(h.t, json.Unmarshal([]byte(text), &all))
	return all
}

// bearer sends a token with each call, in plain, as clients do on one machine.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return false }

// client is a Spark Connect client in Go with a token. It claims to be mallory,
// which means nothing.
func (h *house) client(text string) *env.SparkClient {
	h.t.Helper()
	return env.NewSparkClient(h.t, h.GRPC, "mallory", grpc.WithPerRPCCredentials(bearer(text)))
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// run runs a command of the gateway's program and returns its output.
func (h *house) run(environ []string, stdin string, args ...string) (stdout, stderr string, code int) {
	h.t.Helper()
	cmd := exec.CommandContext(within(h.t, 30*time.Second), h.Binary, args...)
	var out, said bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = append(h.Env(), environ...), bytes.NewReader([]byte(stdin)), &out, &said
	err := cmd.Run()
	require.NotNil(h.t, cmd.ProcessState, fmt.Sprint(err))
	return out.String(), said.String(), cmd.ProcessState.ExitCode()
}
