// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/internal/errs"
)

func TestRefreshEngines(t *testing.T) {
	const unknownConfiguration = "eeeeeeee-0000-4000-8000-000000000004"
	tests := []struct {
		query  string
		status int
		named  []string // in the answer
		asked  bool     // whether they were asked to drain
	}{
		{"", 200, []string{aliceEngine, unknownConfiguration}, true},
		{"?dryRun=true", 200, []string{aliceEngine, unknownConfiguration}, false},
		{"?all=true", 200, []string{aliceEngine, namedEngine, unknownConfiguration}, true},
		{"?user=carol", 200, []string{unknownConfiguration}, true},
		{"?user=nobody", 200, nil, false},
		{"?refId=" + namedEngine, 200, nil, false},
		{"?all=true&refId=" + namedEngine, 200, []string{namedEngine}, true},
		{"?all=true&refId=" + bobEngine, 200, nil, false}, // it is starting
		{"?refId=" + newSessionID, 404, nil, false},
		{"?all=maybe", 400, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			w := aWorld()
			w.engines = append(w.engines, EngineView{RefID: unknownConfiguration, User: "carol", State: "running"})
			reply := serve(t, options(w)).do("root", "POST", "/api/v1/admin/engines/refresh"+tt.query, "")
			require.Equal(t, tt.status, reply.Code, reply.Body)
			if tt.status != http.StatusOK {
				return
			}
			var named []string
			for _, e := range decode[[]map[string]any](t, reply.Body.String()) {
				named = append(named, e["refId"].(string))
			}
			require.Equal(t, tt.named, named)
			asked := slices.ContainsFunc(w.log, func(line string) bool { return strings.HasPrefix(line, "retire ") })
			require.Equal(t, tt.asked, asked)
		})
	}
}

func TestRefreshSaysWhy(t *testing.T) {
	w := aWorld()
	c := serve(t, options(w))
	first := decode[[]map[string]any](t, c.do("root", "POST", "/api/v1/admin/engines/refresh?user=alice", "").Body.String())[0]
	require.Equal(t, map[string]any{
		"refId": aliceEngine, "user": "alice", "subdomain": "default", "sessions": 1.0, "reason": "The configuration has changed since it was launched.",
	}, first)
	require.Contains(t, w.log, "retire "+aliceEngine+" The configuration has changed since it was launched. User root asked for it over REST.")
	w.endErr = errs.New(errs.NotFound, "It has ended.")
	require.Equal(t, http.StatusOK, c.do("root", "POST", "/api/v1/admin/engines/refresh", "").Code)
	list := decode[[]map[string]any](t, c.do("root", "GET", "/api/v1/admin/engine?proxyUser=alice", "").Body.String())
	require.Equal(t, []any{"old", "m1", "current"}, []any{list[0]["configuration"], list[0]["place"], list[1]["configuration"]})
}

// TestRefreshTellsOfEach: a failure hides no other engine.
func TestRefreshTellsOfEach(t *testing.T) {
	w := aWorld()
	w.endErr, w.endure = errs.New(errs.EngineUnreachable, "It does not answer."), aliceEngine
	reply := serve(t, options(w)).do("root", "POST", "/api/v1/admin/engines/refresh?all=true", "")
	require.Equal(t, http.StatusOK, reply.Code)
	list := decode[[]map[string]any](t, reply.Body.String())
	require.Len(t, list, 2)
	require.Equal(t, []any{aliceEngine, "[GATEWAY.ENGINE_UNREACHABLE] It does not answer."}, []any{list[0]["refId"], list[0]["error"]})
	require.Equal(t, namedEngine, list[1]["refId"])
	require.NotContains(t, list[1], "error")
}

// TestNoRefreshWhileGatewaysDiffer: what one of them has just launched is old for the other.
func TestNoRefreshWhileGatewaysDiffer(t *testing.T) {
	for query, forced := range map[string]bool{"": false, "?all=true": false, "?dryRun=true": false, "?force=false": false, "?force=true": true} {
		w := aWorld()
		w.config = "c2"
		reply := serve(t, options(w)).do("root", "POST", "/api/v1/admin/engines/refresh"+query, "")
		if forced {
			require.Equal(t, http.StatusOK, reply.Code)
			require.NotEmpty(t, decode[[]map[string]any](t, reply.Body.String()))
			continue
		}
		require.Equal(t, http.StatusConflict, reply.Code, query)
		require.Contains(t, message(t, reply), "one:15002 has c1, [::1]:15002 has c2")
		require.Contains(t, message(t, reply), "--force")
		require.Empty(t, w.done())
	}
}

func TestListServers(t *testing.T) {
	list := decode[[]map[string]any](t, serve(t, options(aWorld())).do("root", "GET", "/api/v1/admin/server", "").Body.String())
	require.Equal(t, map[string]any{
		"nodeName": "g1", "namespace": "/kyuubi_spark_connect", "instance": "one:15002", "host": "one", "port": 15002.0,
		"attributes": map[string]any{"version": "0.2.0", "rest": "one:10099", "place": "m1", "config": "c1"}, "status": "Running", "startTime": 1_700_000_000_000.0,
	}, list[0])
	require.Equal(t, []any{"[::1]:15002", "::1", "Draining"}, []any{list[1]["nodeName"], list[1]["host"], list[1]["status"]})
}

// TestNoSessionIsOpenedAtAGatewayThatEnds over REST, which is the last door to close.
func TestNoSessionIsOpenedAtAGatewayThatEnds(t *testing.T) {
	w := aWorld()
	o := options(w)
	o.Ready = func() error { return errors.New("the gateway is shutting down") }
	reply := serve(t, o).do("alice", "POST", "/api/v1/sessions", "{}")
	require.Equal(t, http.StatusServiceUnavailable, reply.Code)
	require.Contains(t, message(t, reply), "GATEWAY.SHUTTING_DOWN")
	require.Empty(t, w.done())
}
