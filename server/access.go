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
	"roundhouse/auth/groups"
	"roundhouse/auth/proxyuser"
	"roundhouse/auth/rules"
	"roundhouse/conf"
	"roundhouse/internal/errs"
	"roundhouse/server/people"
	"roundhouse/server/rest"
	"roundhouse/session"
)

// access joins all that decides what a person may do once their name is known:
// the list of disabled users, the deny lists, the rules file and Hadoop's proxy
// users.
type access struct {
	rules   *rules.File
	proxies *proxyuser.Rules
	groups  *groups.Provider
	refused []string
	limits  session.Limits
	// people are nil where a configuration is only checked.
	people *people.List
}

// newAccess reads what the settings name. Errors name the setting to change.
func newAccess(c *conf.Conf, log *slog.Logger) (*access, error) {
	a := &access{refused: conf.RefusedUsers.Get(c), limits: sessionLimits(c)}
	var err error
	if a.groups, err = userGroups(c); err != nil {
		return nil, err
	}
	if a.rules, err = rules.Open(conf.RulesFile.Get(c), log); err != nil {
		return nil, fmt.Errorf("%w (%s)", err, conf.RulesFile.Key)
	}
	if a.proxies, err = proxyuser.New(c.ProxyUsers(), a.groups.All); err != nil {
		return nil, err
	}
	return a, nil
}

// Denied refuses users and addresses that may not use the gateway. The address
// may be empty.
func (a *access) Denied(user, address string) error {
	if a.people != nil {
		if err := a.people.Denied(user); err != nil {
			return err
		}
	}
	return a.limits.Denied(user, address)
}

// admit decides whether a caller whom a method vouches for may come in. The one
// who runs the gateway always may: that person could change the rules.
func (a *access) admit(ctx context.Context, r auth.Request, id auth.Identity) error {
	if id.Host {
		return nil
	}
	if err := a.Denied(id.User, ""); err != nil {
		return err
	}
	return a.decide(ctx, id, addressOf(r.Peer), rules.Wish{})
}

// decide asks the rules about a caller.
func (a *access) decide(ctx context.Context, id auth.Identity, from netip.Addr, w rules.Wish) error {
	d, err := a.decision(ctx, id, from, w)
	if err == nil && !d.Allowed {
		return errs.New(errs.PermissionDenied, "The rules of this gateway do not allow it: %s.%s", d.Why, advice(id))
	}
	return err
}

// decision is that of the rules. Without rules nobody's groups are asked for.
func (a *access) decision(ctx context.Context, id auth.Identity, from netip.Addr, w rules.Wish) (rules.Decision, error) {
	now := a.rules.Rules()
	p := rules.Person{User: id.User, From: from}
	var err error
	if now != nil {
		p.Groups, err = a.groupsOf(ctx, id)
	}
	if err != nil {
		return rules.Decision{}, err
	}
	return now.Decide(p, w), nil
}

// groupsOf are the groups of a caller: those that the method told, else those that
// Hadoop would find.
func (a *access) groupsOf(ctx context.Context, id auth.Identity) ([]string, error) {
	if len(id.Groups) > 0 {
		return id.Groups, nil
	}
	all, err := a.groups.All(ctx, id.User)
	if err != nil {
		return nil, errs.Wrap(errs.AuthUnavailable, err, "The groups of user %s cannot be found out now.", id.User)
	}
	return all, nil
}

// Act is the identity of id acting for user.
func (a *access) Act(ctx context.Context, id auth.Identity, peer net.Addr, user string) (auth.Identity, error) {
	from := addressOf(peer)
	if id.Method == auth.MethodNone {
		return auth.Identity{}, errs.New(errs.PermissionDenied, "Nobody can act for others where nobody's name is verified (%s=NONE).", conf.Authentication.Key)
	}
	if err := auth.ValidUser(user); err != nil {
		return auth.Identity{}, err
	}
	if auth.IsRefused(a.refused, user) {
		return auth.Identity{}, errs.New(errs.PermissionDenied, "User %s cannot act for %s, an account of the system (%s).", id.User, user, conf.RefusedUsers.Key)
	}
	if err := a.proxies.Check(ctx, id.User, user, from); errs.Is(err, errs.AuthUnavailable) {
		return auth.Identity{}, err
	} else if err != nil {
		return auth.Identity{}, errs.New(errs.PermissionDenied, "User %s cannot act for %s: %v.%s", id.User, user, err, advice(id))
	}
	if err := a.decide(ctx, id, from, rules.Wish{ProxyUser: user}); err != nil {
		return auth.Identity{}, err
	}
	acting := id
	acting.User, acting.RealUser, acting.Groups, acting.Admin, acting.Host = user, id.User, nil, false, false
	if err := a.Denied(user, ""); err != nil {
		return auth.Identity{}, err
	}
	return acting, a.decide(ctx, acting, from, rules.Wish{})
}

// advice is what a caller who is refused does next; administrators know.
func advice(id auth.Identity) string {
	if id.Admin {
		return ""
	}
	return " Ask the administrator of this gateway."
}

// permit asks the rules about the options of a session.
func (a *access) permit(w session.Wishes, o conf.Options) error {
	now := a.rules.Rules()
	if now == nil || w.Caller.Host {
		return nil
	}
	from, _ := netip.ParseAddr(w.Address) // of sockets there is none
	// Nobody is asked for groups for longer than package groups allows.
	return a.decide(context.Background(), w.Caller, from.Unmap().WithZone(""), wishOf(o))
}

// wishOf is what the rules judge of the options of a session.
func wishOf(o conf.Options) rules.Wish {
	profiles := strings.FieldsFunc(o.Choices[conf.SessionProfile.Key], func(r rune) bool { return r == ',' })
	return rules.Wish{ShareLevel: o.ShareLevel, Profiles: profiles}
}

// Operates says whether a caller may see, or end, what belongs to a user.
func (a *access) Operates(ctx context.Context, caller auth.Identity, do rest.Action, owner string) bool {
	if !a.IsOperator(ctx, caller) {
		return false
	}
	own, _ := a.groupsOf(ctx, caller)
	all, err := a.groups.All(ctx, owner)
	return a.rules.Rules().Operates(caller.User, own, rules.Action(do), owner, all) && err == nil
}

// IsOperator says whether a caller may see anything of others. While nobody can
// tell a caller's groups, the name alone counts.
func (a *access) IsOperator(ctx context.Context, caller auth.Identity) bool {
	now := a.rules.Rules()
	if now == nil {
		return false
	}
	own, _ := a.groupsOf(ctx, caller)
	return now.IsOperator(caller.User, own)
}

// addressOf is the address of a peer, the zero one for a socket.
func addressOf(peer net.Addr) netip.Addr {
	if tcp, ok := peer.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// acting answers the frontend's questions about proxy users.
type acting struct {
	*access
	sessions *session.Manager
}

func (a acting) ActsFor(realUser, id string) (string, bool) { return a.sessions.ActsFor(realUser, id) }
