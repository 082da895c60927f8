// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"roundhouse/auth"
	"roundhouse/internal/door"
	"roundhouse/internal/errs"
	"roundhouse/server/proxy"
	"roundhouse/session"
)

// Sessions is what the frontend needs of the session manager.
type Sessions interface {
	// Find returns a live session, or how it ended, or neither; the error says that only
	// another gateway may know.
	Find(context.Context, session.Key) (*session.Session, *session.End, error)
	Open(context.Context, session.Request) (s *session.Session, opened bool, err error)
	Engine(ctx context.Context, s *session.Session, onHold func()) (session.Engine, error)
	Clone(ctx context.Context, parent *session.Session, newID string) (*session.Session, error)
	End(session.Key, session.End) bool
}

// Planner turns the options of a client into a plan for its session.
type Planner interface {
	Plan(session.Wishes) (session.Plan, error)
}

// Observer hears about calls, for metrics.
type Observer interface {
	// CallDone is told of each call that ended.
	CallDone(fullMethod, code string)
	// HoldStarted and HoldEnded enclose the wait for an engine.
	HoldStarted()
	HoldEnded()
}

// Refusal is a call that a known caller may not make.
type Refusal struct {
	User, RealUser string
	Peer           net.Addr
	Method         string
	Err            error
}

// Director decides about every call of the Connect service.
type Director struct {
	Auth     auth.Authenticator
	Sessions Sessions
	Planner  Planner
	Keys     Keys
	Observer Observer
	Limits   Limits
	// Holds count what waits for engines; nil counts with no limit.
	Holds *Holds
	// Denied refuses users and addresses that may not use the gateway. Optional.
	Denied func(user, address string) error
	// Proxies decide who acts for whom; nil means that nobody does.
	Proxies Proxies
	// OnRefused is told of calls that a known caller may not make. Optional.
	OnRefused func(Refusal)
	// Tokens hear which token is used with which session. Optional.
	Tokens Tokens
	// Discard ends an engine that is found dead.
	Discard func(refID, why string)
	Log     *slog.Logger

	rules map[string]rule
	// calls counts what users have open.
	calls *tally
	// under are the calls under way.
	under *openCalls
	// patience bounds all waits for engines.
	patience *patience
	// lastRefusal (epoch seconds) is when a refusal was last logged.
	lastRefusal *atomic.Int64
}

// NewDirector completes d with the declared rules.
func NewDirector(d Director) *Director {
	d.rules = ruleTable()
	d.calls = &tally{}
	d.under = &openCalls{}
	d.patience = newPatience()
	if d.Holds == nil {
		d.Holds = NewHolds(0)
	}
	if d.OnRefused == nil {
		d.OnRefused = func(Refusal) {}
	}
	if d.Denied == nil {
		d.Denied = func(string, string) error { return nil }
	}
	d.lastRefusal = &atomic.Int64{}
	return &d
}

// Admit authenticates a call on its headers alone and counts it as one of its
// user.
func (d *Director) Admit(ctx context.Context, c *proxy.Call) error {
	id, err := d.authenticate(ctx, c)
	if err == nil && id.Lapsed && !d.rules[c.Method].lapsed {
		err = auth.Expired(id)
	}
	if err != nil {
		d.callDone(c, err)
		return errs.Status(err).Err()
	}
	if err := d.enter(ctx, c, id); err != nil {
		d.callDone(c, err)
		return d.clientError(c, err)
	}
	return nil
}

// authenticate finds out who calls. A refusal is in the log.
func (d *Director) authenticate(ctx context.Context, c *proxy.Call) (auth.Identity, error) {
	peer, tracked := c.Peer.(door.Addr)
	if tracked {
		c.Peer = peer.Addr
	}
	id, err := d.Auth.Authenticate(ctx, auth.Request{
		Door: auth.DoorConnect, Header: c.Header, Peer: c.Peer, Secure: c.Secure, Certificate: c.Certificate,
	})
	if err != nil {
		d.refused(c, "", err)
		return auth.Identity{}, err
	}
	if tracked {
		peer.Known()
	}
	return id, nil
}

// Route finds the session of a call and its engine.
func (d *Director) Route(ctx context.Context, c *proxy.Call, req proxy.Request) (*proxy.Route, error) {
	ctx = c.Admitted.(*place).life
	call, err := d.identify(ctx, c, req)
	var r *proxy.Route
	if err == nil {
		r, err = d.find(ctx, call)
	}
	if err != nil {
		d.callDone(c, err)
		return nil, d.clientError(c, err)
	}
	then(r, func(err error) { d.callDone(c, err) })
	return r, nil
}

