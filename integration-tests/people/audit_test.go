// SPDX-License-Identifier: Apache-2.0

package people

import (
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"roundhouse/integration-tests/env"
	kyuubi "roundhouse/proto/gen/kyuubi/auth"
)

// TestTheAuditLog has a line for each thing that happens, and no secret.
func TestTheAuditLog(t *testing.T) {
	t.Parallel()
	h := start(t, everyday, proxies())
	c := h.client()
	require.NoError(t, c.Version(h.as("portal", kyuubisKey, "alice")))
	for range 20 {
		require.NoError(t, c.Version(h.as("portal")))
	}
	requireDenied(t, h.open("eve"))
	requireDenied(t, h.open("alice", kyuubisKey, "bob"))
	password := "hunter2-password"
	h.rest("", http.MethodGet, "/api/v1/sessions", "", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("mallory:"+password)))
	h.rest("", http.MethodGet, "/api/v1/sessions", "", "Authorization", "Bearer hunter2-forged-token")
	h.rest("bob", http.MethodGet, "/api/v1/admin/sessions", "")
	named := h.client()
	require.NoError(t, set(h.as("bob", "kyuubi.session.name", "n"), named, "spark.sql.catalog.c.password", "hunter2-in-a-set"))
	reply, text := h.rest("boss", http.MethodDelete, "/api/v1/admin/sessions/"+c.Session+"?users=alice", "")
	require.Equal(t, http.StatusOK, reply.StatusCode, text)
	engine := ""
	for _, e := range h.Engines() {
		if e.User == "alice" {
			engine = e.RefID
		}
	}
	reply, text = h.rest("boss", http.MethodDelete, "/api/v1/admin/engine?kill=true&refId="+engine, "")
	require.Equal(t, http.StatusOK, reply.StatusCode, text)
	reply, text = h.rest("boss", http.MethodPost, "/api/v1/admin/users/carol/disable", `{"reason": "left"}`)
	require.Equal(t, http.StatusOK, reply.StatusCode, text)
	reply, text = h.rest("boss", http.MethodDelete, "/api/v1/sessions/"+named.Session, "")
	require.Equal(t, http.StatusOK, reply.StatusCode, text)
	ofAlice, ofBob := tokensOverREST(t, h), tokensOverGRPC(t, h)

	for name, fields := range map[string]map[string]any{
		"a login":            {"event": "login", "outcome": "ok", "user": "portal", "method": "TOKEN", "address": "127.0.0.1"},
		"a refused user":     {"event": "login", "outcome": "refused", "user": "eve", "method": "TOKEN", "reason": `rule "gone" in line 3 refuses user eve`},
		"a bad password":     {"event": "login", "outcome": "refused", "user": "mallory", "method": "basic"},
		"a forged token":     {"event": "login", "outcome": "refused", "method": "bearer"},
		"a session":          {"event": "session opened", "user": "alice", "realUser": "portal", "session": c.Session, "address": "127.0.0.1", "engine": engine},
		"its end":            {"event": "session ended", "user": "alice", "realUser": "portal", "session": c.Session, "reason": "Administrator boss ended it"},
		"an engine":          {"event": "engine launched", "user": "alice", "engine": engine},
		"its end too":        {"event": "engine ended", "user": "alice", "engine": engine, "reason": "User boss killed it over REST"},
		"a refused call":     {"event": "call refused", "user": "alice", "call": "AnalyzePlan", "reason": "alice may act for nobody"},
		"a refused page":     {"event": "call refused", "user": "bob", "call": "GET /api/v1/admin/sessions"},
		"an end by an admin": {"event": "administration", "user": "boss", "call": "DELETE /api/v1/admin/sessions/" + c.Session + "?users=alice"},
		"a kill by an admin": {"event": "administration", "user": "boss", "call": "kill=true&refId=" + engine},
		"an end elsewhere":   {"event": "administration", "user": "boss", "call": "DELETE /api/v1/sessions/" + named.Session},
		"a token":            {"event": "token issued", "user": "alice", "realUser": "boss", "token": ofAlice, "name": "nightly", "address": "127.0.0.1", "method": "TOKEN"},
		"its revocation":     {"event": "token revoked", "user": "alice", "realUser": "boss", "token": ofAlice, "name": "nightly", "address": "127.0.0.1"},
		"a token over gRPC":  {"event": "token issued", "user": "bob", "token": ofBob, "address": "127.0.0.1", "method": "TOKEN"},
		"revoked there, too": {"event": "token revoked", "user": "bob", "token": ofBob, "address": "127.0.0.1"},
		"a user who left":    {"event": "administration", "user": "boss", "call": "POST /api/v1/admin/users/carol/disable", "outcome": "ok"},
	} {
		env.Eventually(t, 5*time.Second, name, func() bool { return h.written(fields) })
	}
	logins := 0
	for _, line := range h.audit() {
		require.NotEmpty(t, line["time"])
		require.NotContains(t, line, "level")
		if has(line, map[string]any{"event": "login", "user": "portal"}) {
			logins++
		}
	}
	require.Equal(t, 1, logins, "21 calls of one connection are one login")
	info, err := os.Stat(h.auditPath())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	requireNoSecret(t, h, "hunter2", base64.StdEncoding.EncodeToString([]byte("mallory:"+password)))
}

