// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"log/slog"
	"time"

	"roundhouse/engine/control"
)

const (
	eventWait  = 30 * time.Second // of one long poll
	eventRetry = time.Second      // after a failed one
	// warmUpUser owns the plugin's own warm-up sessions.
	warmUpUser = "roundhouse-warmup"
)

// follow reads the events of an engine until it ends.
func (m *Manager) follow(e *Engine) {
	failing := false
	for e.life.Err() == nil {
		err := m.followOn(e)
		if err != nil {
			m.pause(e, err, !failing)
		}
		failing = err != nil
	}
}

// followOn waits for the next events, or makes up for missed ones.
func (m *Manager) followOn(e *Engine) error {
	if e.behind {
		return m.catchUp(e.life, e)
	}
	got, err := e.control.Events(e.life, e.after, eventWait)
	if err != nil {
		return err
	}
	if got.Lost {
		m.opts.Log.Warn("events of an engine were lost; its sessions are compared", "engine", e.refID, "after", e.after)
		e.behind = true
		return nil
	}
	e.after = got.Last
	for _, event := range got.Events {
		if !m.handle(e, event) {
			e.behind = true
		}
	}
	return nil
}

// pause waits before the next attempt; only the first failure in a row is logged.
func (m *Manager) pause(e *Engine, err error, first bool) {
	if first && e.life.Err() == nil {
		level := slog.LevelWarn
		if e.parting() != "" { // it has said goodbye
			level = slog.LevelDebug
		}
		m.opts.Log.Log(e.life, level, "the events of an engine cannot be read", "engine", e.refID, "err", err)
	}
	timer := time.NewTimer(eventRetry)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-e.life.Done():
	}
}

// handle takes in one event; false when only a census can tell what it means.
func (m *Manager) handle(e *Engine, event control.Event) bool {
	switch event.Type {
	case control.SessionClosed:
		return event.User == warmUpUser || m.opts.OnSessionClosed(e.refID, event.User, event.SessionID, event.Reason)
	case control.Draining, control.Stopping:
		m.leaving(e, partingWords(event.Reason, event.Detail))
	}
	return true
}

// leaving gives e no more sessions, for the driver is going to stop.
func (m *Manager) leaving(e *Engine, why string) {
	e.retire(why)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.retireLocked(e)
}
