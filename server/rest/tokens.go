// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"roundhouse/auth"
	"roundhouse/conf"
	"roundhouse/internal/errs"
)

// Tokens are the tokens that the gateway issues. Its errors are of classes of errs.
type Tokens interface {
	// Issue makes a token as the caller wishes and may; its text is told once.
	Issue(ctx context.Context, by auth.Identity, w TokenWish) (text string, v TokenView, err error)
	// List returns the tokens of a user, or of everybody for "", oldest first.
	List(user string) []TokenView
	// Revoke ends a token of the caller, for an administrator one of anybody.
	Revoke(ctx context.Context, by auth.Identity, id string) error
	// RevokeUser ends all tokens of a user, and those that the user made for
	// others, and says how many were good.
	RevokeUser(ctx context.Context, by auth.Identity, user string) (int, error)
}

// TokenWish is what a caller asks for; its zero value is a token for the caller.
type TokenWish struct {
	// User is whom the token is for; others than oneself are for administrators.
	User string
	// Groups are those of another User.
	Groups []string
	// Name makes it a token of a job.
	Name string
	// Scope are doors, as in auth; none means all of them.
	Scope []string
	// Lifetime is 0 for the default one.
	Lifetime time.Duration
}

// TokenView is a token as REST shows it, without the token. Unset times are zero.
type TokenView struct {
	ID, User, Name string
	Scope          []string
	// Method is how its user had come in.
	Method string
	// Expires moves while a session of the token is open, but not beyond Last.
	Created, Expires, Last, Revoked, Used time.Time
}

// Login tells programs how their people can come by a token.
type Login struct {
	// Methods are those of kyuubi.authentication.
	Methods []string `json:"methods"`
	// Issuer is where a login by device code begins (OpenID Connect Discovery), and
	// Client the client id there; both are empty where there is none.
	Issuer string `json:"issuer"`
	Client string `json:"clientId"`
}

func (s *Server) login(c *call) error {
	writeJSON(c.w, http.StatusOK, s.o.Login)
	return nil
}

// tokenRequest asks for a token.
type tokenRequest struct {
	User     string   `json:"user"`
	Groups   []string `json:"groups"`
	Name     string   `json:"name"`
	Scope    []string `json:"scope"`
	Lifetime string   `json:"lifetime"`
}

// tokenData is a token in a list.
type tokenData struct {
	ID         string   `json:"id"`
	User       string   `json:"user"`
	Name       string   `json:"name"`
	Scope      []string `json:"scope"`
	Method     string   `json:"method"`
	CreateTime int64    `json:"createTime"`
	ExpireTime int64    `json:"expireTime"`
	LastTime   int64    `json:"lastTime"`
	RevokeTime int64    `json:"revokeTime"`
	UseTime    int64    `json:"useTime"`
}

// tokenHandle is a new token.
type tokenHandle struct {
	tokenData
	Token  string `json:"token"`
	Remote string `json:"remote,omitempty"`
	Hint   string `json:"hint,omitempty"`
}

func (s *Server) issueToken(c *call) error {
	var in tokenRequest
	if err := c.readJSON(&in); err != nil {
		return err
	}
	wish := TokenWish{User: in.User, Groups: in.Groups, Name: in.Name, Scope: in.Scope}
	if in.Lifetime != "" {
		life, err := conf.ParseDuration(in.Lifetime)
		if err != nil {
			return errs.New(errs.InvalidRequest, "The lifetime of a token: %v.", err)
		}
		wish.Lifetime = life
	}
	text, v, err := s.o.Tokens.Issue(c.r.Context(), c.caller, wish)
	if err != nil {
		return err
	}
	out := tokenHandle{tokenData: dataOf(v), Token: text}
	if slices.Contains(v.Scope, auth.DoorConnect) {
		out.Remote, out.Hint = s.o.Remote.TokenLine(text), s.o.Remote.Hint
	}
	writeJSON(c.w, http.StatusOK, out)
	return nil
}

// listTokens shows the caller's tokens. An administrator may name another user;
// who runs the gateway has none, and sees those of everybody.
func (s *Server) listTokens(c *call) error {
	user, named := c.query.Get("user"), c.query.Has("user")
	switch {
	case named && user == "":
		return errs.New(errs.InvalidRequest, "The parameter user is empty.")
	case named && user != c.caller.User && !c.caller.Admin:
		return errs.New(errs.PermissionDenied, "Tokens of user %q are for that user and for administrators, and user %q is neither.", user, c.caller.User)
	case !named && !c.caller.Host:
		user = c.caller.User
	}
	list := []tokenData{}
	for _, v := range s.o.Tokens.List(user) {
		list = append(list, dataOf(v))
	}
	writeJSON(c.w, http.StatusOK, list)
	return nil
}

func (s *Server) revokeToken(c *call) error {
	if err := s.o.Tokens.Revoke(c.r.Context(), c.caller, c.r.PathValue("id")); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) revokeTokens(c *call) error {
	user := c.query.Get("user")
	if user == "" {
		return errs.New(errs.InvalidRequest, "Name the user whose tokens are to be revoked: DELETE %s?user=<name>.", c.r.URL.Path)
	}
	count, err := s.o.Tokens.RevokeUser(c.r.Context(), c.caller, user)
	if err != nil {
		return err
	}
	writeText(c.w, http.StatusOK, fmt.Sprintf("Tokens of user %s that were good and are revoked: %d.\n", user, count))
	return nil
}

func dataOf(v TokenView) tokenData {
	return tokenData{
		ID: v.ID, User: v.User, Name: v.Name, Scope: v.Scope, Method: v.Method, CreateTime: millis(v.Created), ExpireTime: millis(v.Expires),
		LastTime: millis(v.Last), RevokeTime: millis(v.Revoked), UseTime: millis(v.Used),
	}
}
