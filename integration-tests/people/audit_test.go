// SPDX-License-Identifier: Apache-2.0

package people

import (
	"encoding/base64"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
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

	for name, fields := range map[string]map[string]any{
		"a login":            {"event": "login", "outcome": "ok", "user": "portal", "method": "TOKEN", "address": "127.0.0.1"},
		"a refused user":     {"event": "login", "outcome": "refused", "user": "", "reason": `rule "gone" in line 3 refuses user eve`},
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
