// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUndeclaredPathsAreNotFound(t *testing.T) {
	paths := []string{
		"/", "/api", "/api/v1", "/api/v1/", "/api/v2/ping", "/api/v1/ping/", "/api/v1//ping", "/api/v1/./ping", "/x/../healthz", "//healthz",
		"/api/v1/batches", "/api/v1/admin", "/ui", "/debug/pprof/", "/api/v1/sessions/a/b", "/api/v1/internal/engines",
		"/engine-ui/host:4040/", "/api/openapi.json", "/api/v1/sessions/%2e%2e%2fadmin%2fsessions", "/HEALTHZ",
	}
	w := aWorld()
	c := serve(t, options(w))
	for _, path := range paths {
		reply := c.do("root", http.MethodGet, path, "")
		require.Equal(t, http.StatusNotFound, reply.Code, path)
		message(t, reply)
		require.Equal(t, http.StatusUnauthorized, c.do("", http.MethodGet, path, "").Code, "authentication comes first at %s", path)
	}
	require.Empty(t, w.done())
}

// TestUndeclaredMethodsAreNotServed, and Allow lists those that are.
func TestUndeclaredMethodsAreNotServed(t *testing.T) {
	served := map[string][]string{}
	for _, d := range loadContract(t).calls {
		served[d.path] = append(served[d.path], d.method)
		if d.method == http.MethodGet {
			served[d.path] = append(served[d.path], http.MethodHead)
		}
	}
	w := aWorld()
	c := serve(t, options(w))
	for path, methods := range served {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} {
			// DELETE /sessions/count is one of the session "count", which nobody has.
			if slices.Contains(methods, method) || method+path == "DELETE/api/v1/sessions/count" {
				continue
			}
			reply := c.do("root", method, example(path), "")
			require.Equal(t, http.StatusMethodNotAllowed, reply.Code, "%s %s", method, path)
			require.Contains(t, message(t, reply), method)
			requireAllow(t, reply.Header(), path, methods)
			require.Equal(t, http.StatusUnauthorized, c.do("", method, example(path), "").Code)
		}
		asked := c.do("root", http.MethodOptions, example(path), "")
		require.Equal(t, http.StatusNoContent, asked.Code, path)
		requireAllow(t, asked.Header(), path, methods)
		require.Empty(t, asked.Header().Get("Access-Control-Allow-Origin"))
	}
	require.Empty(t, w.done())
}

func requireAllow(t *testing.T, h http.Header, path string, methods []string) {
	t.Helper()
	want := append(slices.Clone(methods), http.MethodOptions)
	if path == "/api/v1/sessions/count" {
		want = append(want, http.MethodDelete)
	}
	require.ElementsMatch(t, want, strings.Split(h.Get("Allow"), ", "), path)
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	for _, d := range loadContract(t).calls {
		if d.method != http.MethodGet {
			continue
		}
		c := serve(t, options(aWorld()))
		for _, user := range []string{"", "alice", "bob", "root"} {
			get, head := c.do(user, "GET", example(d.path), ""), c.do(user, "HEAD", example(d.path), "")
			require.Equal(t, get.Code, head.Code, "%s by %q", d.path, user)
			require.Equal(t, get.Header(), head.Header(), "%s by %q", d.path, user)
		}
	}
}
