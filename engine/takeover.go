// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"time"

	"roundhouse/discovery"
	"roundhouse/engine/local"
)

const (
	// tendInterval is how often a gateway looks for launches of gateways that died.
	tendInterval = 5 * time.Second
	// tendLockTime is how long it waits for the lock of a space then: another gateway
	// may be at it.
	tendLockTime = 2 * time.Second
)

// takeOver goes on with the launch r of a gateway that died, or removes what is
// left of it. The lock of the space is held. It returns true when the launch goes
// on and l, which may be nil, is to wait for it.
func (m *Manager) takeOver(l *launch, r discovery.EngineRecord) (wait bool, err error) {
	log := m.opts.Log.With("engine", r.RefID, "user", r.User, "gateway", r.Owner.Gateway)
	if !m.here(r) {
		log.Warn("a launch of a gateway on another machine, which is gone, is given up")
		m.forget(r.RefID, r.Path, "")
		return false, nil
	}
	process, err := m.opts.Launcher.Open(local.Identity{PID: r.PID, Start: r.StartTime}, r.WorkDir)
	if errors.Is(err, local.ErrGone) {
		log.Info("a launch of a gateway that is gone has ended")
		m.forget(r.RefID, r.Path, r.WorkDir)
		return false, nil
	}
	if err != nil {
		log.Warn("the launch of a gateway that is gone cannot be looked at yet", "err", err)
		return true, nil
	}
	spec, err := specOf(r)
	if err != nil {
		m.disown(r, process, err)
		return false, nil
	}
	log.Info("a launch of a gateway that is gone goes on here")
	taken, err := m.inheritLaunch(r, spec, process)
	if err == nil && l != nil {
		m.waitsFor(l, taken)
	}
	return err == nil, err
}

// waitsFor counts l among the waiters of a launch until it is settled.
func (m *Manager) waitsFor(l, taken *launch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if taken.settled {
		return
	}
	taken.join()
	m.backgroundLocked(func() {
		select {
		case <-l.done:
		case <-taken.done:
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		switch {
		case !taken.settled:
			m.leaveLocked(taken, nil)
		case taken.engine != nil:
			taken.engine.leave() // l takes its own leases
		}
	})
}

func (m *Manager) deleteRecord(refID string) error {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	return m.opts.Store.DeleteEngine(ctx, refID)
}

// tend takes over launches of gateways that died, whether or not a client waits
// for them, until the manager ends.
func (m *Manager) tend() {
	tick := time.NewTicker(tendInterval)
	defer tick.Stop()
	for {
		select {
		case <-m.life.Done():
			return
		case <-tick.C:
		}
		m.forgetLeftovers()
		m.tendDistant()
		records, err := m.opts.Store.Engines(m.life)
		if err != nil {
			continue // to the end, or until all can be read
		}
		for _, r := range records {
			m.tryAgain(r)
			if m.orphaned(r) {
				_ = m.tendOne(r) // there is a next round
			}
			m.tendLost(r)
		}
	}
}

// tryAgain adopts an engine that could not be used here before.
func (m *Manager) tryAgain(r discovery.EngineRecord) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.engines[r.RefID] == nil && m.mu.starting[r.RefID] == nil && r.Node != "" {
		m.adoptLocked(r)
	}
}

// orphaned says whether r is a launch for this gateway to tend. A launch elsewhere is
// left to gateways there until its driver has given up.
func (m *Manager) orphaned(r discovery.EngineRecord) bool {
	m.mu.Lock()
	_, known := m.mu.engines[r.RefID]
	_, ending := m.mu.ending[r.RefID]
	busy := ending || m.mu.starting[r.RefID] != nil || m.mu.adopting[r.RefID]
	m.mu.Unlock()
	if busy || known || r.Node != "" {
		return false
	}
	if r.Owner.Gateway != m.opts.Self.Gateway && m.alive(r) {
		return false
	}
	return m.here(r) || time.Since(r.Submitted) > 2*m.opts.InitializeTimeout
}

// tendOne takes r over unless somebody else has done so.
func (m *Manager) tendOne(r discovery.EngineRecord) error {
	ctx, cancel := context.WithTimeout(m.life, tendLockTime)
	defer cancel()
	spec, err := specOf(r)
	if err != nil {
		return err // of another version
	}
	unlock, err := m.opts.Cluster.Lock(ctx, spec.lockPath())
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }() // what is written tells whose it is
	records, err := m.opts.Store.Engines(ctx)
	if err != nil {
		return err
	}
	for _, now := range records {
		if now.RefID != r.RefID || !m.orphaned(now) {
			continue
		}
		if _, err := m.takeOver(nil, now); err != nil {
			m.opts.Log.Warn("the launch of a gateway that is gone stays behind", "engine", r.RefID, "err", err)
			return err
		}
	}
	return nil
}
