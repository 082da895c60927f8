// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"strings"

	"roundhouse/discovery"
)

// Cluster is what gateways that launch engines together share
// (docs/decisions/0009-several-gateways.md).
type Cluster interface {
	// Lock is discovery.Locker's: on return Options.Store knows all that earlier
	// holders wrote.
	Lock(ctx context.Context, path string) (unlock func(), err error)
	FollowEngines(ctx context.Context, told discovery.Told[discovery.EngineRecord]) error
	Watch(ctx context.Context, path string) (<-chan []discovery.Node, error)
	OpenSpace(ctx context.Context, path string, engines []discovery.Credential) error
	CloseSpace(ctx context.Context, path string) error
}

// Sweeper removes what nobody needs from engine spaces (discovery.Spaces).
type Sweeper interface {
	SweepSpace(ctx context.Context, path string, good func(discovery.Node) bool) (removed int, err error)
}

// limitsLock is the lock under which launches are counted that limits concern.
const limitsLock = "/limits/engines"

// lockPath is Kyuubi's lock of the engine space of s. Engines for one session
// have their session's.
func (s Spec) lockPath() string {
	subdomain := s.Subdomain
	if s.ShareLevel == Connection && s.Session != "" {
		subdomain = s.Session
	}
	root, _, _ := strings.Cut(strings.TrimPrefix(s.Path(), "/"), "/")
	return "/" + root + "_lock/" + s.Owner + "/" + subdomain
}

// shared says whether other gateways launch engines, too.
func (m *Manager) shared() bool { return m.opts.Cluster != nil }

// here says whether the process of r is where this gateway is.
func (m *Manager) here(r discovery.EngineRecord) bool {
	return !m.shared() || r.Owner.Place == m.opts.Self.Place
}

// alive says whether the gateway that launches r still lives.
func (m *Manager) alive(r discovery.EngineRecord) bool {
	return r.Owner.Gateway == m.opts.Self.Gateway || m.opts.Alive(r.Owner)
}

// followRecords hears of what other gateways launch and end.
func (m *Manager) followRecords() {
	err := m.opts.Cluster.FollowEngines(m.life, m.told)
	if err != nil && m.life.Err() == nil {
		m.opts.Log.Error("the engines of other gateways are not followed any more", "err", err)
	}
}

// told takes in a record as it is now.
func (m *Manager) told(r discovery.EngineRecord, gone bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, known := m.mu.engines[r.RefID]
	l := m.mu.starting[r.RefID]
	elsewhere := r.Owner.Gateway != m.opts.Self.Gateway && r.Node == ""
	switch {
	case gone:
		delete(m.mu.others, r.RefID)
		delete(m.mu.unusable, r.RefID)
		if known {
			e.recordGone()
		}
		if l != nil && l.claimed {
			m.settleLocked(l, nil, stoppedElsewhere(l))
		}
	case elsewhere && l == nil && !known:
		m.mu.others[r.RefID] = r
	default:
		delete(m.mu.others, r.RefID)
	}
	if !gone && r.Node != "" && !known && l == nil {
		m.adoptLocked(r)
	}
	m.newsLocked()
}

// recordGone notes that the gateways at the engine's place have buried it.
func (e *Engine) recordGone() {
	if far, ok := e.process.(*distant); ok {
		far.gone()
	}
}

// newsLocked wakes launches that wait for another gateway.
func (m *Manager) newsLocked() {
	close(m.mu.news)
	m.mu.news = make(chan struct{})
}

// adoptLocked takes an engine of another gateway into service, one attempt at a
// time.
func (m *Manager) adoptLocked(r discovery.EngineRecord) {
	if m.mu.adopting[r.RefID] {
		return
	}
	m.mu.adopting[r.RefID] = m.backgroundLocked(func() {
		m.adopt(r)
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.mu.adopting, r.RefID)
		m.newsLocked()
	})
}

func (m *Manager) adopt(r discovery.EngineRecord) {
	ctx, cancel := context.WithTimeout(m.life, inheritTimeout)
	defer cancel()
	if err := m.inheritOne(ctx, r); err != nil {
		m.opts.Log.Warn("an engine of another gateway cannot be used here yet", "engine", r.RefID, "user", r.User, "err", err)
		m.unusable(r.RefID, true)
		return
	}
	m.unusable(r.RefID, false)
	m.opts.OnKnown(r.RefID)
}

// unusable notes that an engine cannot be used here, so that nobody waits for it.
func (m *Manager) unusable(refID string, is bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.mu.unusable, refID)
	if is {
		m.mu.unusable[refID] = true
	}
}
