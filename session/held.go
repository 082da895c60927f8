// SPDX-License-Identifier: Apache-2.0

package session

import "context"

// HeldCall is a call that waits for the engine of its session.
type HeldCall struct {
	Operation string
	Tags      []string
	// End ends the wait; the cause is the client's answer.
	End context.CancelCauseFunc
}

// Held notes a call that waits; the returned function forgets it.
func (s *Session) Held(h HeldCall) (over func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.held == nil {
		s.mu.held = map[*HeldCall]bool{}
	}
	s.mu.held[&h] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.mu.held, &h)
	}
}

// EndHeld ends the waiting calls that are meant and returns their operation ids.
func (s *Session) EndHeld(meant func(HeldCall) bool, why error) (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := range s.mu.held {
		if meant(*h) {
			h.End(why)
			ids = append(ids, h.Operation)
		}
	}
	return ids
}
