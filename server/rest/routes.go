// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"time"
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
	// slow routes may take longer than other calls.
	slow  bool
	serve func(*Server, *call) error
}

// pattern is the route in the syntax of http.ServeMux.
func (r route) pattern() string { return r.method + " " + r.path }

// routes is everything that the server serves.
func routes() []route {
	const v1 = "/api/v1"
	return []route{
		{method: http.MethodGet, path: "/healthz", rule: public, serve: (*Server).health},
		{method: http.MethodGet, path: "/readyz", rule: public, serve: (*Server).readiness},
		{method: http.MethodGet, path: "/metrics", rule: user, serve: (*Server).metrics},

		{method: http.MethodGet, path: v1 + "/ping", rule: public, serve: (*Server).ping},
		{method: http.MethodGet, path: v1 + "/version", rule: user, serve: (*Server).version},

		{method: http.MethodGet, path: v1 + "/sessions", rule: user, serve: (*Server).listSessions},
		{method: http.MethodPost, path: v1 + "/sessions", rule: user, slow: true, serve: (*Server).openSession},
		{method: http.MethodGet, path: v1 + "/sessions/count", rule: user, serve: (*Server).countSessions},
		{method: http.MethodGet, path: v1 + "/sessions/{id}", rule: owner, serve: (*Server).showSession},
		{method: http.MethodDelete, path: v1 + "/sessions/{id}", rule: owner, serve: (*Server).closeSession},

		{method: http.MethodGet, path: v1 + "/admin/sessions", rule: admin, serve: (*Server).listAllSessions},
		{method: http.MethodDelete, path: v1 + "/admin/sessions/{id}", rule: admin, serve: (*Server).endSession},
		// As in Kyuubi these two are for everybody's own engines; only an
		// administrator may name another user.
		{method: http.MethodGet, path: v1 + "/admin/engine", rule: user, serve: (*Server).listEngines},
		{method: http.MethodDelete, path: v1 + "/admin/engine", rule: user, slow: true, serve: (*Server).stopEngines},

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

// explainMissing answers for what is not in the table, where ServeMux would do
// so in plain text.
func (s *Server) explainMissing(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refusal, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		probe := &statusProbe{header: w.Header()}
		refusal.ServeHTTP(probe, r)
		s.refuse(w, r, probe.status)
	})
}

// statusProbe learns the status and headers of an answer without sending it.
type statusProbe struct {
	header http.Header
	status int
}

func (p *statusProbe) Header() http.Header         { return p.header }
func (p *statusProbe) WriteHeader(status int)      { p.status = status }
func (p *statusProbe) Write(b []byte) (int, error) { return len(b), nil }
