// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"roundhouse/discovery"
	"roundhouse/internal/errs"
)

// Groups knows the groups of users.
type Groups interface {
	// Primary is the primary group of a user, the user name for one without any.
	// An error says that it could not be found out.
	Primary(ctx context.Context, user string) (string, error)
}

// errNoGroup says that a launch needs the group of its user. It is asked for
// outside of the lock, and only then: it may take a while.
var errNoGroup = errors.New("the group of the user is not known yet")

// group is the primary group of a user. Without it nothing is launched: the
// limit would not hold.
func (m *Manager) group(ctx context.Context, user string) (string, error) {
	group, err := m.opts.Groups.Primary(ctx, user)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil:
		return "", errs.Wrap(errs.EngineLaunchFailed, err, "No engine was launched for %s, whose primary group could not be found out (%v), "+
			"and engines are limited for each (kyuubi.server.limit.engines.per.group). Try again in a moment.", user, err)
	}
	return group, nil
}

// roomLocked refuses one more engine like spec, the launch self, beyond a limit. It
// and what books the engine are under one lock, so no two launches get the last
// place. The records are those of engines that this gateway may not know yet.
func (m *Manager) roomLocked(spec Spec, self string, records []discovery.EngineRecord) error {
	if most := m.opts.UserLimit; most > 0 {
		ids, ending := m.countLocked(self, records, func(s Spec) bool { return s.Owner == spec.Owner && s.User() == spec.User() })
		if len(ids) >= most {
			return errs.New(errs.LimitExceeded, "User %s has %s and may have %d (kyuubi.server.limit.engines.per.user)%s: %s. "+
				"End the sessions of one of them and wait until it stops as idle, stop one (DELETE /api/v1/admin/engine), "+
				"or use launch options that an engine has already.",
				spec.Owner, countWords(len(ids)), most, endingWords(ending), strings.Join(ids, ", "))
		}
	}
	if most := m.opts.GroupLimit; most > 0 {
		if spec.Group == "" {
			return errNoGroup
		}
		ids, ending := m.countLocked(self, records, func(s Spec) bool { return s.Group == spec.Group || s.Group == "" })
		if len(ids) >= most {
			return errs.New(errs.LimitExceeded, "The users of group %s have %s and may have %d together (kyuubi.server.limit.engines.per.group)%s. "+
				"Wait until one of them stops as idle, or ask who of the group can end sessions.",
				spec.Group, countWords(len(ids)), most, endingWords(ending))
		}
	}
	return nil
}

// countLocked returns the ref ids of all launches and engines whose spec is
// meant, but for self, and how many of them have been told to end: an engine takes
// its place until its process is gone.
func (m *Manager) countLocked(self string, records []discovery.EngineRecord, meant func(Spec) bool) (ids []string, ending int) {
	all := map[string]Spec{}
	for _, r := range records {
		if spec, err := specOf(r); err == nil {
			all[r.RefID] = spec
		}
	}
	for id, l := range m.mu.starting {
		if l.claimed || !m.shared() { // else it may wait for that of another gateway
			all[id] = l.spec
		}
	}
	for id, e := range m.mu.engines {
		all[id] = e.spec
	}
	delete(all, self)
	for id, spec := range all {
		if !meant(spec) {
			continue
		}
		ids = append(ids, id)
		if e := m.mu.engines[id]; e != nil && e.State() == Ended {
			ending++
		}
	}
	slices.Sort(ids)
	return ids, ending
}

// countWords is a number of engines, in words for people.
func countWords(n int) string {
	if n == 1 {
		return "1 engine"
	}
	return fmt.Sprintf("%d engines", n)
}

// endingWords is a clause to add to a count of engines, "" when none is ending.
func endingWords(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return ", 1 of them is ending and makes room soon"
	default:
		return fmt.Sprintf(", %d of them are ending and make room soon", n)
	}
}

// FreeLaunches is how many launches could start at once; Engines tells who
// waits for their turn.
func (m *Manager) FreeLaunches() int { return m.queue.slots() }
