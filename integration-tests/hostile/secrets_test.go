// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
	"roundhouse/internal/secret"
)

// TestRealSpark: what is shown on fake engines elsewhere in this package, once
// on real ones.
func TestRealSpark(t *testing.T) {
	h := startReal(t)
	t.Run("keys are nowhere", func(t *testing.T) { keysAreNowhere(t, h) })
	t.Run("foreign ids reach nothing", func(t *testing.T) { foreignIDsOnSpark(t, h) })
}

// keysAreNowhere looks for the keys of an engine, the cluster secret and the
// clients' tokens everywhere, while foreachBatch runs: Spark hands its worker
// the token of the Connect port.
func keysAreNowhere(t *testing.T, h *house) {
	remote := strings.Replace(h.Remote("token="+aliceToken), "127.0.0.1", "localhost", 1) // elsewhere PySpark wants TLS
	dir := h.t.TempDir()                                                                  // outlives the engine, which writes to it
	client := env.StartClient(t, "4.3", "secrets_probe.py", "--remote", remote, "--dir", dir)
	client.Next("running", 5*time.Minute)
	engine := h.Engines()[0]
	secrets := h.secrets(t, engine.RefID)
	h.checkKeys(t, engine, secrets)
	s := &env.Search{Secrets: secrets, Marker: engine.RefID}
	for range lookCount {
		seen := client.Next("seen", time.Minute)
		s.Look("the client, "+fmt.Sprint(seen["name"]), []byte(fmt.Sprint(seen["text"])))
	}
	client.Next("looked", time.Minute)
	h.searchProcesses(s)
	h.searchFiles(s)
	for path, code := range s.REST(t, "root", h.Sessions()[0].Identifier, func(path string) (int, []byte) { return h.Call(http.MethodGet, path, "") }) {
		require.True(t, code == http.StatusOK || path == "/ca.pem", "GET %s: %d", path, code) // without TLS there is none
	}
	h.searchReplies(s, engine)
	h.searchPages(s, engine)
	client.Say("enough")
	require.Equal(t, true, client.Next("stopped", time.Minute)["active"], "foreachBatch ran all the time")
	h.searchFiles(s) // what its end has written
	t.Logf("%d places searched for %d secrets, %d of them name the engine", s.Places, len(secrets), len(s.Marked))
	require.Empty(t, s.Found)
	require.Greater(t, len(s.Marked), 10, "the search finds what is there")
}

// lookCount is how many places secrets_probe.py looks at.
const lookCount = 12

// secrets are what must be nowhere, by name.
func (h *house) secrets(t *testing.T, refID string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(h.Home, "data", "cluster.secret"))
	require.NoError(t, err)
	cluster, err := hex.DecodeString(strings.TrimSpace(string(raw)))
	require.NoError(t, err)
	all := map[string]string{
		"cluster secret": hex.EncodeToString(cluster), "cluster secret, binary": string(cluster),
		"alice's token": aliceToken, "bob's token": bobToken, "root's token": rootToken,
	}
	for _, label := range []string{secret.LabelRPC, secret.LabelRegister, secret.LabelControl} {
		all[label+" key"] = secret.Derive(cluster, label, refID)
	}
	return all
}

// checkKeys proves that the keys looked for are the ones in use: the engine's
// own ports take them, and nothing else.
func (h *house) checkKeys(t *testing.T, e env.Engine, secrets map[string]string) {
	t.Helper()
	control, connect := e.Attributes["control"], "127.0.0.1:"+e.Attributes["sparkConnectPort"]
	require.Equal(t, http.StatusOK, httpStatus(t, control, secrets["control key"]))
	require.Equal(t, http.StatusUnauthorized, httpStatus(t, control, secrets["rpc key"]))
	require.Equal(t, codes.Internal, connectStatus(t, connect, secrets["rpc key"]))
	require.Equal(t, codes.Unauthenticated, connectStatus(t, connect, secrets["control key"]))
}

// httpStatus asks a control endpoint for its status.
func httpStatus(t *testing.T, address, key string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+address+"/v1/status", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+key)
	r, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	return r.StatusCode
}

// connectStatus asks for an operation of no session: Spark answers INTERNAL to
// those that it lets in.
func connectStatus(t *testing.T, address, key string) codes.Code {
	t.Helper()
	p := dialPerson(t, address, key)
	_, err := p.send(p.context(t.Context()), "ReattachExecute", [][]byte{
		join(text(1, uuid.NewString()), as("nobody"), targets()["ReattachExecute"].body(t, ids{operation: uuid.NewString()})),
	})
	return status.Code(err)
}

// withoutTheKnownKey takes the one key out of an environment that is known to be
// there: Spark itself hands the token of the Connect port to the Python workers of
// streaming queries in one variable (decision 0005). They are children of the
// driver and run as its user. A Spark that no longer does that fails this test,
// and the exception can go. Whatever else the variable holds is searched.
func (h *house) withoutTheKnownKey(s *env.Search, environ []byte) []byte {
	h.t.Helper()
	variables := bytes.Split(environ, []byte{0})
	at := slices.IndexFunc(variables, func(v []byte) bool { return bytes.HasPrefix(v, []byte("SPARK_CONNECT_LOCAL_URL=")) })
	require.GreaterOrEqual(h.t, at, 0, "Spark hands no address to its worker any more")
	rpc := []byte(s.Secrets["rpc key"])
	require.True(h.t, bytes.Contains(variables[at], rpc), "Spark hands no key to its worker any more: withoutTheKnownKey can go")
	variables[at] = bytes.Replace(variables[at], rpc, nil, 1)
	return bytes.Join(variables, []byte{0})
}

