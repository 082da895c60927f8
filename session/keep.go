// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"strings"
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
	m.work.Add(1)
	go func() { // waited for by Run; ends with the engine or the manager
		defer m.work.Done()
		select {
		case <-m.life.Done():
			return
		case <-e.Done():
		}
		m.mu.Lock()
		delete(m.mu.watched, id)
		m.mu.Unlock()
		m.endAllOn(e)
	}()
}

func (m *Manager) endAllOn(e Engine) {
	for _, s := range m.List() {
		if at := s.Engine(); at != nil && at.RefID() == e.RefID() {
			m.End(s.Key, End{Cause: Lost, Why: reason(e)})
		}
	}
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
func (m *Manager) OpenAhead(r Request, over func()) (*Session, error) {
	r.ahead = true
	s, opened, err := m.Open(r)
	if err != nil || !opened {
		over()
		return s, err
	}
	m.work.Add(1)
	go func() { // waited for by Run
		defer m.work.Done()
		defer over()
		if _, err := m.Engine(m.life, s, func() {}); err != nil && m.life.Err() == nil {
			m.Log.Warn("engine of an opened session did not start", "user", s.User, "session", s.ID, "err", err)
		}
	}()
	return s, nil
}

// sweep forgets sessions that wait for no engine any more, and ends those that
// were opened ahead and never used.
func (m *Manager) sweep() {
	now := m.Now()
	for _, s := range m.List() {
		switch {
		case s.Engine() == nil && s.waiters.Load() == 0 && now.Sub(s.waited()) > m.Linger:
			m.End(s.Key, End{Cause: Forgotten, Why: "Nobody waited for its engine."})
		case s.Engine() != nil && !s.used.Load() && now.Sub(s.Opened) > m.Unused:
			m.End(s.Key, End{Cause: Lost, Why: fmt.Sprintf("It was opened and not used for %v.", m.Unused)})
		}
	}
}
