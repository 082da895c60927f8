// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// example is a path that a pattern stands for: alice's session, alice's engine.
func example(path string) string {
	return strings.NewReplacer("{user}", "eve", "{id}", aliceSession, "{refId}", aliceEngine).Replace(path)
}

// aBody is a body that the call accepts.
func (d described) aBody() string {
	if d.role() == engine {
		return `{"path": "/p", "node": "n"}`
	}
	return ""
}

// aQuery are the parameters without which the call means nothing.
func (d described) aQuery() string {
	if d.pattern() == "DELETE /api/v1/tokens" {
		return "?user=alice"
	}
	return ""
}

// TestOnlyThesePathsArePublic is the list to argue about in a review.
func TestOnlyThesePathsArePublic(t *testing.T) {
	var open []string
	for _, d := range loadContract(t).calls {
		if d.role() == public {
			open = append(open, d.pattern())
		}
	}
	require.ElementsMatch(t, []string{"GET /healthz", "GET /readyz", "GET /api/v1/ping", "GET /api/v1/login", "GET /ca.pem"}, open)
}

// entitled marks callers whom a rule lets pass.
const entitled = 0

// TestWhoGetsWhat goes through every route and every kind of caller; what the
// rule of the description says is what must happen. The object is alice's.
func TestWhoGetsWhat(t *testing.T) {
	mac := []string{"Authorization", macScheme + "good"}
	callers := map[string]struct {
		user    string
		headers []string
	}{
		"nobody": {}, "a wrong scheme": {"", []string{"Authorization", "Basic YWxpY2U6"}},
		"alice": {user: "alice"}, "bob": {user: "bob"}, "admin": {user: "root"},
		"its engine": {headers: mac}, "another engine": {headers: []string{"Authorization", macScheme + "bad"}},
	}
	table := map[rule]map[string]int{
		public:   {},
		user:     {"nobody": 401, "a wrong scheme": 401, "its engine": 401, "another engine": 401},
		owner:    {"nobody": 401, "a wrong scheme": 401, "bob": 404, "its engine": 401, "another engine": 401},
		admin:    {"nobody": 401, "a wrong scheme": 401, "alice": 403, "bob": 403, "its engine": 401, "another engine": 401},
		operator: {"nobody": 401, "a wrong scheme": 401, "alice": 403, "bob": 403, "its engine": 401, "another engine": 401},
		engine:   {"nobody": 401, "a wrong scheme": 401, "alice": 401, "bob": 401, "admin": 401, "another engine": 403},
	}
	for _, d := range loadContract(t).calls {
		for name, caller := range callers {
			w := aWorld()
			reply := serve(t, options(w)).do(caller.user, d.method, example(d.path)+d.aQuery(), d.aBody(), caller.headers...)
			want := table[d.role()][name]
			if want == entitled {
				require.NotContains(t, []int{400, 401, 403}, reply.Code, "%s by %s: %s", d.pattern(), name, reply.Body)
				continue
			}
			require.Equal(t, want, reply.Code, "%s by %s: %s", d.pattern(), name, reply.Body)
			message(t, reply)
			require.Empty(t, w.done(), "%s by %s must change nothing", d.pattern(), name)
		}
	}
}

// done are the changes that were asked for.
func (w *world) done() []string {
	return slices.DeleteFunc(slices.Clone(w.log), func(line string) bool {
		return strings.HasPrefix(line, "observed ") || strings.HasPrefix(line, "verify ")
	})
}

// TestForeignObjectsLookUnknown: the same bytes, save the id, and the same
// headers.
func TestForeignObjectsLookUnknown(t *testing.T) {
	const unknownEngine = "eeeeeeee-0000-4000-8000-00000000ffff"
	tests := []struct {
		method, target, foreign, unknown string
		want                             int
	}{
		{"GET", "/api/v1/admin/engine?refId=", bobEngine, unknownEngine, 200},
		{"DELETE", "/api/v1/admin/engine?refId=", bobEngine, unknownEngine, 404},
		{"DELETE", "/api/v1/admin/engine?subdomain=etl&refId=", bobEngine, unknownEngine, 404},
		{"DELETE", "/api/v1/tokens/", bobSession, newSessionID, 404},
	}
	for _, d := range loadContract(t).calls {
		if d.role() == owner {
			tests = append(tests, struct {
				method, target, foreign, unknown string
				want                             int
			}{d.method, strings.TrimSuffix(d.path, "{id}"), bobSession, newSessionID, 404})
		}
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.target, func(t *testing.T) {
			w := aWorld()
			c := serve(t, options(w))
			foreign := c.do("alice", tt.method, tt.target+tt.foreign, "")
			unknown := c.do("alice", tt.method, tt.target+tt.unknown, "")
			require.Equal(t, tt.want, foreign.Code)
			require.Equal(t, unknown.Code, foreign.Code)
			require.Equal(t, strings.ReplaceAll(unknown.Body.String(), tt.unknown, tt.foreign), foreign.Body.String())
			require.Equal(t, unknown.Header(), foreign.Header())
			require.Empty(t, w.done())
		})
	}
}

// TestEnginesNeedARealID: what cannot be a reference id is not asked about.
func TestEnginesNeedARealID(t *testing.T) {
	w := aWorld()
	reply := serve(t, options(w)).do("", "PUT", "/api/v1/internal/engines/no-uuid", "{}", "Authorization", macScheme+"good")
	require.Equal(t, http.StatusNotFound, reply.Code)
	require.Equal(t, []string{"observed PUT /api/v1/internal/engines/{refId} Not Found"}, w.log)
}

// TestTheChallengeNamesTheScheme that the route wants.
func TestTheChallengeNamesTheScheme(t *testing.T) {
	for _, d := range loadContract(t).calls {
		if d.role() == public {
			continue
		}
		want := `Bearer realm="roundhouse"`
		if d.role() == engine {
			want = `Roundhouse-MAC realm="roundhouse"`
		}
		reply := serve(t, options(aWorld())).do("", d.method, example(d.path), "{}")
		require.Equal(t, want, reply.Header().Get("WWW-Authenticate"), d.pattern())
	}
}

// TestARuleThatNobodyKnowsAdmitsNobody is what a forgotten rule leads to.
func TestARuleThatNobodyKnowsAdmitsNobody(t *testing.T) {
	s, err := New(options(aWorld()))
	require.NoError(t, err)
	served := func(*Server, *call) error { t.Error("served"); return nil }
	c := client{t: t, h: s.mux([]route{{method: http.MethodGet, path: "/x", serve: served}})}
	require.Equal(t, http.StatusForbidden, c.do("root", http.MethodGet, "/x", "").Code)
}
