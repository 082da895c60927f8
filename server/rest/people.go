// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"roundhouse/auth"
	"roundhouse/conf"
	"roundhouse/internal/errs"
)

// Action is what an operator may do to what belongs to others.
type Action string

// The actions.
const (
	See Action = "see"
	End Action = "end"
)

// Access decides about people whose name is known.
type Access interface {
	// Act is the identity of id acting for user over a connection from peer, or
	// an error of class PERMISSION_DENIED.
	Act(ctx context.Context, id auth.Identity, peer net.Addr, user string) (auth.Identity, error)
	// IsOperator says whether a caller may see anything of others.
	IsOperator(ctx context.Context, caller auth.Identity) bool
	// Operates says whether a caller may do this to what belongs to owner.
	Operates(ctx context.Context, caller auth.Identity, do Action, owner string) bool
}

// People are those who may not come in. Its sentences are for the caller.
type People interface {
	Disable(ctx context.Context, by auth.Identity, user, reason string) (string, error)
	Enable(ctx context.Context, by auth.Identity, user string) (string, error)
	List() []DisabledView
}

// DisabledView is a user who may not come in.
type DisabledView struct {
	User   string
	By     string
	Since  time.Time
	Reason string
}

// Record is a call to be written down: what administrators and operators do,
// and what a caller is refused.
type Record struct {
	Caller auth.Identity
	// Method is that of HTTP, Target the path with the parameters that were read.
	Method, Target string
	// Err is nil for a call that worked. Refused says that the caller may not make it.
	Err     error
	Refused bool
}

// may says whether the caller may do this to what belongs to owner.
func (s *Server) may(c *call, do Action, owner string) bool {
	return c.caller.User == owner || c.caller.Admin || s.o.Access != nil && s.o.Access.Operates(c.r.Context(), c.caller, do, owner)
}

// admitOperator admits administrators and operators; what they may see and end
// is judged by what it belongs to.
func (s *Server) admitOperator(c *call) error {
	if err := s.admitUser(c); err != nil {
		return err
	}
	if c.caller.Admin || s.o.Access != nil && s.o.Access.IsOperator(c.r.Context(), c.caller) {
		return nil
	}
	return errs.New(errs.PermissionDenied, "%s %s is for administrators and operators and user %q is neither.",
		c.r.Method, c.r.URL.Path, c.caller.User)
}

// actFor is the caller, or who it becomes by naming a proxy user among the
// options of a session, and the other options.
func (s *Server) actFor(c *call, options map[string]string) (auth.Identity, map[string]string, error) {
	var pairs []conf.Pair
	for k, v := range options {
		pairs = append(pairs, conf.Pair{Key: k, Value: v})
	}
	user, rest, err := conf.TakeProxyUser(pairs)
	if err != nil {
		return auth.Identity{}, nil, errs.Wrap(errs.OptionInvalid, err, "%v.", err)
	}
	others := make(map[string]string, len(rest))
	for _, p := range rest {
		others[p.Key] = p.Value
	}
	if user == "" || user == c.caller.User {
		return c.caller, others, nil
	}
	if s.o.Access == nil {
		return auth.Identity{}, nil, errs.New(errs.PermissionDenied, "Nobody can act for others at this gateway.")
	}
	acting, err := s.o.Access.Act(c.r.Context(), c.caller, authRequest(c.r).Peer, user)
	return acting, others, err
}

// disabledData is a user in the list.
type disabledData struct {
	User   string `json:"user"`
	By     string `json:"by"`
	Since  int64  `json:"since"`
	Reason string `json:"reason"`
}

// disableRequest may say why.
type disableRequest struct {
	Reason string `json:"reason"`
}

// sentence is an answer for people.
type sentence struct {
	Message string `json:"message"`
}

func (s *Server) listDisabled(c *call) error {
	list := []disabledData{}
	for _, v := range s.o.People.List() {
		list = append(list, disabledData{User: v.User, By: v.By, Since: millis(v.Since), Reason: v.Reason})
	}
	writeJSON(c.w, http.StatusOK, list)
	return nil
}

// disableUser refuses a user from now on and ends all there is of the user.
func (s *Server) disableUser(c *call) error {
	var in disableRequest
	if err := c.readJSON(&in); err != nil {
		return err
	}
	user := c.r.PathValue("user")
	if strings.EqualFold(user, c.caller.User) { // the list minds no case
		return errs.New(errs.InvalidRequest, "User %s would lock the own door. Another administrator can do it.", user)
	}
	text, err := s.o.People.Disable(c.r.Context(), c.caller, user, in.Reason)
	if err != nil {
		return err
	}
	writeJSON(c.w, http.StatusOK, sentence{text})
	return nil
}

func (s *Server) enableUser(c *call) error {
	text, err := s.o.People.Enable(c.r.Context(), c.caller, c.r.PathValue("user"))
	if err != nil {
		return err
	}
	writeJSON(c.w, http.StatusOK, sentence{text})
	return nil
}

// writeDown tells of a call that people want to know of later.
func (s *Server) writeDown(r route, c *call, err error) {
	if s.o.OnCall == nil || c.caller.User == "" {
		return
	}
	refused := errs.Is(err, errs.PermissionDenied) || errs.Is(err, errs.LimitExceeded)
	changes := c.r.Method != http.MethodGet && c.r.Method != http.MethodHead && c.r.Method != http.MethodOptions
	if !refused && !c.others && (!changes || r.rule != admin && r.rule != operator) {
		return
	}
	target := c.r.URL.EscapedPath()
	if len(c.query) > 0 {
		target += "?" + c.query.Encode()
	}
	s.o.OnCall(Record{Caller: c.caller, Method: c.r.Method, Target: target, Err: err, Refused: refused})
}