// searchProcesses looks at the command lines and environments of the gateway,
// the driver and its Python workers.
func (h *house) searchProcesses(s *env.Search) {
	h.t.Helper()
	python := 0
	all := s.Processes(h.t, h.PID(), func(line, environ []byte) []byte {
		if !bytes.Contains(line, []byte("pyspark.sql.connect.streaming.worker")) {
			return environ
		}
		python++
		return h.withoutTheKnownKey(s, environ)
	})
	require.GreaterOrEqual(h.t, all, 3, "gateway, driver, Python")
	require.Positive(h.t, python, "a foreachBatch worker runs")
}

// searchFiles looks at all files that the gateway or its engine made.
func (h *house) searchFiles(s *env.Search) {
	h.t.Helper()
	names := s.Files(h.t, append([]string{h.Home}, h.folders...)...)
	for _, name := range []string{"gateway.out", "engine.log", "discovery.db"} {
		require.True(h.t, names[name], "%s was searched", name)
	}
	require.False(h.t, names["engine.key"] || names["spark.properties"], "the files of the launch are deleted")
}

// searchReplies looks at the answers to one who opens a session by REST, and to
// the engine, which registers once more.
func (h *house) searchReplies(s *env.Search, e env.Engine) {
	h.t.Helper()
	body := h.send(http.MethodPost, "/api/v1/sessions", "Bearer "+aliceToken, "{}")
	s.Look("POST /api/v1/sessions", body)
	var opened struct{ Identifier string }
	require.NoError(h.t, json.Unmarshal(body, &opened), string(body))
	body = h.send(http.MethodDelete, "/api/v1/sessions/"+opened.Identifier, "Bearer "+aliceToken, "")
	s.Look("DELETE of that session", body)

	key, control, at := s.Secrets["register key"], e.Attributes["control"], "/api/v1/internal/engines/"+e.RefID
	mac := secret.MAC(key, "roundhouse-registration-v1", e.Namespace, e.Instance, control, "", e.RefID)
	node := fmt.Sprintf("serverUri=%s;version=1;control=%s;mac=%s;refId=%s;sequence=0000000000", e.Instance, control, mac, e.RefID)
	again, err := json.Marshal(map[string]any{"path": e.Namespace, "node": node, "timeMs": time.Now().UnixMilli()})
	require.NoError(h.t, err)
	s.Look("PUT "+at, h.send(http.MethodPut, at, "Roundhouse-MAC "+secret.MAC(key, http.MethodPut, at, string(again)), string(again)))
}

// send makes a REST call that must succeed.
func (h *house) send(method, path, authorization, body string) []byte {
	h.t.Helper()
	req, err := http.NewRequest(method, "http://"+h.REST+path, strings.NewReader(body))
	require.NoError(h.t, err)
	req.Header.Set("Authorization", authorization)
	req.Header.Set("Content-Type", "application/json")
	r, err := http.DefaultClient.Do(req)
	require.NoError(h.t, err)
	reply, err := io.ReadAll(r.Body)
	require.NoError(h.t, errors.Join(err, r.Body.Close()))
	require.Equal(h.t, http.StatusOK, r.StatusCode, "%s %s: %s", method, path, reply)
	return reply
}

// searchPages looks at Spark's own web pages.
func (h *house) searchPages(s *env.Search, e env.Engine) {
	h.t.Helper()
	url := e.Attributes["kyuubi.engine.url"] // host:port or a whole one
	port := url[strings.LastIndexByte(url, ':')+1:]
	for _, path := range []string{
		"/environment/", "/executors/", "/connect/", "/SQL/", "/jobs/", "/StreamingQuery/", "/metrics/json/", "/metrics/executors/prometheus/",
		"/api/v1/applications/" + e.Attributes["kyuubi.engine.id"] + "/environment",
	} {
		r, err := http.Get("http://127.0.0.1:" + port + path)
		require.NoError(h.t, err)
		body, err := io.ReadAll(r.Body)
		require.NoError(h.t, errors.Join(err, r.Body.Close()))
		require.Equal(h.t, http.StatusOK, r.StatusCode, path)
		s.Look("web page "+path, body)
	}
}

// foreignIDsOnSpark is TestForeignIDsReachNothing with real engines.
func foreignIDsOnSpark(t *testing.T, h *house) {
	alice, bob, root := h.person("alice", aliceToken), h.person("bob", bobToken), h.person("root", rootToken)
	bob.end(bob.open()) // his engine is there before the query runs
	const rows = 1200   // for 30 s
	running := alice.run(fmt.Sprintf("SELECT id, java_method('java.lang.Thread', 'sleep', 50L) FROM range(0, %d, 1, 2)", rows))
	tryEverything(t, bob, root, running)
	running.requireEnd(t, rows)
	require.NoError(t, h.quiet(alice, running.session))
	require.Equal(t, map[string]int{"alice": 1, "bob": 1}, runningUsers(h))
}
