// SPDX-License-Identifier: Apache-2.0

package people

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// script is what a page must never run.
const script = `<img src=x onerror=alert(1)><script>alert(2)</script>`

// TestCallsFromOtherSitesAreRefused, before anybody is authenticated: a browser
// would add the credentials of its user.
func TestCallsFromOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	h := start(t, "", nil)
	c := h.client()
	require.NoError(t, c.Version(h.as("alice")))
	own := "http://" + h.REST
	for name, tt := range map[string]struct {
		method, path string
		headers      []string
		want         int
	}{
		"a form of another site":      {"POST", "/api/v1/sessions", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"a sister site":               {"POST", "/api/v1/sessions", []string{"Sec-Fetch-Site", "same-site"}, 403},
		"an old browser":              {"POST", "/api/v1/sessions", []string{"Origin", "https://evil.example"}, 403},
		"a page without an origin":    {"POST", "/api/v1/sessions", []string{"Origin", "null"}, 403},
		"the same host, another port": {"DELETE", "/api/v1/sessions/" + c.Session, []string{"Origin", "http://127.0.0.1:1"}, 403},
		"a script of another site":    {"DELETE", "/api/v1/sessions/" + c.Session, []string{"Sec-Fetch-Site", "cross-site", "Origin", own}, 403},
		"an engine of another's":      {"DELETE", "/api/v1/admin/engine?proxyUser=alice", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"a user disabled":             {"POST", "/api/v1/admin/users/alice/disable", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"a token made":                {"POST", "/api/v1/tokens", []string{"Origin", "https://evil.example"}, 403},
		"the verb in a header":        {"POST", "/api/v1/sessions/" + c.Session, []string{"X-HTTP-Method-Override", "DELETE"}, 405},
		"the verb in a parameter":     {"GET", "/api/v1/sessions/" + c.Session + "?_method=DELETE", nil, 400},
		"a verb of no meaning":        {"LINK", "/api/v1/sessions/" + c.Session, nil, 405},
		"TRACE, which would echo":     {"TRACE", "/api/v1/sessions", nil, 405},
		"a browser that asks before":  {"OPTIONS", "/api/v1/sessions", []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}, 204},
		"a program":                   {"GET", "/api/v1/sessions/" + c.Session, nil, 200},
		"a page of the gateway's own": {"GET", "/api/v1/sessions/" + c.Session, []string{"Sec-Fetch-Site", "same-origin", "Origin", own}, 200},
	} {
		reply, text := h.rest("boss", tt.method, tt.path, "", tt.headers...)
		require.Equal(t, tt.want, reply.StatusCode, "%s: %s", name, text)
		requireHardened(t, reply)
	}
	require.NoError(t, c.Version(h.as("alice")), "the session and its user are still there")
}

// requireHardened looks at the headers of an answer.
func requireHardened(t *testing.T, r *http.Response) {
	t.Helper()
	for key, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"Access-Control-Allow-Origin": "", "Set-Cookie": "", "Server": "",
	} {
		require.Equal(t, want, r.Header.Get(key), "%s of %s", key, r.Request.URL)
	}
	policy := r.Header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'", "no page is served, so nothing is allowed")
	require.Contains(t, policy, "frame-ancestors 'none'")
}

// TestScriptsInNamesAreInert: what clients call things comes back as JSON that no
// browser takes for a page.
func TestScriptsInNamesAreInert(t *testing.T) {
	t.Parallel()
	h := start(t, "", nil)
	c := h.client()
	require.NoError(t, c.Version(h.as("alice", "kyuubi.session.name", script)))
	for path, want := range map[string]int{
		"/api/v1/sessions": 200, "/api/v1/sessions/" + c.Session: 200, "/api/v1/admin/sessions": 200,
		"/api/v1/sessions/%3Cscript%3Ealert(1)%3C%2Fscript%3E": 404, "/%3Cscript%3E": 404, "/api/v1/sessions?%3Cscript%3E=1": 400,
		"/api/v1/admin/engine?proxyUser=%3Cscript%3E": 200, "/api/v1/admin/engine?type=%3Cscript%3E": 200,
	} {
		reply, text := h.rest("boss", http.MethodGet, path, "")
		require.Equal(t, want, reply.StatusCode, "%s: %s", path, text)
		require.Equal(t, "application/json", reply.Header.Get("Content-Type"), path)
		requireHardened(t, reply)
	}
	_, text := h.rest("alice", http.MethodGet, "/api/v1/sessions", "")
	var list []struct{ SessionName string }
	require.NoError(t, json.Unmarshal([]byte(text), &list))
	require.Equal(t, script, list[0].SessionName, "it is kept as it is")
}

// TestCapsOfREST: bodies and headers that are too large are refused.
func TestCapsOfREST(t *testing.T) {
	t.Parallel()
	h := start(t, "", nil)
	reply, text := h.rest("alice", http.MethodPost, "/api/v1/sessions", `{"configs": {"a": "`+strings.Repeat("x", 2<<20)+`"}}`)
	require.Equal(t, http.StatusRequestEntityTooLarge, reply.StatusCode, text)
	reply, _ = h.rest("alice", http.MethodGet, "/api/v1/sessions", "", "X-Large", strings.Repeat("x", 200<<10))
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, reply.StatusCode)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, "http://"+h.REST+"/api/v1/sessions", nil)
	require.NoError(t, err)
	head, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, head.Body)
	_ = head.Body.Close()
	require.Equal(t, http.StatusUnauthorized, head.StatusCode, "HEAD is no way around")
}
