// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"time"

	"roundhouse/engine/enginetest"
)

// sessionChanged hears from the engine; a look at the sessions follows.
func (d *driver) sessionChanged(e enginetest.SessionEvent) {
	if e.Opened {
		now := time.Now()
		d.opened.Store(&now)
	} else {
		d.mu.Lock()
		d.mu.reasons[sessionID{e.User, e.ID}] = string(e.Reason)
		d.mu.Unlock()
	}
	d.lookSoon()
}

// lookSoon has the sessions looked at without waiting for the next time.
func (d *driver) lookSoon() {
	select {
	case d.looks <- struct{}{}:
	default: // one is due already
	}
}

// reasonOf takes why a session ended.
func (d *driver) reasonOf(id sessionID) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	reason := cmp.Or(d.mu.reasons[id], string(enginetest.ReasonReleased))
	delete(d.mu.reasons, id)
	return reason
}

// lookAfter looks at the sessions from the registration to the end.
func (d *driver) lookAfter(ctx context.Context) {
	select {
	case <-d.welcomed:
	case <-ctx.Done():
		return
	}
	a := newActivity(d.s, time.Now())
	tick := time.NewTicker(d.s.pollInterval())
	defer tick.Stop()
	for {
		d.look(ctx, a)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-d.looks:
		case w := <-d.holds:
			w.taken <- d.holdNow(a, w)
		}
	}
}

// holdWish is one to hold the engine.
type holdWish struct {
	reason string
	limit  time.Duration
	taken  chan<- bool
}

// hold implements handler: who looks at the sessions decides.
func (d *driver) hold(ctx context.Context, reason string, limit time.Duration) bool {
	taken := make(chan bool, 1)
	select {
	case d.holds <- holdWish{reason, limit, taken}:
		return <-taken
	case <-ctx.Done():
		return false
	}
}

func (d *driver) holdNow(a *activity, w holdWish) bool {
	if d.state() != "running" {
		return false
	}
	d.log.info("Engine", "Engine %s is held for %v at most: %s", d.s.refID, w.limit, w.reason)
	a.hold(time.Now(), w.limit)
	return true
}

// look publishes what changed, closes idle sessions and ends the engine when
// nobody needs it.
func (d *driver) look(ctx context.Context, a *activity) {
	if d.stopping.Load() {
		return
	}
	now := time.Now()
	if opened := d.opened.Swap(nil); opened != nil {
		a.markOpened(*opened)
	}
	a.draining = d.draining.Load()
	if d.observe(a, now) {
		d.observe(a, now)
	}
	if v := a.aging(now); v != nil {
		d.startDraining(*v)
		a.draining = v
	}
	if v := a.ending(now); v != nil {
		d.leave(ctx, *v)
	}
}

// leave takes the registration back and ends the engine, unless sessions were sent to it
// meanwhile: they are served first.
func (d *driver) leave(ctx context.Context, v verdict) {
	if d.settled.IsZero() {
		if d.registrar.deregister(ctx, v, deregisterIdle) == answerBusy {
			return
		}
		d.settled = time.Now().Add(d.registrar.settle())
		if rest := d.registrar.settle(); rest > 0 {
			d.startDraining(v)
			time.AfterFunc(rest, d.lookSoon)
		}
	}
	if !time.Now().Before(d.settled) {
		d.end(ending{exitOrderly, v})
	}
}

// observe reports whether it closed an idle session.
func (d *driver) observe(a *activity, now time.Time) (closed bool) {
	for _, c := range a.observe(d.engine.Sessions(), d.reasonOf, now) {
		if c.kind != "idle" {
			d.events.add(event{Type: c.kind, User: c.session.user, SessionID: c.session.id, Reason: c.reason})
			continue
		}
		d.log.info("Engine", "Session %s of user %s is idle and is closed", c.session.id, c.session.user)
		d.engine.CloseSession(c.session.user, c.session.id)
		closed = true
	}
	return closed
}

func (d *driver) startDraining(v verdict) {
	if d.draining.CompareAndSwap(nil, &v) {
		d.events.add(event{Type: eventDraining, Reason: v.reason, Detail: v.detail})
	}
}
