// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"time"

	"roundhouse/internal/errs"
)

const (
	// stopWait is how long a driver may take to stop when asked to.
	stopWait = 30 * time.Second
	// stopMargin is what Stop takes besides stopWait and the grace of SIGTERM.
	stopMargin = 10 * time.Second
	// closeDelay lets calls see the broken connection of a dead engine, rather
	// than the gateway's own closing of it.
	closeDelay = 2 * time.Second
)

// watch waits for the end of an engine's process and buries it.
func (m *Manager) watch(e *Engine) {
	m.background(func() { m.followEngine(e) })
	select {
	case <-e.process.Done():
	case <-m.life.Done():
		e.process.Release()
		return
	}
	m.end(e, m.whyEnded(e, e.died()))
	e.process.Release()
	m.forget(e.refID, e.spec.Path(), m.folder(e))
	m.mu.Lock()
	delete(m.mu.engines, e.refID)
	m.newsLocked()
	m.mu.Unlock()
	close(e.buried)
	timer := time.NewTimer(closeDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-m.life.Done():
	}
	m.disconnect(e)
}

// folder is that of e where it is on this machine, else "".
func (m *Manager) folder(e *Engine) string {
	if _, far := e.process.(*distant); far {
		return ""
	}
	return e.workDir
}

// end takes e out of service for good and tells its sessions why.
func (m *Manager) end(e *Engine, why error) {
	m.mu.Lock()
	m.retireLocked(e)
	m.mu.Unlock()
	if e.end(why) {
		if far, ok := e.process.(*distant); ok {
			m.background(func() { m.awaitLoss(e, far) })
		}
		m.opts.OnChange(Change{ChangeEnded, e.refID, e.spec.LaunchUser, why})
		m.opts.Log.Info("engine ended", "engine", e.refID, "user", e.spec.LaunchUser, "why", why)
	}
}

// foundDead ends an engine that a check found dead, whatever its process does.
func (m *Manager) foundDead(e *Engine, why string) {
	m.end(e, m.whyEnded(e, fmt.Errorf("engine %s of %s (application %s) is dead: %s", e.refID, e.spec.LaunchUser, e.AppID(), why)))
	m.background(func() { m.terminate(e, true, why) })
}

// Stop ends the engine or the launch refID and returns when its process is
// gone, or with the cause of ctx; the end goes on then. For the process of another
// gateway's launch it does not wait. Its sessions learn the
// reason at once. Without kill the driver stops in its own way first.
func (m *Manager) Stop(ctx context.Context, refID string, kill bool, reason string) error {
	m.mu.Lock()
	e, l := m.mu.engines[refID], m.mu.starting[refID]
	_, other := m.mu.others[refID]
	if l != nil {
		m.settleLocked(l, nil, errs.New(errs.EngineLaunchFailed,
			"The launch of engine %s of %s was stopped: %s. Connect again when that is no longer so.", refID, l.spec.LaunchUser, reason))
	}
	m.mu.Unlock()
	var gone <-chan struct{}
	switch {
	case other:
		return m.stopOther(refID, reason)
	case l != nil:
		gone = l.gone
	case e != nil:
		gone = e.buried
		if !m.background(func() { m.terminate(e, kill, reason) }) {
			return errs.New(errs.ShuttingDown, "The gateway is shutting down; engine %s was not stopped.", refID)
		}
	default:
		return errs.New(errs.NotFound, "There is no engine %s. It may have ended already; list the engines to see those that run.", refID)
	}
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("engine %s is still ending: %w", refID, context.Cause(ctx))
	}
}

// stopOther ends a launch of another gateway, which learns of it from the record. A driver elsewhere
// whose gateway is gone gives up because nobody admits it.
func (m *Manager) stopOther(refID, reason string) error {
	m.mu.Lock()
	r := m.mu.others[refID]
	m.mu.Unlock()
	if m.alive(r) || !m.here(r) {
		return m.deleteRecord(refID)
	}
	err := m.tendOne(r) // its process must not be left behind
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.mu.starting[refID]; l != nil {
		m.settleLocked(l, nil, errs.New(errs.EngineLaunchFailed, "The launch of engine %s of %s was stopped: %s.", refID, l.spec.LaunchUser, reason))
	}
	if _, still := m.mu.others[refID]; still || err != nil {
		return errs.Wrap(errs.StoreAway, err, "The launch of engine %s of %s was not stopped: its gateway is gone, and no other one could take it over yet. "+
			"Try again in a minute.", refID, r.User)
	}
	return nil
}

// StopLimit is how long Stop takes for a process that can be ended at all.
func (m *Manager) StopLimit() time.Duration { return stopWait + m.opts.DestroyTimeout + stopMargin }

// terminate ends e and its process; watch buries it.
func (m *Manager) terminate(e *Engine, kill bool, reason string) {
	m.end(e, fmt.Errorf("engine %s of %s was stopped: %s", e.refID, e.spec.LaunchUser, reason))
	m.opts.OnStopping(e.refID)
	grace := time.Duration(0)
	if !kill {
		grace = m.opts.DestroyTimeout
		if m.stopped(e, reason) {
			return
		}
	}
	if err := e.process.End(m.life, grace); err != nil {
		m.opts.Log.Error("a process of an engine does not end", "engine", e.refID, "pid", e.process.Identity().PID, "err", err)
	}
}

// stopped asks the driver to stop and waits for that; false when it does not.
func (m *Manager) stopped(e *Engine, reason string) bool {
	if err := e.control.Order(m.life, orderStop, reason); err != nil {
		m.opts.Log.Warn("an engine does not take the order to stop", "engine", e.refID, "err", err)
		return false
	}
	timer := time.NewTimer(stopWait)
	defer timer.Stop()
	select {
	case <-e.process.Done():
		return true
	case <-m.life.Done():
		return true
	case <-timer.C:
		return false
	}
}
