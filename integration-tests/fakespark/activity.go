// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"roundhouse/engine/enginetest"
)

// sessionID names a session in this engine.
type sessionID struct{ user, id string }

// verdict says why the engine should end or drain.
type verdict struct{ reason, detail string }

// activity decides from what is seen which sessions are idle and whether the
// engine is still needed. It reads no clock and is used by one goroutine.
type activity struct {
	s        settings
	start    time.Time
	open     map[sessionID]tracked
	used     bool
	lastUsed time.Time
	draining *verdict

	heldSince, heldUntil time.Time
}

// tracked is a session, when it was last seen at work, and whether it was
// given out as idle.
type tracked struct {
	info    enginetest.SessionInfo
	busy    time.Time
	closing bool
}

// change is what one look showed: a session opened, closed for a reason, or
// idle and to be closed now.
type change struct {
	session sessionID
	kind    string // eventOpened, eventClosed or "idle"
	reason  string
}

func newActivity(s settings, now time.Time) *activity {
	return &activity{s: s, start: now, lastUsed: now, open: make(map[sessionID]tracked)}
}

// markUsed notes a session that may be gone before anybody looks.
func (a *activity) markUsed(now time.Time) { a.used, a.lastUsed = true, now }

// markOpened notes a session that was opened then: it ends a hold.
func (a *activity) markOpened(then time.Time) {
	a.markUsed(then)
	if then.After(a.heldSince) {
		a.heldUntil = time.Time{}
	}
}

// hold has the engine wait for the next session, so long at most, as if it were in use.
func (a *activity) hold(now time.Time, limit time.Duration) {
	a.heldSince, a.heldUntil = now, latest(a.heldUntil, now.Add(limit))
}

// observe takes in the open sessions; reason tells why one that is gone ended.
func (a *activity) observe(seen []enginetest.SessionInfo, reason func(sessionID) string, now time.Time) []change {
	current := make(map[sessionID]enginetest.SessionInfo, len(seen))
	for _, i := range seen {
		current[sessionID{i.User, i.ID}] = i
	}
	if len(current) > 0 {
		a.markUsed(now)
	}
	changes := a.forgetGone(current, reason)
	for id, info := range current {
		before, known := a.open[id]
		if !known {
			before = tracked{busy: info.Opened}
			changes = append(changes, change{id, eventOpened, ""})
		}
		if info.Running > 0 {
			before.busy = now
		}
		before.info, before.closing = info, over(a.s.sessionIdle, latest(info.LastAccess, before.busy), now)
		a.open[id] = before
		if before.closing {
			changes = append(changes, change{id, "idle", ""})
		}
	}
	return changes
}

func (a *activity) forgetGone(current map[sessionID]enginetest.SessionInfo, reason func(sessionID) string) []change {
	var changes []change
	for id, t := range a.open {
		now, open := current[id]
		if open && now.ServerSide == t.info.ServerSide {
			continue
		}
		delete(a.open, id)
		why := reason(id)
		if t.closing {
			why = "idle"
		}
		changes = append(changes, change{id, eventClosed, why})
	}
	return changes
}

// ending is whether the engine is to end now: drained, unused or idle.
func (a *activity) ending(now time.Time) *verdict {
	switch {
	case len(a.open) > 0:
		return nil
	case a.draining != nil:
		return a.draining
	case now.Before(a.heldUntil):
		return nil
	case !a.used && over(a.s.initialWait, a.start, now):
		return &verdict{"unused", "No session was opened within " + a.s.initialWait.String() + "."}
	case over(a.s.engineIdle, a.lastUsed, now):
		return &verdict{"idle", "There was no session for " + a.s.engineIdle.String() + "."}
	}
	return nil
}

// aging is whether the engine has grown too old just now.
func (a *activity) aging(now time.Time) *verdict {
	if a.draining != nil || !over(a.s.maxLifetime, a.start, now) {
		return nil
	}
	return &verdict{"lifetime", "The engine is older than " + a.s.maxLifetime.String() + "."}
}

func over(timeout time.Duration, since, now time.Time) bool {
	return timeout > 0 && now.Sub(since) >= timeout
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
