// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"
	"net"

	"roundhouse/auth"
	"roundhouse/conf"
	"roundhouse/internal/errs"
	"roundhouse/server/proxy"
	"roundhouse/session"
)

// Proxies decide who acts for whom.
type Proxies interface {
	// ActsFor tells for whom a user opened the session with an id, false if the
	// user has opened none that is known.
	ActsFor(realUser, sessionID string) (user string, known bool)
	// Act is the identity of id acting for user over a connection from peer, or
	// an error of class PERMISSION_DENIED.
	Act(ctx context.Context, id auth.Identity, peer net.Addr, user string) (auth.Identity, error)
}

// owner is whose call it is: that of the caller, or of the user for whom the
// caller acts. A connection string names that user on every call, a Config.Set
// on the first one only; so what a session was opened as counts for all of its
// calls, and each of them is judged anew.
func (d *Director) owner(ctx context.Context, c *proxy.Call, req proxy.Request, id auth.Identity) (auth.Identity, error) {
	named, err := namedUser(c, req)
	if err != nil {
		return auth.Identity{}, err
	}
	user, known := "", false
	if d.Proxies != nil {
		user, known = d.Proxies.ActsFor(id.User, req.SessionID)
	}
	switch {
	case known && named != "" && named != user:
		return auth.Identity{}, errs.New(errs.PermissionDenied, "User %s has opened session %s for %s, so it cannot be used for %s. Make a new session for each user.",
			id.User, req.SessionID, user, named)
	case !known:
		user = named
	}
	if user == "" || user == id.User {
		return id, nil
	}
	if d.Proxies == nil || id.Method == auth.MethodNone {
		return auth.Identity{}, errs.New(errs.PermissionDenied, "User %s cannot act for %.70q: nobody's name is verified here (kyuubi.authentication=NONE). "+
			"Connect as that user.", id.User, user)
	}
	return d.Proxies.Act(ctx, id, c.Peer, user)
}

// namedUser is the user whom a call names to act for, "" for none.
func namedUser(c *proxy.Call, req proxy.Request) (string, error) {
	pairs := conf.MetadataPairs(c.Header)
	set, _, err := parseSet(&call{Call: c, req: req})
	if err != nil {
		return "", err
	}
	for _, p := range set.GetPairs() {
		if conf.NamesProxyUser(p.GetKey()) {
			pairs = append(pairs, conf.Pair{Key: p.GetKey(), Value: p.GetValue()})
		}
	}
	user, _, err := conf.TakeProxyUser(pairs)
	if err != nil {
		return "", errs.Wrap(errs.OptionInvalid, err, "%v.", err)
	}
	return user, nil
}

// sameHand refuses a session of the user for whom the caller acts that somebody
// else has opened.
func (c *call) sameHand(s *session.Session) error {
	if s == nil || c.id.RealUser == c.id.User || s.OpenedBy() == c.id.RealUser {
		return nil
	}
	return errs.New(errs.PermissionDenied, "User %s acts for %s and has not opened session %s. Make a new session.", c.id.RealUser, c.id.User, c.key.ID)
}
