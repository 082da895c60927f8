// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"roundhouse/discovery"
	"roundhouse/engine"
)

// Restore takes in the records of the store at the start. Sessions whose engine is gone
// end; those that wait for one go on, and are swept if nobody comes for them.
func (m *Manager) Restore(ctx context.Context) error {
	records, err := m.Store.Sessions(ctx)
	if err != nil {
		return fmt.Errorf("reading session records: %w", err)
	}
	slices.SortFunc(records, byEnd) // only so many of the newest tombstones are kept in memory
	for _, r := range records {
		m.take(r)
	}
	known, gone := m.catchUp(ctx), map[string]bool{}
	var group errgroup.Group
	group.SetLimit(writeParallel)
	for _, s := range m.List() {
		ref := s.ref()
		if ref == "" || s.Engine() != nil || !known {
			continue
		}
		if _, asked := gone[ref]; !asked {
			gone[ref] = m.EngineGone(ref)
		}
		if gone[ref] {
			group.Go(func() error { m.end(s, engineLost(ref)); return nil })
		}
	}
	return group.Wait()
}

// byEnd sorts records of sessions that live before those that ended, and these by when.
func byEnd(a, b discovery.SessionRecord) int { return endedAt(a).Compare(endedAt(b)) }

func endedAt(r discovery.SessionRecord) (at time.Time) {
	if r.Ended != nil {
		at = r.Ended.At
	}
	return at
}

// Census compares the sessions on the engine refID with those that its driver
// has: the gateway could not hear of their ends, or of some of them.
func (m *Manager) Census(refID string, c engine.Census) {
	for _, s := range m.List() {
		if s.Engine() == nil || !s.on(refID) {
			continue
		}
		fate, reason := c.Fate(s.User, s.ID, s.Opened, s.Confirmed())
		switch {
		case fate == engine.Unseen && s.Gateway() != m.Gateway && m.kept(s):
			// the gateway that opened it may be about to forward its first call
		case fate == engine.Closed && s.doubtful(reason):
			m.endLater(s, s.closed(reason))
		default:
			m.meet(s, fate, reason)
		}
	}
}

// meet does what a census says about s.
func (m *Manager) meet(s *Session, fate engine.Fate, reason string) {
	s.unchecked.Store(false)
	switch fate {
	case engine.Present:
		s.Confirm()
	case engine.Unseen:
		s.startAnew()
	case engine.Closed:
		m.end(s, s.closed(reason))
	case engine.Vanished:
		if !s.Confirmed() { // it may never have come there
			return
		}
		m.end(s, End{Cause: Lost, Why: fmt.Sprintf("Engine %s has closed the session, most likely because it was idle; "+
			"the gateway was not there to hear why.", s.ref())})
	}
}

// startAnew treats a session of another gateway, which its engine never got to see, as
// one that was just opened.
func (s *Session) startAnew() {
	if !s.taken.IsZero() && s.touched.Load() == 0 {
		s.used.Store(false)
		s.confirmed.Store(false)
		s.prepared.Store(false)
	}
}
