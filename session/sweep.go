// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"roundhouse/discovery"
	"roundhouse/engine"
)

const (
	// sweepPatience is how long a gateway waits for its turn to sweep what is everybody's;
	// another one that sweeps at this moment does it for all.
	sweepPatience = 2 * time.Second
)

func (m *Manager) sweepLoop(ctx context.Context) error {
	tick := time.NewTicker(max(min(m.Linger, m.Unused)/4, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			m.sweep(ctx)
			m.sweepShared(ctx)
			m.sweepTombstones(ctx)
		case <-m.crowded:
			m.sweepTombstones(ctx)
		}
	}
}

// sweep forgets sessions of this gateway that wait for no engine any more, and ends those
// that were never used, of gateways that are gone, too.
func (m *Manager) sweep(ctx context.Context) {
	now := m.Now()
	for _, s := range m.List() {
		switch {
		case !m.ours(s):
			s.left.Store(now.UnixMilli()) // it is waited for there
		case !m.kept(s) && !s.Routed() && s.waiters.Load() > 0:
			m.keep(ctx, s)
		case s.Gateway() == m.Gateway && !s.Routed() && s.idle(now, m.Linger):
			m.end(s, nobodyWaits())
		case s.Engine() != nil && !s.used.Load() && now.Sub(s.Opened) > m.Unused:
			m.endUnused(ctx, s)
		}
	}
}

// idle says whether nobody has waited for the engine of s for so long.
func (s *Session) idle(now time.Time, linger time.Duration) bool {
	return s.waiters.Load() == 0 && now.Sub(s.waited()) > linger
}

func nobodyWaits() End { return End{Cause: Forgotten, Why: "Nobody waited for its engine."} }

// endUnused ends a session that this gateway has forwarded nothing of, unless its engine
// has it: then its client has gone to another gateway.
func (m *Manager) endUnused(ctx context.Context, s *Session) {
	ctx, cancel := context.WithTimeout(ctx, censusTimeout)
	defer cancel()
	census, err := m.Engines.Census(ctx, s.ref())
	if err != nil {
		return // the next sweep asks again
	}
	if fate, _ := census.Fate(s.User, s.ID, s.Opened, false); fate == engine.Present {
		s.used.Store(true)
		return
	}
	m.end(s, End{Cause: Lost, Why: fmt.Sprintf("It was opened and not used for %v.", m.Unused)})
}

// sweepShared sweeps what no living gateway looks after. One gateway at a time does it.
func (m *Manager) sweepShared(ctx context.Context) {
	err := m.sweeping(ctx, func() error {
		m.sweepOrphans()
		return m.compareRecords(ctx)
	})
	if err != nil && !m.sweptElsewhere(ctx, err) {
		m.Log.Warn("the records of sessions were not compared with what is known", "err", err)
	}
}

// sweeping does a task under the lock of sweepers.
func (m *Manager) sweeping(ctx context.Context, task func() error) error {
	waiting, cancel := context.WithTimeout(ctx, sweepPatience)
	defer cancel()
	unlock, err := m.Lock.Lock(waiting, "/sweep/sessions")
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }() // had it been lost, two would have swept the same
	return task()
}

// sweptElsewhere says whether an error is none: another gateway sweeps, or the store is
// away, or this gateway ends.
func (m *Manager) sweptElsewhere(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, discovery.ErrAway)
}

// sweepOrphans ends sessions whose gateway died while it opened them, and those whose
// engine is gone.
func (m *Manager) sweepOrphans() {
	now := m.Now()
	for _, s := range m.List() {
		linger := m.Linger
		if s.ahead {
			linger = m.Unused // its client has not come yet
		}
		ref := s.ref()
		switch {
		case !s.open() || s.Engine() != nil:
		case ref != "": // or about to be attached
			if !s.taken.IsZero() && now.Sub(s.taken) > unknownPatience && m.EngineGone(ref) {
				m.end(s, engineLost(ref))
			}
		case !m.kept(s) && s.idle(now, linger):
			m.end(s, nobodyWaits())
		}
	}
}

// compareRecords looks up where the records and what is known here differ.
func (m *Manager) compareRecords(ctx context.Context) error {
	records, err := m.Store.Sessions(ctx)
	if err != nil {
		return fmt.Errorf("read the records: %w", err)
	}
	live := map[Key]bool{}
	for _, r := range records {
		m.told(r, false)
		if r.Ended == nil {
			live[Key{r.User, r.SessionID}] = true
		}
	}
	for _, s := range m.List() {
		if s.stored.Load() && !live[s.Key] {
			m.doubt(s.Key)
		}
	}
	return nil
}
