// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"roundhouse/discovery"
)

// SealLabel is the label of the key that seals options in records.
const SealLabel = "session-options"

// store makes the route of s to the engine refID durable.
func (m *Manager) store(ctx context.Context, s *Session, refID string) error {
	o := s.Plan.Options
	r := discovery.SessionRecord{
		User: s.User, RealUser: s.RealUser, SessionID: s.ID, EngineRef: refID, Options: o.Choices,
		Client: s.Client, Address: s.Address, Name: o.Name, Opened: s.Opened,
		Unused: s.ahead && !s.used.Load(),
	}
	if len(o.Session) > 0 {
		plain, err := json.Marshal(o.Session)
		if err != nil {
			return fmt.Errorf("write the options of session %s: %w", s.ID, err)
		}
		r.Runtime = m.Box.Seal(plain, s.Key.sealName())
	}
	return m.Store.PutSession(ctx, r)
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
		m.Log.Warn("the options of a session of an earlier gateway cannot be read", "user", r.User, "session", r.SessionID, "err", err)
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
	}
	return s
}

// firstUse makes durable that the client of a session that was opened ahead has
// come. A failure costs little: after a restart the session may end as unused.
func (m *Manager) firstUse(s *Session) {
	e := s.Engine()
	if e == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.life), storeTimeout)
	defer cancel()
	if err := m.store(ctx, s, e.RefID()); err != nil {
		m.Log.Warn("the first use of a session was not recorded", "user", s.User, "session", s.ID, "err", err)
	}
	if s.Ended() != nil { // meanwhile: its record may just have been deleted
		m.forget(s.Key)
	}
}
