// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"time"

	"roundhouse/discovery"
)

// knownPatience bounds how long it may take to hear what other gateways have written.
const knownPatience = 2 * time.Second

// round is one look at what other gateways have written, for all who asked before it began.
type round struct {
	over  chan struct{} // closed when known says whether it succeeded
	known bool
}

// catchUp makes all known here that any gateway has recorded by now: an engine is
// recorded before its sessions, so one that is not known then is gone. Callers share rounds.
func (m *Manager) catchUp(ctx context.Context) bool {
	if m.away() {
		return false
	}
	r := m.nextRound()
	select {
	case <-r.over:
		return r.known
	case <-ctx.Done():
	case <-m.life.Done():
	}
	return false
}

// nextRound is one that has not begun.
func (m *Manager) nextRound() *round {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.next == nil {
		m.mu.next = &round{over: make(chan struct{})}
	}
	if !m.mu.looking && !m.mu.closed {
		m.mu.looking = true
		m.work.Go(m.lookAround) // waited for by Run; ends when nobody asks
	}
	return m.mu.next
}

// lookAround does rounds, one after the other, as long as somebody asks for one.
func (m *Manager) lookAround() {
	for r := m.beginRound(); r != nil; r = m.beginRound() {
		r.known = !m.away() && m.look()
		close(r.over)
	}
}

// beginRound takes the round that is asked for, if there is one; who asks now waits for another one.
func (m *Manager) beginRound() *round {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.mu.next
	m.mu.next, m.mu.looking = nil, r != nil
	return r
}

// look says whether all is known here. Nobody else has the lock, so a wait for it says that the store
// does not answer.
func (m *Manager) look() bool {
	waiting, cancel := context.WithTimeout(m.life, knownPatience)
	defer cancel()
	unlock, err := m.Lock.Lock(waiting, "/sessions/known/"+m.Gateway)
	switch {
	case err == nil:
		_ = unlock() // nothing was decided under it
	case m.life.Err() != nil:
	case waiting.Err() != nil, errors.Is(err, discovery.ErrAway):
		m.noteAway(discovery.ErrAway)
	}
	return err == nil
}
