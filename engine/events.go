// SPDX-License-Identifier: Apache-2.0

package engine

import (
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
	after, failing := int64(0), false
	for e.life.Err() == nil {
		got, err := e.control.Events(e.life, after, eventWait)
		if err != nil {
			m.pause(e, err, !failing)
			failing = true
			continue
		}
		failing = false
		if got.Lost {
			m.opts.Log.Warn("events of an engine were lost", "engine", e.refID, "after", after)
		}
		for _, event := range got.Events {
			m.handle(e, event)
		}
		after = got.Last
	}
}

// pause waits before the next attempt; only the first failure in a row is logged.
func (m *Manager) pause(e *Engine, err error, first bool) {
	if first && e.life.Err() == nil {
		m.opts.Log.Warn("the events of an engine cannot be read", "engine", e.refID, "err", err)
	}
	timer := time.NewTimer(eventRetry)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-e.life.Done():
	}
}

func (m *Manager) handle(e *Engine, event control.Event) {
	switch event.Type {
	case control.SessionClosed:
		if event.User != warmUpUser {
			m.opts.OnSessionClosed(e.refID, event.User, event.SessionID, event.Reason)
		}
	case control.Draining, control.Stopping:
		e.retire(partingWords(event.Reason, event.Detail))
		m.mu.Lock()
		m.retireLocked(e)
		m.mu.Unlock()
	}
}
