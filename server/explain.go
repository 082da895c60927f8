// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"

	"roundhouse/auth"
	"roundhouse/auth/rules"
	"roundhouse/conf"
	"roundhouse/internal/errs"
)

// Question is what Explain answers.
type Question struct {
	// User has proved who they are.
	User string
	// Groups are those of the user; none asks as the gateway would.
	Groups []string
	// From is an address, which may be empty.
	From string
	// Profiles, ShareLevel and ProxyUser are what the user asks for.
	Profiles   []string
	ShareLevel string
	ProxyUser  string
}

// options are what a client would send.
func (q Question) options() (pairs []conf.Pair) {
	if len(q.Profiles) > 0 {
		pairs = append(pairs, conf.Pair{Key: conf.SessionProfile.Key, Value: strings.Join(q.Profiles, ",")})
	}
	if q.ShareLevel != "" {
		pairs = append(pairs, conf.Pair{Key: conf.EngineShareLevel.Key, Value: q.ShareLevel})
	}
	return pairs
}

// Answer is what the gateway would decide.
type Answer struct {
	Allowed bool
	// Reasons are sentences for people, in the order of the checks.
	Reasons []string
}

func (a *Answer) note(allowed bool, format string, args ...any) bool {
	a.Allowed = allowed
	a.Reasons = append(a.Reasons, fmt.Sprintf(format, args...))
	return allowed
}

// Explain says what a gateway with these settings would decide about q, and what
// decides. It asks no gateway: whom an administrator disabled is not known to it.
func Explain(ctx context.Context, c *conf.Conf, q Question) (Answer, error) {
	a, err := newAccess(c, slog.New(slog.DiscardHandler))
	if err != nil {
		return Answer{}, err
	}
	from, err := netip.ParseAddr(q.From)
	if err != nil && q.From != "" {
		return Answer{}, fmt.Errorf("--from %q is no IP address", q.From)
	}
	if err := auth.ValidUser(q.User); err != nil {
		return Answer{}, err
	}
	id := auth.Identity{User: q.User, RealUser: q.User, Groups: q.Groups, Method: "EXPLAIN"}
	asker, e := id, &explanation{access: a, from: from.Unmap()}
	allowed := e.connect(ctx, c, id)
	if allowed && q.ProxyUser != "" && q.ProxyUser != q.User {
		id, allowed = e.act(ctx, id, q.ProxyUser)
	}
	if allowed {
		e.session(ctx, c, id, q)
	}
	e.operations(ctx, asker)
	return e.Answer, nil
}

// explanation collects an answer about questions from one address.
type explanation struct {
	*access
	from netip.Addr
	Answer
}

func (e *explanation) connect(ctx context.Context, c *conf.Conf, id auth.Identity) bool {
	if auth.IsRefused(e.refused, id.User) {
		return e.note(false, "%s is an account of the system and never comes in (%s).", id.User, conf.RefusedUsers.Key)
	}
	address := ""
	if e.from.IsValid() {
		address = e.from.String()
	}
	if err := e.Denied(id.User, address); err != nil {
		return e.note(false, "%s", sentence(err))
	}
	if !c.Authenticates() {
		return e.note(true, "Everybody who reaches the gateway is believed to be %s: nobody is authenticated (%s=NONE).", id.User, conf.Authentication.Key)
	}
	return e.ask(ctx, id, rules.Wish{}, "may connect")
}

func (e *explanation) act(ctx context.Context, id auth.Identity, user string) (auth.Identity, bool) {
	acting, err := e.Act(ctx, id, &net.TCPAddr{IP: e.from.AsSlice()}, user)
	if err != nil {
		return id, e.note(false, "%s", sentence(err))
	}
	return acting, e.note(true, "%s may act for %s: hadoop.proxyuser.%s allows it.", id.User, user, id.User)
}

// session resolves the options as the gateway does, which knows no profile without a
// file, and asks the rules.
func (e *explanation) session(ctx context.Context, c *conf.Conf, id auth.Identity, q Question) {
	o, err := conf.NewResolver(c).Resolve(id.User, q.options())
	if err != nil {
		e.note(false, "No: %v.", err)
		return
	}
	w := wishOf(o)
	what := "may have a session with share level " + w.ShareLevel
	if len(w.Profiles) > 0 {
		what += fmt.Sprintf(" and the profiles %v", w.Profiles)
	}
	e.ask(ctx, id, w, what)
}

// operations notes what the user may do as an operator.
func (e *explanation) operations(ctx context.Context, id auth.Identity) {
	if now := e.rules.Rules(); now != nil {
		own, _ := e.groupsOf(ctx, id)
		e.Reasons = append(e.Reasons, now.Operations(id.User, own)...)
	}
}

// ask asks the rules and notes the answer.
func (e *explanation) ask(ctx context.Context, id auth.Identity, w rules.Wish, what string) bool {
	d, err := e.decision(ctx, id, e.from, w)
	if err != nil {
		return e.note(false, "%s", sentence(err))
	}
	if !d.Allowed {
		return e.note(false, "No: %s.", d.Why)
	}
	return e.note(true, "%s %s: %s.", id.User, what, d.Why)
}

// sentence is the text of an error for people.
func sentence(err error) string {
	_, body := errs.HTTP(err)
	return body.Message
}