// then adds f to what hears the outcome of a call.
func then(r *proxy.Route, f func(err error)) {
	before := r.Done
	r.Done = func(err error) {
		if before != nil {
			before(err)
		}
		f(err)
	}
}

// refused tells the administrator who was not let in and why, at most once a
// second: the client is told little, and whoever tries may try often.
func (d *Director) refused(c *proxy.Call, user string, err error) {
	now, last := time.Now().Unix(), d.lastRefusal.Load()
	if now == last || !d.lastRefusal.CompareAndSwap(last, now) {
		return
	}
	d.Log.Warn("call refused", "method", c.Method, "peer", c.Peer, "user", user, "err", err)
}

// clientError is what the client reads of err; what the gateway could not
// foresee goes to the log.
func (d *Director) clientError(c *proxy.Call, err error) error {
	answer := errs.Status(err)
	if answer.Code() == codes.PermissionDenied || answer.Code() == codes.ResourceExhausted {
		user := ""
		if p, ok := c.Admitted.(*place); ok {
			user = p.user
			d.OnRefused(Refusal{User: user, RealUser: p.id.User, Peer: c.Peer, Method: c.Method, Err: err})
		}
		d.refused(c, user, err)
	}
	if answer.Code() == codes.Internal && !errs.InSparksShape(err) {
		d.Log.Error("call failed", "method", c.Method, "err", err)
	}
	return answer.Err()
}

func (d *Director) callDone(c *proxy.Call, err error) {
	code := codes.OK
	if err != nil {
		code = errs.Status(err).Code()
	}
	d.Observer.CallDone("/"+proxy.Service+"/"+c.Method, code.String())
}

// identify finds out whose call it is, on which session, and whether both can be.
func (d *Director) identify(ctx context.Context, c *proxy.Call, req proxy.Request) (*call, error) {
	place := c.Admitted.(*place)
	id, err := auth.ClaimUser(place.id, req.UserID)
	if err != nil {
		return nil, err
	}
	if id, err = d.owner(ctx, c, req, id); err != nil {
		return nil, err
	}
	if err := place.claimedBy(id.User, c.Method); err != nil {
		return nil, err
	}
	for _, user := range []string{id.User, id.RealUser} {
		if err := d.Denied(user, host(c.Peer)); err != nil {
			return nil, err
		}
	}
	if uuid.Validate(req.SessionID) != nil || len(req.SessionID) != 36 {
		return nil, errs.New(errs.InvalidRequest, "The session id %q is not a UUID such as 00112233-4455-6677-8899-aabbccddeeff.", req.SessionID)
	}
	call := &call{Call: c, req: req, rule: d.rules[c.Method], id: id, key: session.Key{User: id.User, ID: req.SessionID}}
	if err := call.rule.judge(req); err != nil {
		return nil, err
	}
	return call, nil
}

// find answers the call here, or finds or opens its session and routes it there.
func (d *Director) find(ctx context.Context, c *call) (*proxy.Route, error) {
	s, end, unsure := d.Sessions.Find(ctx, c.key)
	if unsure != nil && c.Method == "ReleaseSession" {
		return nil, unsure // another gateway may have what is to be released
	}
	if err := c.sameHand(s); err != nil {
		return nil, err
	}
	reply, err := d.localReply(ctx, c, s, end)
	if err != nil {
		return nil, err
	}
	if reply != nil {
		return &proxy.Route{Reply: reply}, nil
	}
	if s == nil && c.Method == "Interrupt" {
		s, end, unsure = d.Sessions.Find(ctx, c.key) // it may have waited for it
	}
	switch {
	case s == nil:
		if err := d.mayOpen(c, end, unsure); err != nil {
			return nil, err
		}
	case !s.Routed() && c.unheard():
		return nil, errs.OperationNotFound(string(field(c.req, reattachOperation)))
	}
	s, e, err := d.reach(ctx, c, s)
	if err != nil {
		return nil, err
	}
	return d.toEngine(ctx, c, s, e)
}

// reach waits for the engine of s, which it opens if it is nil. The place among
// what waits is taken first: a call that is refused must not leave a session.
func (d *Director) reach(ctx context.Context, c *call, s *session.Session) (*session.Session, session.Engine, error) {
	if s != nil && s.Engine() != nil {
		e, err := d.Sessions.Engine(ctx, s, func() {})
		return s, e, err
	}
	if err := d.patience.over(); err != nil {
		return nil, nil, err
	}
	leave, err := d.Holds.Enter(c.key.User)
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	if s == nil {
		if s, err = d.open(ctx, c); err != nil {
			return nil, nil, err
		}
	}
	e, err := d.hold(ctx, c, s)
	return s, e, err
}

