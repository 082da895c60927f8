// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"roundhouse/conf"
	"roundhouse/discovery"
	"roundhouse/engine"
)

// forgetParallel is how many records are deleted at once: the store writes them
// together.
const forgetParallel = 100

// Restore serves the sessions of the store again after a restart. Sessions
// whose engine is gone end with a tombstone.
func (m *Manager) Restore(ctx context.Context) error {
	records, err := m.Store.Sessions(ctx)
	if err != nil {
		return fmt.Errorf("reading session records: %w", err)
	}
	var group errgroup.Group
	group.SetLimit(forgetParallel)
	for _, r := range records {
		if s := m.restore(r); s.Ended() != nil {
			group.Go(func() error { m.forget(s.Key); return nil })
		}
	}
	return group.Wait()
}

func (m *Manager) restore(r discovery.SessionRecord) *Session {
	s := m.newSession(Request{Key: Key{r.User, r.SessionID}, RealUser: r.RealUser, Client: r.Client, Address: r.Address, ahead: r.Unused}, r.Opened)
	s.Plan.Options = conf.Options{Choices: r.Options, Session: m.runtime(r), Name: r.Name}
	s.restored = true
	s.used.Store(!r.Unused)
	s.confirmed.Store(!r.Unused)
	s.prepared.Store(!r.Unused)
	m.mu.Lock()
	m.mu.live.put(s)
	m.mu.Unlock()
	lease, ok := m.Engines.Resume(r.EngineRef)
	if !ok {
		m.End(s.Key, End{Cause: Lost, Why: fmt.Sprintf("Its engine %s ended while no gateway ran, or could not be taken over.", r.EngineRef)})
		return s
	}
	s.attach(lease)
	m.watch(lease.Engine())
	return s
}

// Census compares the sessions on the engine refID with those that its driver
// has: the gateway could not hear of their ends, or of some of them.
func (m *Manager) Census(refID string, c engine.Census) {
	for _, s := range m.List() {
		if !s.on(refID) {
			continue
		}
		fate, reason := c.Fate(s.User, s.ID, s.Opened, s.Confirmed())
		m.meet(s, refID, fate, reason)
	}
}

// meet does what a census says about s.
func (m *Manager) meet(s *Session, refID string, fate engine.Fate, reason string) {
	switch fate {
	case engine.Present:
		s.Confirm()
	case engine.Unseen:
		s.startAnew()
	case engine.Closed:
		m.End(s.Key, s.closed(reason))
	case engine.Vanished:
		if !s.Confirmed() { // it may never have come there
			return
		}
		m.End(s.Key, End{Cause: Lost, Why: fmt.Sprintf("Engine %s has closed the session, most likely because it was idle; "+
			"the gateway was not there to hear why.", refID)})
	}
}

// startAnew treats a session of an earlier gateway, which its engine never got
// to see, as one that was just opened.
func (s *Session) startAnew() {
	if s.restored && s.touched.Load() == 0 {
		s.used.Store(false)
		s.confirmed.Store(false)
		s.prepared.Store(false)
	}
}
