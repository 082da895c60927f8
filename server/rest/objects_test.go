// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
	"roundhouse/internal/errs"
)

// The fields of Kyuubi's objects; ours may have more.
var (
	kyuubiSessionData = []string{
		"identifier", "remoteId", "user", "ipAddr", "conf", "createTime", "duration", "idleTime", "exception", "sessionType",
		"kyuubiInstance", "engineId", "engineName", "engineUrl", "sessionName", "totalOperations",
	}
	kyuubiSessionEvent = []string{
		"sessionId", "clientVersion", "sessionType", "sessionName", "remoteSessionId", "engineId", "engineName", "engineUrl", "user",
		"clientIp", "serverIp", "conf", "eventTime", "openedTime", "startTime", "endTime", "totalOperations",
	}
	kyuubiEngine = []string{
		"version", "user", "engineType", "sharelevel", "subdomain", "instance", "namespace", "attributes",
	}
)

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal([]byte(text), &v), text)
	return v
}

func TestSessionList(t *testing.T) {
	c := serve(t, options(aWorld()))
	list := decode[[]map[string]any](t, c.do("alice", "GET", "/api/v1/sessions", "").Body.String())
	require.Len(t, list, 2, "bob's session is not alice's")
	require.Subset(t, slices.Collect(maps.Keys(list[0])), kyuubiSessionData)
	require.Equal(t, "one:15002", list[0]["kyuubiInstance"], "the gateway that opened it")
	require.Equal(t, aliceSession, list[0]["identifier"])
	require.Equal(t, "INTERACTIVE", list[0]["sessionType"])
	require.EqualValues(t, 1_700_000_000_000, list[0]["createTime"])
	require.EqualValues(t, 1000, list[0]["duration"])
	for _, unknown := range []string{"duration", "idleTime", "totalOperations"} {
		require.NotContains(t, list[1], unknown, "only another gateway knows")
	}
	require.JSONEq(t, `{"openSessionCount": 4}`, c.do("alice", "GET", "/api/v1/sessions/count", "").Body.String())
}

func TestAllSessions(t *testing.T) {
	c := serve(t, options(aWorld()))
	for query, want := range map[string]int{
		"": 4, "?users=bob": 2, "?users=bob,alice": 4, "?users=carol": 0, "?sessionType=INTERACTIVE": 4, "?sessionType=BATCH": 0,
	} {
		list := decode[[]map[string]any](t, c.do("root", "GET", "/api/v1/admin/sessions"+query, "").Body.String())
		require.Len(t, list, want, query)
	}
}

func TestOneSession(t *testing.T) {
	c := serve(t, options(aWorld()))
	event := decode[map[string]any](t, c.do("alice", "GET", "/api/v1/sessions/"+aliceSession, "").Body.String())
	require.Subset(t, slices.Collect(maps.Keys(event)), kyuubiSessionEvent)
	require.Equal(t, "report", event["sessionName"])
	require.Equal(t, "local-17", event["engineId"])
	require.Equal(t, aliceEngine, event["engineRefId"])
}

