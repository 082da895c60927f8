// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSharedEnginesBelongToNobody: neither the members of a group nor a user of the same
// name nor their operators see or stop an engine that others use, too.
func TestSharedEnginesBelongToNobody(t *testing.T) {
	const group, server = "7d9b7d0e-0000-4000-8000-000000000001", "7d9b7d0e-0000-4000-8000-000000000002"
	for name, tc := range map[string]struct {
		user, query string
		status      int
		want        []string
	}{
		"the user of that name":    {"alice", "?sharelevel=GROUP", 404, nil},
		"by its id":                {"alice", "?refId=" + group, 404, nil},
		"the gateway's user":       {"bob", "?sharelevel=SERVER", 404, nil},
		"an operator of alice":     {"otto", "?proxyUser=alice&sharelevel=GROUP", 404, nil},
		"an administrator":         {"root", "?proxyUser=alice&sharelevel=GROUP", 200, []string{group}},
		"without naming the group": {"root", "?sharelevel=GROUP", 404, nil},
		"that of the server":       {"root", "?sharelevel=server", 200, []string{server}},
		"by its id, by root":       {"root", "?refId=" + group, 200, []string{group}},
	} {
		t.Run(name, func(t *testing.T) {
			w := aWorld()
			w.engines = append(w.engines,
				EngineView{RefID: group, User: "alice", Type: "SPARK_CONNECT", ShareLevel: "GROUP", Subdomain: "default", Path: "/g", State: "running"},
				EngineView{RefID: server, User: "bob", Type: "SPARK_CONNECT", ShareLevel: "SERVER", Subdomain: "default", Path: "/s", State: "running"})
			c := serve(t, options(w))
			listed := c.do(tc.user, "GET", "/api/v1/admin/engine"+tc.query, "")
			require.Equal(t, http.StatusOK, listed.Code)
			require.Len(t, decode[[]map[string]any](t, listed.Body.String()), len(tc.want))
			require.Equal(t, tc.status, c.do(tc.user, "DELETE", "/api/v1/admin/engine"+tc.query, "").Code)
			var stopped []string
			for _, line := range w.log {
				if rest, ok := strings.CutPrefix(line, "stop "); ok {
					id, _, _ := strings.Cut(rest, " ")
					stopped = append(stopped, id)
				}
			}
			require.Equal(t, tc.want, stopped)
		})
	}
}
