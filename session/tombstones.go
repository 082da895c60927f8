// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"roundhouse/discovery"
)

const (
	// sweepMost is how many tombstones are removed in one go: others wait for the lock.
	sweepMost = 5000
	// roomMost is how many make room for live sessions in a store that is full.
	roomMost = 1000
	// crowd is which part of all tombstones may come before they are swept at once.
	crowd = 10
)

// countEnd has tombstones swept after many ends: nobody fills the store between two sweeps.
func (m *Manager) countEnd() {
	if m.ends.Add(1)*crowd >= int64(m.Tombstones) {
		m.sweepSoon()
	}
}

// sweepSoon has tombstones swept at once.
func (m *Manager) sweepSoon() {
	select {
	case m.crowded <- struct{}{}:
		m.ends.Store(0)
	default:
	}
}

// sweepTombstones removes those beyond the bounds, in batches.
func (m *Manager) sweepTombstones(ctx context.Context) {
	for {
		removed, err := m.removeTombstones(ctx, m.surplus)
		if err != nil && !m.sweptElsewhere(ctx, err) {
			m.Log.Warn("the records of ended sessions were not swept", "err", err)
		}
		if err != nil || removed < sweepMost {
			return
		}
	}
}

// makeRoom removes tombstones from a store that is full, and says whether it is worth
// trying again. It removes few, because sessions wait for it; the rest is swept.
func (m *Manager) makeRoom(ctx context.Context) bool {
	before := m.rooms.Load()
	removed, err := m.removeTombstones(ctx, func(ended []discovery.SessionRecord) []discovery.SessionRecord {
		if m.rooms.Load() != before {
			return nil // who had the lock before has made some
		}
		if surplus := m.surplus(ended); len(surplus) > 0 {
			ended = surplus
		}
		return ended[:min(len(ended), roomMost)]
	})
	if removed > 0 {
		m.rooms.Add(1)
	}
	if removed == roomMost {
		m.sweepSoon()
	}
	return m.rooms.Load() != before || errors.Is(err, context.DeadlineExceeded) // another gateway sweeps
}

// removeTombstones removes those that are chosen of all, which begin with the oldest. One whose key
// another session has by now is none any more.
func (m *Manager) removeTombstones(ctx context.Context, choose func([]discovery.SessionRecord) []discovery.SessionRecord) (int, error) {
	var removed atomic.Int64
	err := m.sweeping(ctx, func() error {
		records, err := m.Store.Sessions(ctx)
		if err != nil {
			return fmt.Errorf("read the records: %w", err)
		}
		ended := slices.DeleteFunc(records, func(r discovery.SessionRecord) bool { return r.Ended == nil })
		slices.SortFunc(ended, byEnd)
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(writeParallel)
		for _, r := range choose(ended) {
			group.Go(func() error {
				err := m.Store.DeleteSession(ctx, r)
				switch {
				case errors.Is(err, discovery.ErrConflict):
					return nil
				case err == nil:
					removed.Add(1)
				}
				return err
			})
		}
		return group.Wait()
	})
	return int(removed.Load()), err
}

// surplus are tombstones that are too old, those of users who have too many, and then the oldest
// beyond their number.
func (m *Manager) surplus(ended []discovery.SessionRecord) (surplus []discovery.SessionRecord) {
	now, count := m.Now(), map[string]int{}
	for _, r := range ended {
		count[r.User]++
	}
	var kept []discovery.SessionRecord
	for _, r := range ended {
		if count[r.User] > m.TombstonesPerUser || now.Sub(r.Ended.At) > m.TombstoneKeep {
			count[r.User]--
			surplus = append(surplus, r)
		} else {
			kept = append(kept, r)
		}
	}
	surplus = append(surplus, kept[:max(0, len(kept)-m.Tombstones)]...)
	return surplus[:min(len(surplus), sweepMost)]
}
