// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"path"
	"time"

	"roundhouse/internal/errs"
)

// rule says who may call a route.
type rule string

const (
	// public routes need no credentials and tell nothing about users.
	public rule = "public"
	// user routes need an authenticated caller and act on what is the caller's.
	user rule = "user"
	// owner routes name a session by {id}: the caller's own, or an administrator
	// asks.
	owner rule = "owner"
	// operator routes need an administrator, or an operator of the rules file, who is
	// shown what concerns the users that the rules name.
	operator rule = "operator"
	// admin routes need an administrator.
	admin rule = "admin"
	// engine routes are called by engines, which prove it by a MAC.
	engine rule = "engine"
)

// slow is the time for calls that wait for a driver to start or to end.
const slow = 10 * time.Minute

// route is one row of the table.
type route struct {
	method string
	path   string
	rule   rule
	// query are the parameters, as in openapi.yaml.
	query []string
	// slow routes may take longer than other calls.
	slow  bool
	serve func(*Server, *call) error
}

// pattern is the route in the syntax of http.ServeMux; "none" for a path or
// method that is not served.
func (r route) pattern() string {
	if r.path == "" {
		return "none"
	}
	return r.method + " " + r.path
}

// routes is everything that the server serves. Tests compare it with
// openapi.yaml.
func routes() []route {
	const v1 = "/api/v1"
	engineQuery := []string{"type", "sharelevel", "subdomain", "proxyUser", "hive.server2.proxy.user", "refId", "all"}
	return []route{
		{method: http.MethodGet, path: "/healthz", rule: public, serve: (*Server).health},
		{method: http.MethodGet, path: "/readyz", rule: public, serve: (*Server).readiness},
		{method: http.MethodGet, path: "/metrics", rule: user, serve: (*Server).metrics},

		{method: http.MethodGet, path: "/ca.pem", rule: public, serve: (*Server).authority},
		{method: http.MethodGet, path: "/api/openapi.yaml", rule: user, serve: (*Server).describe},
		{method: http.MethodGet, path: v1 + "/ping", rule: public, serve: (*Server).ping},
		{method: http.MethodGet, path: v1 + "/version", rule: user, serve: (*Server).version},

		{method: http.MethodGet, path: v1 + "/sessions", rule: user, serve: (*Server).listSessions},
		{method: http.MethodPost, path: v1 + "/sessions", rule: user, slow: true, serve: (*Server).openSession},
		{method: http.MethodGet, path: v1 + "/sessions/count", rule: user, serve: (*Server).countSessions},
		{method: http.MethodGet, path: v1 + "/sessions/{id}", rule: owner, serve: (*Server).showSession},
		{method: http.MethodDelete, path: v1 + "/sessions/{id}", rule: owner, serve: (*Server).closeSession},

		{method: http.MethodGet, path: v1 + "/login", rule: public, serve: (*Server).login},
		{method: http.MethodGet, path: v1 + "/tokens", rule: user, query: []string{"user"}, serve: (*Server).listTokens},
		{method: http.MethodPost, path: v1 + "/tokens", rule: user, serve: (*Server).issueToken},
		{method: http.MethodDelete, path: v1 + "/tokens", rule: admin, query: []string{"user"}, serve: (*Server).revokeTokens},
		{method: http.MethodDelete, path: v1 + "/tokens/{id}", rule: user, serve: (*Server).revokeToken},

		{method: http.MethodGet, path: v1 + "/admin/sessions", rule: operator, query: []string{"users", "sessionType"}, serve: (*Server).listAllSessions},
		{method: http.MethodDelete, path: v1 + "/admin/sessions/{id}", rule: operator, query: []string{"users"}, serve: (*Server).endSession},
		{method: http.MethodGet, path: v1 + "/admin/users/disabled", rule: admin, serve: (*Server).listDisabled},
		{method: http.MethodPost, path: v1 + "/admin/users/{user}/disable", rule: admin, slow: true, serve: (*Server).disableUser},
		{method: http.MethodPost, path: v1 + "/admin/users/{user}/enable", rule: admin, serve: (*Server).enableUser},
		// As in Kyuubi these two are for everybody's own engines; only an
		// administrator may name another user.
		{method: http.MethodGet, path: v1 + "/admin/engine", rule: user, query: engineQuery, serve: (*Server).listEngines},
		{method: http.MethodDelete, path: v1 + "/admin/engine", rule: user, query: append(engineQuery, "kill"), slow: true, serve: (*Server).stopEngines},

		{method: http.MethodPost, path: v1 + "/admin/engines/refresh", rule: admin, query: []string{"user", "refId", "all", "dryRun", "force"}, slow: true, serve: (*Server).refreshEngines},
		{method: http.MethodGet, path: v1 + "/admin/server", rule: admin, serve: (*Server).listServers},

		{method: http.MethodPut, path: v1 + "/internal/engines/{refId}", rule: engine, serve: (*Server).registerEngine},
		{method: http.MethodDelete, path: v1 + "/internal/engines/{refId}", rule: engine, serve: (*Server).deregisterEngine},
	}
}

// mux serves the table; the routes share nothing but the guard.
func (s *Server) mux(table []route) http.Handler {
	mux := http.NewServeMux()
	for _, r := range table {
		mux.Handle(r.pattern(), s.guard(r))
	}
	return s.explainMissing(mux)
}

// explainMissing answers for what is not in the table: it authenticates first,
// as every route does, then says what is wrong. Paths that are not written
// plainly (//, ..) are not in the table; ServeMux would redirect from them.
func (s *Server) explainMissing(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refusal, pattern := mux.Handler(r)
		plain := path.Clean(r.URL.Path) == r.URL.Path
		if pattern != "" && plain {
			mux.ServeHTTP(w, r)
			return
		}
		probe := &statusProbe{header: http.Header{}}
		refusal.ServeHTTP(probe, r)
		allowed := ""
		if plain && probe.status == http.StatusMethodNotAllowed {
			allowed = probe.header.Get("Allow") + ", " + http.MethodOptions
		}
		s.guard(route{method: r.Method, rule: user, serve: refuse(allowed)}).ServeHTTP(w, r)
	})
}

// refuse answers for a path that is served with the methods allowed, or, when
// there are none, is not served at all.
func refuse(allowed string) func(*Server, *call) error {
	return func(_ *Server, c *call) error {
		if allowed == "" {
			return errs.New(errs.NotFound, "There is nothing at %s.", c.r.URL.Path)
		}
		c.w.Header().Set("Allow", allowed)
		if c.r.Method == http.MethodOptions {
			c.w.WriteHeader(http.StatusNoContent)
			return nil
		}
		return withStatus(http.StatusMethodNotAllowed, errs.New(errs.InvalidRequest,
			"%s is not served at %s, only %s.", c.r.Method, c.r.URL.Path, allowed))
	}
}

// statusProbe learns the status and headers of an answer without sending it.
type statusProbe struct {
	header http.Header
	status int
}

// Header, WriteHeader and Write make it an http.ResponseWriter.
func (p *statusProbe) Header() http.Header { return p.header }

// WriteHeader remembers the status.
func (p *statusProbe) WriteHeader(status int) { p.status = status }

// Write forgets the body.
func (p *statusProbe) Write(b []byte) (int, error) { return len(b), nil }
