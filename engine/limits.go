// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"slices"
	"strings"

	"roundhouse/internal/errs"
)

// Groups knows the groups of users.
type Groups interface {
	// Primary is the primary group of a user, the user name for one without any.
	Primary(ctx context.Context, user string) string
}

// roomLocked refuses one more engine like spec beyond a limit. It and what
// books the engine are under one lock, so no two launches get the last place.
func (m *Manager) roomLocked(spec Spec) error {
	if most := m.opts.UserLimit; most > 0 {
		ids := m.countLocked(func(s Spec) bool { return s.LaunchUser == spec.LaunchUser })
		if len(ids) >= most {
			return errs.New(errs.LimitExceeded, "User %s has %d engines and may have %d (kyuubi.server.limit.engines.per.user): %s. "+
				"End the sessions of one of them and wait until it stops as idle, stop one (DELETE /api/v1/admin/engine), "+
				"or use launch options that an engine has already.",
				spec.LaunchUser, len(ids), most, strings.Join(ids, ", "))
		}
	}
	if most := m.opts.GroupLimit; most > 0 {
		ids := m.countLocked(func(s Spec) bool { return s.Group == spec.Group })
		if len(ids) >= most {
			return errs.New(errs.LimitExceeded, "The users of group %s have %d engines and may have %d together (kyuubi.server.limit.engines.per.group). "+
				"Wait until one of them stops as idle, or ask who of the group can end sessions.",
				spec.Group, len(ids), most)
		}
	}
	return nil
}

// countLocked returns the ref ids of all launches and engines, draining ones
// included, whose spec is meant.
func (m *Manager) countLocked(meant func(Spec) bool) []string {
	var ids []string
	for id, e := range m.mu.engines {
		if meant(e.spec) && e.State() != Ended {
			ids = append(ids, id)
		}
	}
	for id, l := range m.mu.starting {
		if meant(l.spec) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// FreeLaunches is how many launches could start at once; Engines tells who
// waits for their turn.
func (m *Manager) FreeLaunches() int { return m.queue.slots() }
