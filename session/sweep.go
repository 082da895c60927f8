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

const (
	// sweepPatience is how long a gateway waits for its turn to sweep what is everybody's;
	// another one that sweeps at this moment does it for all.
	sweepPatience = 2 * time.Second
	// sweepMost is how many tombstones one sweep removes: others wait for its lock.
	sweepMost = 1000
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
		case s.keeper() == m.Gateway && !s.Routed() && s.idle(now, m.Linger):
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
	waiting, cancel := context.WithTimeout(ctx, sweepPatience)
	defer cancel()
	unlock, err := m.Lock.Lock(waiting, "/sweep/sessions")
	if err != nil {
		return // the store is away, or another gateway sweeps
	}
	defer unlock()
	m.sweepOrphans()
	if err := m.sweepRecords(ctx); err != nil && ctx.Err() == nil {
		m.Log.Warn("the records of ended sessions were not swept", "err", err)
	}
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
		switch {
		case !s.open() || s.Engine() != nil:
		case s.Routed(): // or about to be attached
			if !s.taken.IsZero() && now.Sub(s.taken) > unknownPatience && m.EngineGone(s.ref()) {
				m.end(s, engineLost(s.ref()))
			}
		case !m.kept(s) && s.idle(now, linger):
			m.end(s, nobodyWaits())
		}
	}
}

// sweepRecords removes tombstones that are too old or too many, and looks up where the
// records and what is known here differ.
func (m *Manager) sweepRecords(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	records, err := m.Store.Sessions(ctx)
	if err != nil {
		return fmt.Errorf("read the records: %w", err)
	}
	slices.SortFunc(records, byEnd)
	live := map[Key]bool{}
	var ended []discovery.SessionRecord
	for _, r := range records {
		m.told(r, false)
		if r.Ended != nil {
			ended = append(ended, r)
		} else {
			live[Key{r.User, r.SessionID}] = true
		}
	}
	for _, s := range m.List() {
		if s.stored.Load() && !live[s.Key] {
			m.doubt(s.Key)
		}
	}
	return m.removeTombstones(ctx, ended)
}

// removeTombstones of ended, which begin with the oldest.
func (m *Manager) removeTombstones(ctx context.Context, ended []discovery.SessionRecord) error {
	var group errgroup.Group
	group.SetLimit(writeParallel)
	surplus := len(ended) - m.Tombstones
	for i, r := range ended[:min(len(ended), sweepMost)] {
		if i < surplus || m.Now().Sub(r.Ended.At) > m.TombstoneKeep {
			group.Go(func() error { return m.Store.DeleteSession(ctx, r.User, r.SessionID) })
		}
	}
	return group.Wait()
}