// call is one call on its way through the director.
type call struct {
	*proxy.Call
	req  proxy.Request
	rule rule
	id   auth.Identity
	key  session.Key
}

// localReply answers calls that need no engine when the session has none.
func (d *Director) localReply(ctx context.Context, c *call, s *session.Session, end *session.End) ([]proto.Message, error) {
	if c.Method == "Interrupt" && end == nil && (s == nil || !s.Routed()) {
		return d.interrupt(ctx, c)
	}
	if c.rule.local == nil || (s != nil && s.Routed()) || (end != nil && !c.rule.evenEnded) {
		return nil, nil
	}
	reply, err := c.rule.local(c.req, string(field(c.req, c.rule.client)))
	if reply != nil && c.Method == "ReleaseSession" {
		d.Sessions.End(c.key, session.End{Cause: releaseCause(c.req), Why: "The client released it."})
	}
	return reply, err
}

// mayOpen says why c opens no session, if it does not. end is how the last one
// of its id ended; unsure, why another gateway may have one.
func (d *Director) mayOpen(c *call, end *session.End, unsure error) error {
	switch {
	case end != nil:
		return end.Error(c.key.ID)
	case unsure != nil && !c.fresh():
		return unsure
	case c.unheard():
		return errs.OperationNotFound(string(field(c.req, reattachOperation)))
	case !c.rule.opens:
		return errs.SessionChanged(c.key.ID, "The gateway knows no such session of user "+c.id.User+".")
	case !c.fresh():
		return errs.SessionChanged(c.key.ID, "The session that this client had is gone: its engine ended or the gateway forgot it.")
	}
	return nil
}

// fresh says whether the call may be the first one of its session.
func (c *call) fresh() bool { return c.rule.opens && len(field(c.req, c.rule.observed)) == 0 }

// open opens the session of c.
func (d *Director) open(ctx context.Context, c *call) (*session.Session, error) {
	wishes, err := d.wishes(c)
	if err != nil {
		return nil, err
	}
	plan, err := d.Planner.Plan(wishes)
	if err != nil {
		return nil, err
	}
	s, opened, err := d.Sessions.Open(ctx, session.Request{Key: c.key, RealUser: c.id.RealUser, Plan: plan, Client: wishes.Client, Address: host(c.Peer)})
	if err == nil && !opened {
		err = c.sameHand(s)
	}
	return s, err
}

// toEngine routes the call to the engine of s.
func (d *Director) toEngine(ctx context.Context, c *call, s *session.Session, e session.Engine) (*proxy.Route, error) {
	if err := d.prepare(ctx, c, s, e); err != nil {
		return nil, d.failer(s, e, c.rule)(ctx, err)
	}
	r := &proxy.Route{
		Conn:    e.Conn(),
		Life:    ctx,
		Stamp:   proxy.Stamp{UserID: c.key.User, SessionID: c.key.ID},
		Header:  forwardHeader(c.Header),
		Timeout: c.rule.timeout,
		Further: func(req proxy.Request) error { return errs.Status(c.rule.judge(req)).Err() },
		Fail:    d.failer(s, e, c.rule),
	}
	if err := d.special(ctx, c, s, r); err != nil {
		return nil, err
	}
	d.count(s, r)
	if c.id.Token != "" && !c.id.Lapsed && d.Tokens != nil {
		d.Tokens.Used(c.id.Token, s.User, s.ID)
	}
	return r, nil
}

// hold waits for the engine of s, unless the client interrupts the call.
func (d *Director) hold(ctx context.Context, c *call, s *session.Session) (session.Engine, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer s.Held(heldCall(c, end))()
	defer d.patience.within(end)()
	d.Observer.HoldStarted()
	defer d.Observer.HoldEnded()
	return d.Sessions.Engine(ctx, s, c.SendHeader)
}

// count counts the call as one of s while it lasts.
func (d *Director) count(s *session.Session, r *proxy.Route) {
	over := s.Begin()
	then(r, func(err error) {
		over()
		if err == nil {
			s.Confirm()
		}
	})
}

func host(a net.Addr) string {
	if a == nil {
		return ""
	}
	h, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return h
}