// TestSessionThatAnotherGatewayMayHave is not said to be none.
func TestSessionThatAnotherGatewayMayHave(t *testing.T) {
	w := aWorld()
	w.getErr = errs.New(errs.StoreAway, "Who knows.")
	c := serve(t, options(w))
	for _, method := range []string{"GET", "DELETE"} {
		reply := c.do("alice", method, "/api/v1/sessions/"+newSessionID, "")
		require.Equal(t, http.StatusServiceUnavailable, reply.Code)
		require.Equal(t, "[GATEWAY.STORE_UNAVAILABLE] Who knows.", message(t, reply))
		require.Equal(t, http.StatusOK, c.do("root", method, "/api/v1/sessions/"+aliceSession, "").Code, "it is known here")
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	c := serve(t, options(aWorld()))
	for _, path := range []string{"/api/v1/sessions", "/api/v1/sessions/" + aliceSession, "/api/v1/admin/sessions"} {
		text := c.do("root", "GET", path, "").Body.String() + c.do("alice", "GET", path, "").Body.String()
		require.NotContains(t, text, "hunter2", path)
		require.NotContains(t, text, "token of love", path)
		require.Contains(t, text, redacted, path)
		require.Contains(t, text, "2g", path)
	}
}

func TestOpenSession(t *testing.T) {
	w := aWorld()
	reply := serve(t, options(w)).do("alice", "POST", "/api/v1/sessions", `{"configs": {"kyuubi.session.name": "nightly"}}`)
	require.JSONEq(t, `{
		"identifier": "11111111-1111-4111-8111-111111111111",
		"kyuubiInstance": "127.0.0.1:15002",
		"remote": "sc://localhost:15002/;session_id=11111111-1111-4111-8111-111111111111",
		"hint": "The line remote holds no credentials: add ;token=<your token> to it."
	}`, reply.Body.String())
	require.Contains(t, w.log, "open alice nightly")
}

func TestOpenSessionFails(t *testing.T) {
	w := aWorld()
	w.openErr = errs.New(errs.EngineStarting, "Engine e of alice is still starting.")
	reply := serve(t, options(w)).do("alice", "POST", "/api/v1/sessions", "")
	require.Equal(t, http.StatusServiceUnavailable, reply.Code)
	require.Equal(t, "1", reply.Header().Get("Retry-After"))
	require.Equal(t, "[GATEWAY.ENGINE_STARTING] Engine e of alice is still starting.", message(t, reply))
}

func TestRemoteLine(t *testing.T) {
	nobody := auth.Identity{User: "a&b", Method: auth.MethodNone}
	require.Equal(t, "sc://h:1/;use_ssl=true;session_id=x", Remote{Address: "h:1", TLS: true}.Line("x", auth.Identity{User: "alice", Method: "TOKEN"}))
	require.Equal(t, "sc://h:1/;user_id=a%26b;session_id=x", Remote{Address: "h:1"}.Line("x", nobody))
	require.Equal(t, "sc://127.0.0.1:1/;user_id=a%26b;session_id=x", Remote{Address: "127.0.0.1:1"}.Line("x", nobody))
	trust := Remote{Address: "h:1", TLS: true, Hint: "Trust it."}
	require.Equal(t, "Trust it.", trust.LineHint(nobody))
	require.Equal(t, "The line remote holds no credentials: add ;token=<your token> to it. Trust it.", trust.LineHint(auth.Identity{User: "alice", Method: "LDAP"}))
}

func TestCloseSession(t *testing.T) {
	w := aWorld()
	reply := serve(t, options(w)).do("alice", "DELETE", "/api/v1/sessions/"+aliceSession, "")
	require.Equal(t, http.StatusOK, reply.Code)
	require.Empty(t, reply.Body.String())
	require.Contains(t, w.log, "close alice "+aliceSession+" User alice closed it over REST.")
}

// TestEndSession: clients choose session ids, so two users may have one alike.
func TestEndSession(t *testing.T) {
	w := aWorld()
	c := serve(t, options(w))
	require.Equal(t, http.StatusOK, c.do("root", "DELETE", "/api/v1/admin/sessions/"+aliceSession, "").Code)
	require.Contains(t, w.log, "close alice "+aliceSession+" Administrator root ended it over REST.")

	ambiguous := c.do("root", "DELETE", "/api/v1/admin/sessions/"+sharedID, "")
	require.Equal(t, http.StatusConflict, ambiguous.Code)
	require.Contains(t, message(t, ambiguous), "users=<name>")
	require.Equal(t, http.StatusOK, c.do("root", "DELETE", "/api/v1/admin/sessions/"+sharedID+"?users=bob", "").Code)
	require.Contains(t, w.log, "close bob "+sharedID+" Administrator root ended it over REST.")
	require.Equal(t, http.StatusNotFound, c.do("root", "DELETE", "/api/v1/admin/sessions/"+newSessionID, "").Code)
}

func TestEngineList(t *testing.T) {
	tests := []struct {
		user, query string
		want        []string
	}{
		{"alice", "", []string{aliceEngine, namedEngine}},
		{"alice", "?subdomain=etl", []string{namedEngine}},
		{"alice", "?subdomain=ETL", []string{namedEngine}},
		{"alice", "?type=spark_connect&sharelevel=user", []string{aliceEngine, namedEngine}},
		{"alice", "?type=SPARK_SQL", nil},
		{"alice", "?sharelevel=CONNECTION", nil},
		{"alice", "?proxyUser=alice", []string{aliceEngine, namedEngine}},
		{"alice", "?refId=" + bobEngine, nil},
		{"root", "", nil},
		{"root", "?proxyUser=bob", []string{bobEngine}},
		{"root", "?hive.server2.proxy.user=bob", []string{bobEngine}},
		{"root", "?refId=" + bobEngine, []string{bobEngine}},
		{"root", "?all=true", []string{aliceEngine, bobEngine, namedEngine}},
	}
	for _, tt := range tests {
		t.Run(tt.user+tt.query, func(t *testing.T) {
			reply := serve(t, options(aWorld())).do(tt.user, "GET", "/api/v1/admin/engine"+tt.query, "")
			require.Equal(t, http.StatusOK, reply.Code, reply.Body)
			var ids []string
			for _, e := range decode[[]map[string]any](t, reply.Body.String()) {
				ids = append(ids, e["refId"].(string))
			}
			require.Equal(t, tt.want, ids)
		})
	}
}

func TestEngineShape(t *testing.T) {
	c := serve(t, options(aWorld()))
	const target = "/api/v1/admin/engine?subdomain=default&proxyUser=alice"
	own := decode[[]map[string]any](t, c.do("alice", "GET", target, "").Body.String())[0]
	require.Subset(t, slices.Collect(maps.Keys(own)), kyuubiEngine)
	require.Equal(t, "127.0.0.1:41123", own["instance"])
	require.Equal(t, "/kyuubi_1_USER_SPARK_CONNECT/alice/default", own["namespace"])
	require.Equal(t, map[string]any{"kyuubi.engine.id": "local-17"}, own["attributes"], "the signature is not shown")
	require.NotContains(t, own, "log")
	full := decode[[]map[string]any](t, c.do("root", "GET", target, "").Body.String())[0]
	require.Equal(t, "/l/engine.log", full["log"])
	require.EqualValues(t, 4711, full["pid"])
}

func TestStopEngines(t *testing.T) {
	tests := []struct {
		user, query string
		status      int
		want        []string // the stops
	}{
		{"alice", "", 200, []string{"stop " + aliceEngine + " User alice stopped it over REST."}},
		{"alice", "?subdomain=etl&kill=true", 200, []string{"stop " + namedEngine + " KILL User alice killed it over REST."}},
		{"alice", "?refId=" + namedEngine, 200, []string{"stop " + namedEngine + " User alice stopped it over REST."}},
		{"alice", "?refId=" + bobEngine, 404, nil},
		{"alice", "?proxyUser=bob", 403, nil},
		{"alice", "?all=true", 403, nil},
		{"alice", "?subdomain=none", 404, nil},
		{"alice", "?kill=maybe", 400, nil},
		{"root", "?all=true", 400, nil},
		{"root", "", 404, nil},
		{"root", "?refId=" + bobEngine, 200, []string{"stop " + bobEngine + " User root stopped it over REST."}},
		{"root", "?proxyUser=bob&kill=true", 200, []string{"stop " + bobEngine + " KILL User root killed it over REST."}},
	}
	for _, tt := range tests {
		t.Run(tt.user+tt.query, func(t *testing.T) {
			w := aWorld()
			reply := serve(t, options(w)).do(tt.user, "DELETE", "/api/v1/admin/engine"+tt.query, "")
			require.Equal(t, tt.status, reply.Code, reply.Body)
			var stops []string
			for _, line := range w.log {
				if strings.HasPrefix(line, "stop ") {
					stops = append(stops, line)
				}
			}
			require.Equal(t, tt.want, stops)
		})
	}
}

func TestRegistration(t *testing.T) {
	const target = "/api/v1/internal/engines/" + aliceEngine
	const body = `{"path":"/p/alice/default","node":"serverUri=x","timeMs":5}`
	w := aWorld()
	reply := serve(t, options(w)).do("", "PUT", target, body, "Authorization", macScheme+"good")
	require.JSONEq(t, `{"warmUp": true, "heartbeatMs": 5000}`, reply.Body.String())
	require.Equal(t, []string{
		"verify " + aliceEngine + " PUT " + target + " " + body,
		"register " + aliceEngine + " /p/alice/default serverUri=x",
		"observed PUT /api/v1/internal/engines/{refId} OK",
	}, w.log)
	empty := serve(t, options(w)).do("", "PUT", target, "{}", "Authorization", macScheme+"good")
	require.Equal(t, http.StatusBadRequest, empty.Code)
}

// TestRegistrationAnswers are the statuses that an engine acts on.
func TestRegistrationAnswers(t *testing.T) {
	const target = "/api/v1/internal/engines/" + aliceEngine
	for want, err := range map[int]error{
		http.StatusOK:                  nil,
		http.StatusForbidden:           errs.New(errs.PermissionDenied, "The path is another one."),
		http.StatusGone:                ErrEngineGone,
		http.StatusConflict:            errs.New(errs.Conflict, "A session was just routed there."),
		http.StatusInternalServerError: http.ErrHandlerTimeout,
	} {
		w := aWorld()
		w.regErr = err
		c := serve(t, options(w))
		require.Equal(t, want, c.do("", "PUT", target, `{"path":"/p","node":"n"}`, "Authorization", macScheme+"good").Code)
		require.Equal(t, want, c.do("", "DELETE", target, `{"path":"/p","reason":"idle","detail":"d"}`, "Authorization", macScheme+"good").Code)
		require.Contains(t, w.log, "deregister "+aliceEngine+" /p idle d")
	}
}
