// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"slices"
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
// What stays goes with a sweep.
func (m *Manager) closeSpace(path string) {
	spec, err := parsePath(path)
	if err != nil {
		return // of another version
	}
	ctx, cancel := context.WithTimeout(m.life, storeTimeout)
	defer cancel()
	unlock, err := m.opts.Cluster.Lock(ctx, spec.lockPath())
	if err != nil {
		return
	}
	defer func() { _ = unlock() }() // the space is made again with the next launch
	records, err := m.opts.Store.Engines(ctx)
	if err != nil || slices.ContainsFunc(records, func(r discovery.EngineRecord) bool { return r.Path == path }) {
		return
	}
	_, err = m.opts.Cluster.SweepSpace(ctx, path, func(discovery.Node) bool { return false })
	if err := errors.Join(err, m.opts.Cluster.CloseSpace(ctx, path)); err != nil {
		m.opts.Log.Debug("an engine space stays behind", "path", path, "err", err)
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
		m.rest(l.ctx)
	}
}

// rest waits a moment, unless ctx ends.
func (m *Manager) rest(ctx context.Context) {
	timer := time.NewTimer(claimPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// admitFrom admits the engine of l from the lists of nodes; false when they end
// before that. An engine whose application waits for resources is asked about
// again.
func (m *Manager) admitFrom(l *launch, nodes <-chan []discovery.Node) bool {
	again := time.NewTicker(lookInterval)
	defer again.Stop()
	forged := map[string]bool{} // those that were told of
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
			if node.RefID == l.refID && !forged[node.String()] && m.takeNode(l, node, forged) {
				return true
			}
		}
	}
}

// takeNode admits the engine of l at its node, if that is genuine.
func (m *Manager) takeNode(l *launch, node discovery.Node, forged map[string]bool) bool {
	_, keys, err := m.verify(l.refID, l.spec.Path(), node.String())
	if err != nil {
		forged[node.String()] = true
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
	// spacesInterval is how much time lies between two sweeps of the spaces.
	spacesInterval = 15 * time.Second
	// spacesLock is held by the one gateway that sweeps.
	spacesLock = "/sweep/spaces"
)

// tendSpaces sweeps the spaces, which may take long, until the manager ends.
func (m *Manager) tendSpaces() {
	tick := time.NewTicker(spacesInterval)
	defer tick.Stop()
	for {
		select {
		case <-m.life.Done():
			return
		case <-tick.C:
		}
		m.sweepSpaces()
	}
}

// sweepSpaces removes nodes that belong to no engine from all spaces, and spaces
// without engines, unless another gateway is at it. Without the store it ends early.
func (m *Manager) sweepSpaces() {
	ctx, cancel := context.WithTimeout(m.life, tendLockTime)
	defer cancel()
	unlock, err := m.opts.Cluster.Lock(ctx, spacesLock)
	if err != nil {
		return
	}
	defer func() { _ = unlock() }() // two at once do no harm
	listing, stop := context.WithTimeout(m.life, storeTimeout)
	defer stop()
	paths, err := m.opts.Cluster.Spaces(listing)
	records, fault := m.opts.Store.Engines(listing)
	if err := errors.Join(err, fault); err != nil {
		if m.life.Err() == nil && !errors.Is(err, discovery.ErrAway) {
			m.opts.Log.Warn("engine spaces cannot be swept", "err", err)
		}
		return
	}
	s := sweeping{engines: map[string]string{}, strange: map[string]bool{}}
	for _, r := range records {
		s.engines[r.RefID] = r.Path
	}
	for _, path := range paths {
		if err := m.sweepSpace(path, s); errors.Is(err, discovery.ErrAway) || m.life.Err() != nil {
			return
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.strange = s.strange
}

// sweeping is one sweep of all spaces.
type sweeping struct {
	engines map[string]string // paths of the spaces of those that have a record, by ref id
	strange map[string]bool   // is to be Manager.mu.strange
}

// sweepSpace removes from a space what has been without an engine for two sweeps. A
// node of an engine may be older than what is known here of it.
func (m *Manager) sweepSpace(path string, s sweeping) error {
	ctx, cancel := context.WithTimeout(m.life, storeTimeout)
	defer cancel()
	used, stale := false, 0
	removed, err := m.opts.Cluster.SweepSpace(ctx, path, func(n discovery.Node) bool {
		_, _, forged := m.verify(n.RefID, path, n.String())
		if forged == nil && s.engines[n.RefID] == path {
			used = true
			return true
		}
		seen := m.strangeBefore(path+"\x00"+n.String(), s)
		if seen && forged == nil { // its engine has ended
			stale++
		}
		return !seen
	})
	if forged := removed - stale; forged > 0 {
		for range forged {
			m.opts.OnForged(path)
		}
		m.opts.Log.Warn("nodes that no engine signed are removed from an engine space", "path", path, "removed", forged)
	}
	m.tellUnswept(path, s, err)
	if err == nil && !used {
		m.closeSpace(path)
	}
	return err
}

// strangeBefore notes what is strange, and says whether the last sweep did.
func (m *Manager) strangeBefore(id string, s sweeping) bool {
	s.strange[id] = true
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.strange[id]
}

// tellUnswept logs once why a space cannot be swept, until it can. Of a crowded space
// the store tells.
func (m *Manager) tellUnswept(path string, s sweeping, err error) {
	if err == nil || m.life.Err() != nil || errors.Is(err, discovery.ErrAway) || errors.Is(err, discovery.ErrFull) {
		return
	}
	if !m.strangeBefore(path, s) {
		m.opts.Log.Warn("an engine space cannot be swept", "path", path, "err", err)
	}
}
