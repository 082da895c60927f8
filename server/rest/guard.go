// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"roundhouse/auth"
	"roundhouse/internal/errs"
)

// macScheme is the scheme of the Authorization header of engines.
const macScheme = "Roundhouse-MAC "

// call is one call that its rule let pass.
type call struct {
	w http.ResponseWriter
	r *http.Request
	// body is read completely, for every rule.
	body []byte
	// query are the parameters of the URL, each at most once.
	query url.Values
	// caller is set for the rules user, owner, operator and admin.
	caller auth.Identity
	// others says that the call ends what belongs to somebody else.
	others bool
	// session is set for the rule owner.
	session SessionView
	// refID is set for the rule engine.
	refID string
}

// guard makes a handler of a route: it limits, authenticates, authorises, then
// serves.
func (s *Server) guard(r route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		started := time.Now()
		timeout := writeTimeout
		if r.slow {
			timeout = slow
			// Where the writer has no deadlines (a test's recorder) none needs moving.
			_ = http.NewResponseController(w).SetWriteDeadline(started.Add(slow + headerTimeout))
		}
		ctx, cancel := context.WithTimeout(req.Context(), timeout)
		defer cancel()
		out := &statusWriter{ResponseWriter: w}
		c := &call{w: out, r: req.WithContext(ctx)}
		err := s.attempt(r, c)
		if err != nil {
			s.reply(out, err)
		}
		s.record(r, c, out.code(), err, time.Since(started))
		s.writeDown(r, c, err)
	})
}

// attempt serves one call; a panic becomes an error.
func (s *Server) attempt(r route, c *call) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in %s: %v\n%s", r.pattern(), p, debug.Stack())
		}
	}()
	if err := s.admit(r.rule, c); err != nil {
		return err
	}
	if err := c.readQuery(r); err != nil {
		return err
	}
	return r.serve(s, c)
}

// admit decides by the rule of a route. An unknown rule admits nobody.
func (s *Server) admit(by rule, c *call) error {
	switch by {
	case public:
		return nil
	case user:
		return s.admitUser(c)
	case owner:
		return s.admitOwner(c)
	case operator:
		return s.admitOperator(c)
	case admin:
		return s.admitAdmin(c)
	case engine:
		return s.admitEngine(c)
	default:
		return errs.New(errs.PermissionDenied, "This route declares no rule that admits anybody.")
	}
}

func (s *Server) admitUser(c *call) error {
	id, err := s.o.Authenticator.Authenticate(c.r.Context(), authRequest(c.r))
	if err != nil {
		return err
	}
	if id.Lapsed {
		return auth.Expired(id)
	}
	if id.Reply != "" {
		c.w.Header().Set(challenge, id.Reply)
	}
	if id.Method == auth.MethodNone {
		if err := s.checkHost(c.r.Host); err != nil {
			return err
		}
		id, err = claimed(id, c.r)
		if err != nil {
			return err
		}
	}
	id.Address = remoteHost(c.r)
	c.caller = id
	admitted(c.r)
	if err := c.readBody(maxBody); err != nil {
		return err
	}
	if id.Host { // who runs the gateway cannot be locked out
		return nil
	}
	return s.o.Denied(id.User, id.Address) // who was disabled while the body came, too
}

// claimed is the identity of a caller whom nobody verifies: the user name of
// HTTP Basic, or anonymous.
func claimed(id auth.Identity, r *http.Request) (auth.Identity, error) {
	name, _, _ := r.BasicAuth()
	return auth.ClaimUser(id, name)
}

func (s *Server) admitAdmin(c *call) error {
	if err := s.admitUser(c); err != nil {
		return err
	}
	if !c.caller.Admin {
		return errs.New(errs.PermissionDenied, "%s %s is for administrators and user %q is none.",
			c.r.Method, c.r.URL.Path, c.caller.User)
	}
	return nil
}

func (s *Server) admitOwner(c *call) error {
	if err := s.admitUser(c); err != nil {
		return err
	}
	session, err := s.findSession(c, c.r.PathValue("id"))
	c.session = session
	return err
}

// admitEngine checks the MAC over the body. Ids that no engine can have look
// like an unknown path.
func (s *Server) admitEngine(c *call) error {
	c.refID = c.r.PathValue("refId")
	if err := uuid.Validate(c.refID); err != nil {
		return errs.New(errs.NotFound, "There is nothing at %s.", c.r.URL.Path)
	}
	mac, ok := strings.CutPrefix(c.r.Header.Get("Authorization"), macScheme)
	if !ok {
		c.w.Header().Set(challenge, macScheme+realm)
		return errs.New(errs.Unauthenticated, "engine %s sent no MAC", c.refID)
	}
	if err := c.readBody(maxEngineBody); err != nil {
		return err
	}
	if !s.o.Registrar.VerifyCall(c.refID, c.r.Method, c.r.URL.Path, c.body, mac) {
		return errs.New(errs.PermissionDenied, "The MAC of this call is not one of engine %s.", c.refID)
	}
	admitted(c.r)
	return nil
}

// readQuery refuses parameters that the route does not have and those given
// twice: a typing error must not widen what a call does. Public routes, and
// paths that are not served, take any.
func (c *call) readQuery(r route) error {
	if r.rule == public || r.path == "" {
		return nil
	}
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return errs.New(errs.InvalidRequest, "The parameters of the URL cannot be read: %v.", err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !slices.Contains(r.query, name) {
			return errs.New(errs.InvalidRequest, "%s has no parameter %q%s.", r.pattern(), name, onlyThese(r.query))
		}
		if n := len(query[name]); n > 1 {
			return errs.New(errs.InvalidRequest, "The parameter %s is given %d times.", name, n)
		}
	}
	c.query = query
	return nil
}

func onlyThese(names []string) string {
	if len(names) == 0 {
		return ", nor any other"
	}
	return ", only " + strings.Join(names, ", ")
}

// checkHost refuses names that a hostile page could have pointed at this
// machine (DNS rebinding): where nobody is authenticated a browser would carry
// the call for the page.
func (s *Server) checkHost(hostPort string) error {
	host := hostPort
	if h, _, err := net.SplitHostPort(hostPort); err == nil {
		host = h
	}
	if host == "localhost" || slices.Contains(s.o.Hosts, host) {
		return nil
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return nil
	}
	return withStatus(http.StatusMisdirectedRequest, errs.New(errs.InvalidRequest,
		"This gateway is not known as %q. Use its IP address, or name it in kyuubi.frontend.advertised.host.", host))
}

// authRequest is what authenticators look at.
func authRequest(r *http.Request) auth.Request {
	header := make(map[string][]string, len(r.Header))
	for name, values := range r.Header {
		header[strings.ToLower(name)] = values
	}
	request := auth.Request{Door: auth.DoorREST, Header: header, Secure: r.TLS != nil}
	if conn, ok := r.Context().Value(connKey{}).(*eitherConn); ok {
		request.Certificate = conn.certificate()
	}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		request.Peer = net.TCPAddrFromAddrPort(peer)
	}
	return request
}
