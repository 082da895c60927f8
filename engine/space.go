// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"time"

	"roundhouse/discovery"
	"roundhouse/internal/secret"
)

// openSpace lets the engine of l, and those that are in its space already, create
// their nodes.
func (m *Manager) openSpace(l *launch) error {
	ctx, cancel := context.WithTimeout(l.ctx, storeTimeout)
	defer cancel()
	records, err := m.opts.Store.Engines(ctx)
	if err != nil {
		return err
	}
	path := l.spec.Path()
	all := m.credentials(l.refID)
	for _, r := range records {
		if r.Path == path && r.RefID != l.refID {
			all = append(all, m.credentials(r.RefID)...)
		}
	}
	return m.opts.Cluster.OpenSpace(ctx, path, all)
}

// credentials are those that the engine refID may have: one for each secret.
func (m *Manager) credentials(refID string) []discovery.Credential {
	var all []discovery.Credential
	for _, cluster := range m.opts.Secrets {
		all = append(all, discovery.Credential{RefID: refID, Key: secret.Derive(cluster, secret.LabelZooKeeper, refID)})
	}
	return all
}

// closeSpace removes the space of an engine that is gone, unless there is another
// one. The node of an engine that was killed would be in it until ZooKeeper's session timeout.
func (m *Manager) closeSpace(spec Spec) {
	if !m.shared() {
		return
	}
	ctx, cancel := context.WithTimeout(m.life, storeTimeout)
	defer cancel()
	unlock, err := m.opts.Cluster.Lock(ctx, spec.lockPath())
	if err != nil {
		return
	}
	defer unlock()
	records, err := m.opts.Store.Engines(ctx)
	if err != nil {
		return
	}
	for _, r := range records {
		if r.Path == spec.Path() {
			return
		}
	}
	if m.opts.Sweeper != nil {
		_, err = m.opts.Sweeper.SweepSpace(ctx, spec.Path(), func(discovery.Node) bool { return false })
	}
	if err := errors.Join(err, m.opts.Cluster.CloseSpace(ctx, spec.Path())); err != nil {
		m.opts.Log.Debug("an engine space stays behind", "path", spec.Path(), "err", err)
	}
}

// awaitNode admits the engine of l once its node is in its space.
func (m *Manager) awaitNode(l *launch) {
	for l.ctx.Err() == nil {
		ctx, cancel := context.WithCancel(l.ctx)
		nodes, err := m.opts.Cluster.Watch(ctx, l.spec.Path())
		if err != nil {
			m.opts.Log.Warn("the space of an engine that starts cannot be watched", "engine", l.refID, "path", l.spec.Path(), "err", err)
		} else if m.admitFrom(l, nodes) {
			cancel()
			return
		}
		cancel()
		m.rest(l)
	}
}

// rest waits a moment, unless l ends.
func (m *Manager) rest(l *launch) {
	timer := time.NewTimer(claimPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.ctx.Done():
	}
}

// admitFrom admits the engine of l from the lists of nodes; false when they end
// before that. An engine whose application waits for resources is asked about
// again.
func (m *Manager) admitFrom(l *launch, nodes <-chan []discovery.Node) bool {
	again := time.NewTicker(lookInterval)
	defer again.Stop()
	var list []discovery.Node
	for {
		select {
		case next, open := <-nodes:
			if !open {
				return false
			}
			list = next
		case <-again.C:
		}
		for _, node := range list {
			if node.RefID == l.refID && m.takeNode(l, node) {
				return true
			}
		}
	}
}

// takeNode admits the engine of l at its node, if that is genuine.
func (m *Manager) takeNode(l *launch, node discovery.Node) bool {
	_, keys, err := m.verify(l.refID, l.spec.Path(), node.String())
	if err != nil {
		m.opts.OnForged(l.spec.Path())
		m.opts.Log.Warn("a node that its engine did not sign is ignored", "path", l.spec.Path(), "address", node.Address, "err", err)
		return false
	}
	if err := m.wait(l.ctx, l, node.Attributes[attrAppID]); err != nil {
		return false
	}
	cold, err := m.admit(l, node, keys)
	if err != nil {
		m.opts.Log.Warn("an engine was not taken into service", "engine", l.refID, "user", l.spec.LaunchUser, "err", err)
		return false
	}
	if cold {
		m.background(func() { m.warmUp(l.refID) })
	}
	return true
}

// warmUp asks an engine that no client waits for to run a first query.
func (m *Manager) warmUp(refID string) {
	m.mu.Lock()
	e := m.mu.engines[refID]
	m.mu.Unlock()
	if e == nil {
		return
	}
	if err := e.control.Order(e.life, orderWarmUp, ""); err != nil {
		m.opts.Log.Debug("an engine does not warm up", "engine", refID, "err", err)
	}
}

const (
	// sweepRounds is how many rounds of tend go by between two sweeps of the spaces.
	sweepRounds = 6
	// spacesLock is held by the one gateway that sweeps.
	spacesLock = "/sweep/spaces"
)

// sweepSpaces removes nodes that belong to no engine from all spaces, unless
// another gateway is at it.
func (m *Manager) sweepSpaces() {
	ctx, cancel := context.WithTimeout(m.life, tendLockTime)
	defer cancel()
	unlock, err := m.opts.Cluster.Lock(ctx, spacesLock)
	if err != nil {
		return
	}
	defer unlock()
	records, err := m.opts.Store.Engines(ctx)
	if err != nil {
		return
	}
	spaces := map[string]map[string]bool{} // path, then ref ids
	for _, r := range records {
		if spaces[r.Path] == nil {
			spaces[r.Path] = map[string]bool{}
		}
		spaces[r.Path][r.RefID] = true
	}
	for path, known := range spaces {
		m.sweepSpace(path, known)
	}
}

// sweepSpace removes from a space what is not signed by one of its engines.
func (m *Manager) sweepSpace(path string, known map[string]bool) {
	ctx, cancel := context.WithTimeout(m.life, storeTimeout)
	defer cancel()
	removed, err := m.opts.Sweeper.SweepSpace(ctx, path, func(n discovery.Node) bool {
		_, _, err := m.verify(n.RefID, path, n.String())
		return known[n.RefID] && err == nil
	})
	for range removed {
		m.opts.OnForged(path)
	}
	if removed > 0 || err != nil {
		m.opts.Log.Warn("nodes that no engine signed were removed", "path", path, "removed", removed, "err", err)
	}
}
