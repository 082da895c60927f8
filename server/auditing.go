// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"

	"roundhouse/auth"
	"roundhouse/auth/issue"
	"roundhouse/conf"
	"roundhouse/engine"
	"roundhouse/server/audit"
	"roundhouse/server/frontend"
	"roundhouse/server/rest"
	"roundhouse/session"
)

// makeAudit opens the audit log; p.audit is nil where there is none.
func (p *parts) makeAudit() (err error) {
	if !conf.AuditEnabled.Get(p.c) {
		return nil
	}
	p.audit, err = audit.Open(audit.Options{
		File: p.c.AuditLog(), Size: int(conf.AuditMaxSize.Get(p.c)), Files: conf.AuditMaxFiles.Get(p.c), Log: p.log,
	})
	if err != nil {
		return fmt.Errorf("%w (%s)", err, conf.AuditFile.Key)
	}
	p.undo = append(p.undo, func() { _ = p.audit.Close() })
	return nil
}

// unlessSame is the real user where that is not the user.
func unlessSame(realUser, user string) string {
	if realUser == user {
		return ""
	}
	return realUser
}

func (p *parts) auditOpened(s *session.Session, refID string) {
	p.audit.Write(audit.Entry{
		Event: audit.SessionOpened, User: s.User, RealUser: unlessSame(s.OpenedBy(), s.User), Address: s.Address,
		Session: s.ID, Engine: refID, Client: s.Client,
	})
}

func (p *parts) auditEnded(s *session.Session, e session.End) {
	p.audit.Write(audit.Entry{
		Event: audit.SessionEnded, User: s.User, RealUser: unlessSame(s.OpenedBy(), s.User), Address: s.Address, Session: s.ID, Reason: e.Why,
	})
}

func (p *parts) auditEngine(c engine.Change) {
	e := audit.Entry{Event: audit.EngineStarted, User: c.User, Engine: c.RefID}
	switch c.What {
	case engine.ChangeFailed:
		e.Event, e.Failed = audit.EngineFailed, true
	case engine.ChangeEnded:
		e.Event = audit.EngineEnded
	}
	if c.Why != nil {
		e.Reason = c.Why.Error()
	}
	p.audit.Write(e)
}

func (p *parts) auditRefused(r frontend.Refusal) {
	p.audit.Refuse(audit.Entry{
		User: r.User, RealUser: unlessSame(r.RealUser, r.User), Address: audit.Host(r.Peer), Call: r.Method, Reason: r.Err.Error(),
	})
}

// auditCall writes what administrators and operators do, what people change, and
// what they are refused.
func (p *parts) auditCall(c rest.Record) {
	e := audit.Entry{
		Event: audit.Admin, User: c.Caller.User, RealUser: unlessSame(c.Caller.RealUser, c.Caller.User), Method: c.Caller.Method,
		Address: c.Caller.Address, Call: c.Method + " " + c.Target, Failed: c.Err != nil,
	}
	if c.Err != nil {
		e.Reason = c.Err.Error()
	}
	if c.Refused {
		p.audit.Refuse(e)
		return
	}
	p.audit.Write(e)
}

func (p *parts) auditToken(by auth.Identity, r issue.Record, revoked bool) {
	e := audit.Entry{
		Event: audit.TokenIssued, User: r.User, RealUser: unlessSame(by.RealUser, r.User), Address: by.Address, Method: by.Method,
		Token: r.ID, Name: r.Name,
	}
	if revoked {
		e.Event = audit.TokenRevoked
	}
	p.audit.Write(e)
}

// watchLogins lets the chain tell of logins.
func (p *parts) watchLogins(chain *auth.Chain) {
	if p.audit != nil {
		chain.Watchers = append(chain.Watchers, p.audit.Logins())
	}
}
