// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"roundhouse/conf"
	"roundhouse/discovery"
	"roundhouse/engine"
)

// SealLabel is the label of the key that seals options in records.
const SealLabel = "session-options"

// record is s as it is now. Its caller holds writing.
func (m *Manager) record(s *Session) (discovery.SessionRecord, error) {
	o, spec := s.Plan.Options, s.Plan.Spec
	r := discovery.SessionRecord{
		User: s.User, RealUser: s.RealUser, SessionID: s.ID, Gateway: s.Gateway(), EngineRef: s.ref(), Options: o.Choices,
		Client: s.Client, Address: s.Address, Name: o.Name, Opened: s.Opened,
		Unused: s.ahead && !s.used.Load(),
		Spec: &discovery.EngineSpec{
			ShareLevel: string(spec.ShareLevel), Owner: spec.Owner, LaunchUser: spec.LaunchUser, Subdomain: spec.Subdomain,
			Options: spec.Options, Python: spec.Python,
		},
	}
	if e := s.Ended(); e != nil {
		r.Ended = &discovery.SessionEnd{Cause: e.Cause.word(), Why: e.Why, At: e.At}
		r.Spec, r.Options = nil, nil // nobody needs them any more
		return r, nil
	}
	if len(o.Session) > 0 {
		plain, err := json.Marshal(o.Session)
		if err != nil {
			return r, fmt.Errorf("write the options of session %s: %w", s.ID, err)
		}
		r.Runtime = m.Box.Seal(plain, s.Key.sealName())
	}
	return r, nil
}

// plan is what a session of another gateway, or of an earlier one, is to get.
func (m *Manager) plan(r discovery.SessionRecord) Plan {
	p := Plan{Options: conf.Options{Choices: r.Options, Session: m.runtime(r), Name: r.Name}}
	if e := r.Spec; e != nil {
		p.Spec = engine.Spec{
			Namespace: m.Namespace, ShareLevel: engine.ShareLevel(e.ShareLevel), Owner: e.Owner, LaunchUser: e.LaunchUser,
			Subdomain: e.Subdomain, Options: e.Options, Python: e.Python, Session: r.SessionID,
		}
		if p.Spec.ShareLevel == engine.Group {
			p.Spec.Group = e.Owner
		}
	}
	return p
}

// runtime are the options of a record. Without the secret that sealed them the
// session goes on without: its engine, if it lives, has had them.
func (m *Manager) runtime(r discovery.SessionRecord) (options map[string]string) {
	if len(r.Runtime) == 0 {
		return nil
	}
	plain, err := m.Box.Open(r.Runtime, Key{r.User, r.SessionID}.sealName())
	if err == nil {
		err = json.Unmarshal(plain, &options)
	}
	if err != nil {
		m.Log.Warn("the options of a session of another gateway cannot be read", "user", r.User, "session", r.SessionID, "err", err)
		return nil
	}
	return options
}

// sealName ties sealed options to their session.
func (k Key) sealName() string { return k.User + "\x00" + k.ID }

// newSession is a session that tells of its first use if it is opened ahead.
func (m *Manager) newSession(r Request, opened time.Time) *Session {
	s := newSession(r, opened)
	if r.ahead {
		s.firstUse = func() { m.firstUse(s) }
		s.unchecked.Store(true) // its client may come to another gateway first
	}
	return s
}

// firstUse makes durable that the client of a session that was opened ahead has
// come. A failure costs little: without this gateway the session may end as unused.
func (m *Manager) firstUse(s *Session) {
	if !s.Routed() {
		return
	}
	if err := m.write(context.WithoutCancel(m.life), s); err != nil {
		m.Log.Warn("the first use of a session was not recorded", "user", s.User, "session", s.ID, "err", err)
	}
}
