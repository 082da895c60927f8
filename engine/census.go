// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"roundhouse/engine/control"
)

// Fate is what became of a session in its driver.
type Fate int

// The fates of a session.
const (
	// Present: the driver has it, or will tell of its end.
	Present Fate = iota
	// Unseen: the driver never had it.
	Unseen
	// Closed: the driver closed it and says why.
	Closed
	// Vanished: the driver does not have it and has forgotten how it ended.
	Vanished
)

// Census is what a driver knows of sessions at one moment: those it has, and
// from its last events how others ended.
type Census struct {
	open map[sessionName]bool
	last map[sessionName]control.Event // the newest one that the driver remembers
	from time.Time                     // its memory reaches back so far; zero: it is complete
}

type sessionName struct{ user, id string }

func newCensus(history control.Events, status control.Status) Census {
	c := Census{open: map[sessionName]bool{}, last: map[sessionName]control.Event{}}
	if history.Lost && len(history.Events) > 0 {
		c.from = time.UnixMilli(history.Events[0].TimeMs)
	}
	for _, event := range history.Events {
		if event.Type == control.SessionOpened || event.Type == control.SessionClosed {
			c.last[sessionName{event.User, event.SessionID}] = event
		}
	}
	for _, s := range status.Sessions {
		c.open[sessionName{s.User, s.SessionID}] = true
	}
	return c
}

// Fate says what became of a session that was routed to the engine at the given
// time, and for Closed the driver's word for the reason: idle, released or
// expired. known says that the driver has answered a call of it; an end in the
// millisecond of the route of one that is not is taken for that of an earlier
// session of its id.
func (c Census) Fate(user, id string, routed time.Time, known bool) (fate Fate, reason string) {
	name := sessionName{user, id}
	last, told := c.last[name]
	at := routed.UnixMilli()
	told = told && (last.TimeMs > at || last.TimeMs == at && (known || last.Type == control.SessionOpened))
	switch {
	case c.open[name]:
		return Present, ""
	case told && last.Type == control.SessionClosed:
		return Closed, last.Reason
	case told:
		return Present, "" // its end comes as an event
	case c.from.After(routed):
		return Vanished, ""
	}
	return Unseen, ""
}

// CatchUp learns from the engines of earlier gateways what happened to their
// sessions meanwhile and tells it (Options.OnCensus). Engines that do not answer
// before ctx ends are asked again while Run runs. It belongs between NewManager
// and Run, when the sessions are there.
func (m *Manager) CatchUp(ctx context.Context) {
	m.mu.Lock()
	var behind []*Engine
	for _, e := range m.mu.engines {
		behind = append(behind, e)
	}
	m.mu.Unlock()
	var group errgroup.Group
	group.SetLimit(inheritParallel)
	for _, e := range behind {
		group.Go(func() error {
			if err := m.catchUp(ctx, e); err != nil {
				m.opts.Log.Warn("an engine of an earlier gateway does not tell of its sessions; it is asked again", "engine", e.refID, "err", err)
			}
			return nil
		})
	}
	_ = group.Wait() // no function returns an error
}

// ask reads what a census is made of. The events are read first: what happens
// between the two questions is told by the events that follow.
func ask(ctx context.Context, e *Engine) (control.Events, control.Status, error) {
	history, err := e.control.Events(ctx, 0, 0)
	if err != nil {
		return history, control.Status{}, fmt.Errorf("read the events: %w", err)
	}
	status, err := e.control.Status(ctx)
	if err != nil {
		return history, status, fmt.Errorf("read the status: %w", err)
	}
	return history, status, nil
}

// catchUp compares the gateway's sessions on e with the driver's, instead of
// the events that were missed.
func (m *Manager) catchUp(ctx context.Context, e *Engine) error {
	history, status, err := ask(ctx, e)
	if err != nil {
		return err
	}
	for _, event := range history.Events {
		if event.Type == control.Draining || event.Type == control.Stopping {
			m.leaving(e, partingWords(event.Reason, event.Detail))
		}
	}
	if status.State != string(Running) {
		m.leaving(e, "")
	}
	m.opts.OnCensus(e.refID, newCensus(history, status))
	e.after, e.behind = history.Last, false
	return nil
}