// tokensOverREST has boss make a token for alice and revoke it, and returns its id.
func tokensOverREST(t *testing.T, h *house) (id string) {
	t.Helper()
	reply, text := h.rest("boss", http.MethodPost, "/api/v1/tokens", `{"user": "alice", "name": "nightly"}`)
	require.Equal(t, http.StatusOK, reply.StatusCode, text)
	var made struct {
		ID string `json:"id"`
	}
	require.NoError(t, json.Unmarshal([]byte(text), &made))
	reply, text = h.rest("boss", http.MethodDelete, "/api/v1/tokens/"+made.ID, "")
	require.Equal(t, http.StatusOK, reply.StatusCode, text)
	return made.ID
}

// tokensOverGRPC has bob get a token and revoke it, and returns its id.
func tokensOverGRPC(t *testing.T, h *house) (id string) {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+h.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	c := kyuubi.NewSparkConnectAuthServiceClient(conn)
	got, err := c.GetToken(h.as("bob"), &kyuubi.GetTokenRequest{})
	require.NoError(t, err)
	_, list := h.rest("bob", http.MethodGet, "/api/v1/tokens", "")
	var made []struct {
		ID string `json:"id"`
	}
	require.NoError(t, json.Unmarshal([]byte(list), &made))
	require.Len(t, made, 1, list)
	_, err = c.RevokeToken(t.Context(), &kyuubi.RevokeTokenRequest{Token: got.GetToken()})
	require.NoError(t, err)
	return made[0].ID
}

// requireNoSecret looks through all that the gateway wrote but its settings.
func requireNoSecret(t *testing.T, h *house, secrets ...string) {
	t.Helper()
	looked := 0
	require.NoError(t, filepath.WalkDir(h.Home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(path, filepath.Join(h.Home, "conf")) {
			return nil // engines remove files meanwhile
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil // so it is gone
		}
		looked++
		for _, secret := range secrets {
			require.NotContains(t, string(text), secret, path)
		}
		return nil
	}))
	require.Greater(t, looked, 3)
}

// TestAFloodOfBadLoginsIsBounded in the audit log as well.
func TestAFloodOfBadLoginsIsBounded(t *testing.T) {
	t.Parallel()
	h := start(t, "", map[string]string{"kyuubi.authentication.throttle.address.failures": "0"})
	for range 300 {
		h.rest("", http.MethodGet, "/api/v1/sessions", "", "Authorization", "Bearer hunter2-forged-token")
	}
	bad := 0
	for _, line := range h.audit() {
		if has(line, map[string]any{"event": "login", "outcome": "refused"}) {
			bad++
		}
	}
	require.Positive(t, bad)
	require.LessOrEqual(t, bad, 40, "20 a minute, and a minute may end meanwhile")
	require.NoError(t, h.open("alice"))
}

// TestTheAuditLogCanBeOff.
func TestTheAuditLogCanBeOff(t *testing.T) {
	t.Parallel()
	h := start(t, "", map[string]string{"kyuubi.server.audit.enabled": "false"})
	require.NoError(t, h.open("alice"))
	require.NoFileExists(t, h.auditPath())
}
