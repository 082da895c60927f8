// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
)

// watch ends every session of e when e ends. One goroutine per engine.
func (m *Manager) watch(e Engine) {
	id := e.RefID()
	m.mu.Lock()
	known := m.mu.watched[id]
	m.mu.watched[id] = true
	m.mu.Unlock()
	if known {
		return
	}
	m.background(func() { // waited for by Run; ends with the engine or the manager
		select {
		case <-m.life.Done():
			return
		case <-e.Done():
		}
		m.mu.Lock()
		delete(m.mu.watched, id)
		m.mu.Unlock()
		m.endAllOn(e)
	})
}

// EngineStopping ends every session of an engine that this gateway is about to stop, and returns
// when that is recorded: other gateways see the engine go and look there why.
func (m *Manager) EngineStopping(refID string) {
	m.catchUp(m.life) // another gateway may just have opened one
	m.eachOn(refID, func(s *Session) {
		if e := s.Engine(); e != nil {
			m.end(s, End{Cause: Lost, Why: reason(e)})
		}
		_ = m.write(context.WithoutCancel(m.life), s) // waits for who writes it; Run goes on trying
	})
}

func (m *Manager) endAllOn(e Engine) {
	m.catchUp(m.life) // another gateway may have ended it
	m.eachOn(e.RefID(), func(s *Session) { m.end(s, End{Cause: Lost, Why: reason(e)}) })
}

// eachOn does something with every session of an engine, many at once.
func (m *Manager) eachOn(refID string, do func(*Session)) {
	var group errgroup.Group
	group.SetLimit(writeParallel)
	for _, s := range m.List() {
		if s.on(refID) {
			group.Go(func() error { do(s); return nil })
		}
	}
	_ = group.Wait() // no function returns an error
}

// reason is why an ended engine ended, in a sentence.
func reason(e Engine) string {
	if err := e.Err(); err != nil {
		return strings.TrimRight(err.Error(), ".") + "."
	}
	return fmt.Sprintf("Engine %s ended.", e.RefID())
}

// OpenAhead opens a session as Open does and gets its engine in the background,
// so that it is warm when the client comes; over is called when it waits no
// longer. A failure is logged and forgets the session.
func (m *Manager) OpenAhead(ctx context.Context, r Request, over func()) (*Session, error) {
	r.ahead = true
	s, opened, err := m.Open(ctx, r)
	if err != nil || !opened {
		over()
		return s, err
	}
	if !m.background(func() { defer over(); m.warmUp(s) }) {
		over()
	}
	return s, nil
}

func (m *Manager) warmUp(s *Session) {
	e, err := m.hold(m.life, s, func() {})
	if err != nil {
		if m.life.Err() == nil {
			m.Log.Warn("engine of an opened session did not start", "user", s.User, "session", s.ID, "err", err)
		}
		return
	}
	ctx, cancel := context.WithTimeout(m.life, censusTimeout)
	defer cancel()
	m.Engines.Expect(ctx, e.RefID(), m.Unused) // else it may stop as unused before its client comes
}
