// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// example fills the wildcards of a path.
func example(path string) string {
	return strings.NewReplacer("{id}", aliceSession, "{refId}", aliceEngine).Replace(path)
}

// TestOnlyThesePathsArePublic is the list to argue about in a review.
func TestOnlyThesePathsArePublic(t *testing.T) {
	var open []string
	for _, r := range routes() {
		require.Contains(t, []rule{public, user, owner, admin, engine}, r.rule, "%s declares no rule", r.pattern())
		if r.rule == public {
			open = append(open, r.pattern())
		}
	}
	require.Equal(t, []string{"GET /healthz", "GET /readyz", "GET /api/v1/ping"}, open)
}

func TestEveryRouteRefusesWithoutCredentials(t *testing.T) {
	for _, r := range routes() {
		if r.rule == public {
			continue
		}
		t.Run(r.pattern(), func(t *testing.T) {
			w := aWorld()
			reply := serve(t, options(w)).do("", r.method, example(r.path), "{}")
			require.Equal(t, http.StatusUnauthorized, reply.Code, reply.Body)
			require.Contains(t, reply.Header().Get("WWW-Authenticate"), "Bearer")
			message(t, reply)
			require.Equal(t, []string{"observed " + r.pattern() + " Unauthorized"}, w.log, "nothing else may have happened")
		})
	}
}

func TestAdminRoutesRefuseUsers(t *testing.T) {
	for _, r := range routes() {
		if r.rule != admin {
			continue
		}
		t.Run(r.pattern(), func(t *testing.T) {
			c := serve(t, options(aWorld()))
			reply := c.do("alice", r.method, example(r.path), "")
			require.Equal(t, http.StatusForbidden, reply.Code)
			require.Contains(t, message(t, reply), "alice")
			require.Equal(t, http.StatusOK, c.do("root", r.method, example(r.path), "").Code)
		})
	}
}

func TestOwnerRoutesHideWhatIsForeign(t *testing.T) {
	for _, r := range routes() {
		if r.rule != owner {
			continue
		}
		t.Run(r.pattern(), func(t *testing.T) {
			c := serve(t, options(aWorld()))
			foreign := c.do("bob", r.method, strings.ReplaceAll(r.path, "{id}", aliceSession), "")
			unknown := c.do("bob", r.method, strings.ReplaceAll(r.path, "{id}", newSessionID), "")
			require.Equal(t, http.StatusNotFound, foreign.Code)
			require.Equal(t, unknown.Code, foreign.Code)
			require.Equal(t, strings.ReplaceAll(message(t, unknown), newSessionID, aliceSession), message(t, foreign))
			require.Equal(t, unknown.Header(), foreign.Header())
			require.Equal(t, http.StatusOK, c.do("alice", r.method, example(r.path), "").Code)
			require.Equal(t, http.StatusOK, c.do("root", r.method, example(r.path), "").Code)
		})
	}
}

func TestEngineRoutesRefuseUsersAndWrongMACs(t *testing.T) {
	for _, r := range routes() {
		if r.rule != engine {
			continue
		}
		t.Run(r.pattern(), func(t *testing.T) {
			w := aWorld()
			c := serve(t, options(w))
			require.Equal(t, http.StatusUnauthorized, c.do("root", r.method, example(r.path), "{}").Code)
			wrong := c.do("", r.method, example(r.path), "{}", "Authorization", macScheme+"bad")
			require.Equal(t, http.StatusForbidden, wrong.Code)
			message(t, wrong)
			noID := c.do("", r.method, strings.ReplaceAll(r.path, "{refId}", "no-uuid"), "{}", "Authorization", macScheme+"good")
			require.Equal(t, http.StatusNotFound, noID.Code)
			require.False(t, slices.ContainsFunc(w.log, func(line string) bool { return strings.Contains(line, "register") }))
		})
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

func TestUndeclaredPathsAreNotFound(t *testing.T) {
	paths := []string{
		"/", "/api", "/api/v1", "/api/v1/", "/api/v2/ping", "/api/v1/ping/", "/api/v1/batches", "/api/v1/admin", "/ui", "/debug/pprof/",
		"/api/v1/sessions/a/b", "/api/v1/internal/engines", "/engine-ui/host:4040/", "/api/openapi.json",
	}
	c := serve(t, options(aWorld()))
	for _, path := range paths {
		reply := c.do("root", http.MethodGet, path, "")
		require.Equal(t, http.StatusNotFound, reply.Code, path)
		message(t, reply)
	}
}

func TestUndeclaredMethodsAreNotServed(t *testing.T) {
	served := map[string][]string{}
	for _, r := range routes() {
		served[r.path] = append(served[r.path], r.method)
		if r.method == http.MethodGet {
			served[r.path] = append(served[r.path], http.MethodHead)
		}
	}
	w := aWorld()
	c := serve(t, options(w))
	for path, methods := range served {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"} {
			if slices.Contains(methods, method) {
				continue
			}
			reply := c.do("root", method, example(path), "")
			// ServeMux does not tell a wrong method from an unknown path for CONNECT.
			require.Contains(t, []int{http.StatusMethodNotAllowed, http.StatusNotFound}, reply.Code, "%s %s", method, path)
			if reply.Code == http.StatusMethodNotAllowed {
				require.Contains(t, reply.Header().Get("Allow"), methods[0])
				require.Contains(t, message(t, reply), method)
			}
		}
	}
	// DELETE /sessions/count is one of the session "count", which nobody has.
	require.Empty(t, slices.DeleteFunc(w.log, func(line string) bool { return strings.HasPrefix(line, "observed ") }))
}
