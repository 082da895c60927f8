// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// administered is a gateway that gives one answer to each call and notes what was
// asked for.
func administered(t *testing.T, answers map[string]string) (url string, asked *[]string) {
	t.Helper()
	asked = new([]string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.Method+" "+r.URL.String())
		_, _ = io.WriteString(w, answers[r.Method+" "+r.URL.Path])
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

func TestEngines(t *testing.T) {
	gateway, asked := administered(t, map[string]string{
		"GET /api/v1/admin/engine": `[
			{"refId": "e1", "user": "alice", "sharelevel": "USER", "subdomain": "default", "state": "running", "sessions": 2, "submitTime": 1, "place": "m1", "configuration": "old"},
			{"refId": "e2", "user": "bob\u001b[2J", "state": "starting"}]`,
		"POST /api/v1/admin/engines/refresh": `[{"refId": "e1", "user": "alice", "subdomain": "default", "sessions": 2, "reason": "It is old."}]`,
		"GET /api/v1/admin/server": `[{"namespace": "/kyuubi_spark_connect", "instance": "one:15002", "status": "Draining", "startTime": 1,
			"attributes": {"version": "0.2.0", "rest": "one:10099", "place": "m1", "config": "c1"}}]`,
	})
	as := []string{"--url", gateway, "--user", "root"}
	stdout, stderr, code := person(t, append([]string{"engines"}, as...)...)
	require.Zero(t, code, stderr)
	require.Regexp(t, `(?m)^ENGINE +OWNER +LEVEL +SUBDOMAIN +STATE +SESSIONS +AGE +CONFIGURATION +PLACE$`, stdout)
	require.Regexp(t, `(?m)^e1 +alice +USER +default +running +2 +\d+h\d+m\d+s +old +m1$`, stdout)
	require.Regexp(t, `(?m)^e2 +bob\?\[2J +starting +0 +unknown +$`, stdout)

	stdout, stderr, code = person(t, append([]string{"engines", "refresh", "--all", "--dry-run", "--of", "a&b", "--engine", "e1"}, as...)...)
	require.Zero(t, code, stderr)
	require.Regexp(t, `(?m)^e1 +alice +default +2 +It is old\.$`, stdout)
	require.Contains(t, stdout, "Nothing was changed")
	stdout, _, _ = person(t, append([]string{"engines", "refresh", "--force"}, as...)...)
	require.Contains(t, stdout, "They take no new session and end with their last one.")

	stdout, stderr, code = person(t, append([]string{"servers"}, as...)...)
	require.Zero(t, code, stderr)
	require.Regexp(t, `(?m)^/kyuubi_spark_connect +one:15002 +one:10099 +0\.2\.0 +Draining +\d+h\d+m\d+s +c1 +m1$`, stdout)
	require.Equal(t, []string{
		"GET " + enginesPath, "POST " + refreshPath + "?all=true&dryRun=true&force=false&refId=e1&user=a%26b",
		"POST " + refreshPath + "?all=false&dryRun=false&force=true", "GET " + serversPath,
	}, *asked)
}

func TestRefreshInPart(t *testing.T) {
	gateway, _ := administered(t, map[string]string{"POST /api/v1/admin/engines/refresh": `[
		{"refId": "e1", "user": "alice", "reason": "It is old."}, {"refId": "e2", "user": "bob", "reason": "It is old.", "error": "It does not answer."}]`})
	stdout, stderr, code := person(t, "engines", "refresh", "--url", gateway, "--user", "root")
	require.Equal(t, ExitFailure, code)
	require.Contains(t, stdout, "e1")
	require.NotContains(t, stdout, "e2")
	require.Contains(t, stderr, "not replaced, and open to new sessions: 1 of them (e2: It does not answer.)")
}

func TestNothingToRefresh(t *testing.T) {
	gateway, _ := administered(t, map[string]string{"POST /api/v1/admin/engines/refresh": "[]"})
	stdout, stderr, code := person(t, "engines", "refresh", "--url", gateway, "--user", "root")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "No engine needs to be replaced")
}
