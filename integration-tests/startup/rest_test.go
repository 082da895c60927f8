// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// api calls a real gateway and holds each answer against the description that
// this gateway serves.
type api struct {
	t    *testing.T
	g    *env.Gateway
	http *http.Client
	doc  *openapi3.T
}

// tokenOf is the token of a user of these tests.
func tokenOf(user string) string {
	if user == "" {
		return ""
	}
	return "a-token-for-the-tests-of-" + user
}

func newAPI(t *testing.T) *api {
	t.Helper()
	conf := env.FakeSpark(t, "kyuubi.server.limit.connections.per.user", "2")
	maps.Copy(conf, env.Tokens(t, tokenOf("alice")+" alice", tokenOf("bob")+" bob", tokenOf("root")+" root admin"))
	conf["kyuubi.authentication.refused.users"] = "hdfs" // root is an administrator like any other here
	g := env.Prepare(t, conf)
	g.Token = tokenOf("root")
	g.StartUntilCleanup()
	a := &api{t: t, g: g, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}}
	_, text, _ := a.send("root", http.MethodGet, "/api/openapi.yaml", "")
	doc, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	a.doc = doc
	return a
}

func (a *api) send(user, method, path, body string) (*http.Request, []byte, *http.Response) {
	a.t.Helper()
	r, err := http.NewRequest(method, "http://"+a.g.REST+path, strings.NewReader(body))
	require.NoError(a.t, err)
	if user != "" {
		r.Header.Set("Authorization", "Bearer "+tokenOf(user))
	}
	reply, err := a.http.Do(r)
	require.NoError(a.t, err)
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	require.NoError(a.t, err)
	return r, text, reply
}

// call sends a call of an operation and checks the answer.
func (a *api) call(user, method, path, target, body string) (int, []byte) {
	a.t.Helper()
	r, text, reply := a.send(user, method, target, body)
	item := a.doc.Paths.Value(path)
	require.NoError(a.t, openapi3filter.ValidateResponse(a.t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: r, Route: &routers.Route{Spec: a.doc, Path: path, PathItem: item, Method: method, Operation: item.GetOperation(method)},
		},
		Status: reply.StatusCode, Header: reply.Header, Body: io.NopCloser(bytes.NewReader(text)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}), "%s %s by %q -> %d %s", method, target, user, reply.StatusCode, text)
	return reply.StatusCode, text
}

// TestRESTAnswersAsDescribed: every operation, by everybody, at a real gateway
// with a session and an engine of alice. Who gets what follows from the role
// that the description names.
func TestRESTAnswersAsDescribed(t *testing.T) {
	a := newAPI(t)
	code, text := a.call("alice", http.MethodPost, "/api/v1/sessions", "/api/v1/sessions", `{"configs": {"spark.driver.memory": "600m"}}`)
	require.Equal(t, http.StatusOK, code, string(text))
	var session struct{ Identifier, Remote string }
	require.NoError(t, json.Unmarshal(text, &session))
	require.NotContains(t, session.Remote, tokenOf("alice"))
	refID := a.g.OnlyEngine().RefID

	for path, item := range a.doc.Paths.Map() {
		target := strings.NewReplacer("{user}", "eve", "{id}", session.Identifier, "{refId}", refID).Replace(path)
		for method, op := range item.Operations() {
			a.byEverybody(method, path, target, op.Extensions["x-required-role"].(string))
		}
	}
	a.changes(session.Identifier, refID)
}

// byEverybody calls as each kind of user. What is allowed and changes something
// is left to changes.
func (a *api) byEverybody(method, path, target, role string) {
	refused := map[string]map[string]int{
		"public": {}, "user": {"": 401}, "owner": {"": 401, "bob": 404}, "admin": {"": 401, "alice": 403, "bob": 403},
		"operator": {"": 401, "alice": 403, "bob": 403},
		"engine":   {"": 401, "alice": 401, "bob": 401, "root": 401},
	}
	for _, user := range []string{"", "alice", "bob", "root"} {
		want, no := refused[role][user]
		if !no && method != http.MethodGet {
			continue
		}
		if !no {
			want = http.StatusOK
		}
		if path == "/ca.pem" {
			want = http.StatusNotFound // there is no TLS here
		}
		code, text := a.call(user, method, path, target, "")
		require.Equal(a.t, want, code, "%s %s by %q: %s", method, target, user, text)
	}
}

// changes are the calls that end something, in an order in which they work, and
// the limit of sessions.
func (a *api) changes(session, refID string) {
	const sessions, engines = "/api/v1/sessions", "/api/v1/admin/engine"
	for _, step := range []struct {
		user, method, path, target, body string
		want                             int
	}{
		{"bob", http.MethodDelete, engines, engines + "?refId=" + refID, "", 404},
		{"bob", http.MethodDelete, engines, engines + "?proxyUser=alice", "", 403},
		{"alice", http.MethodDelete, engines, engines + "?refid=" + refID, "", 400},
		{"alice", http.MethodPost, sessions, sessions, `{"configs": {"spark.jars": "/etc/passwd"}}`, 400},
		{"alice", http.MethodPost, sessions, sessions, `{"config": {}}`, 400},
		{"alice", http.MethodPost, sessions, sessions, `{"configs": {"spark.driver.memory": "600m"}}`, 200},
		{"alice", http.MethodPost, sessions, sessions, `{"configs": {"spark.driver.memory": "600m"}}`, 429},
		{"alice", http.MethodDelete, sessions + "/{id}", sessions + "/" + session, "", 200},
		{"alice", http.MethodDelete, sessions + "/{id}", sessions + "/" + session, "", 404},
		{"root", http.MethodDelete, engines, engines + "?proxyUser=alice&refId=" + refID, "", 200},
	} {
		code, text := a.call(step.user, step.method, step.path, step.target, step.body)
		require.Equal(a.t, step.want, code, "%s %s by %s: %s", step.method, step.target, step.user, text)
	}
	_, text, reply := a.send("root", http.MethodHead, "/api/v1/version", "")
	require.Equal(a.t, http.StatusOK, reply.StatusCode)
	require.Empty(a.t, text)
	_, _, reply = a.send("root", http.MethodOptions, sessions, "")
	require.Equal(a.t, http.StatusNoContent, reply.StatusCode)
	require.Equal(a.t, "GET, HEAD, POST, OPTIONS", reply.Header.Get("Allow"))
}

// TestRESTIsHardToHang: callers that send nothing, half a header or half a body
// do not keep others from their answers.
func TestRESTIsHardToHang(t *testing.T) {
	a := newAPI(t)
	const header = "POST /api/v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
	for name, sent := range map[string]string{
		"nothing": "", "half a header": header,
		"half a body": header + "Content-Type: application/json\r\nAuthorization: Bearer " + tokenOf("bob") + "\r\n\r\n" + `{"configs": {`,
	} {
		t.Run(name, func(t *testing.T) {
			var last net.Conn
			for range env.Count(200, 2000) {
				conn, err := net.Dial("tcp", a.g.REST)
				require.NoError(t, err)
				defer conn.Close()
				_, err = io.WriteString(conn, sent)
				require.NoError(t, err)
				last = conn
			}
			began := time.Now()
			code, _ := a.call("alice", http.MethodGet, "/api/v1/version", "/api/v1/version", "")
			require.Equal(t, http.StatusOK, code)
			require.Less(t, time.Since(began), 5*time.Second)
			require.NoError(t, last.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
			_, err := last.Read(make([]byte, 1))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded, "the gateway waits for the rest")
		})
	}
}
