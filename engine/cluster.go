// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"strings"
	"time"

	"roundhouse/discovery"
)

// Cluster is what gateways that launch engines together share
// (docs/decisions/0009-several-gateways.md).
type Cluster interface {
	discovery.Locker // on return from Lock, Options.Store knows all that earlier holders wrote
	discovery.EngineFollower
	discovery.Watcher
	discovery.Finder
	discovery.Spaces
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
	own := r.Owner.Gateway == m.opts.Self.Gateway
	if !gone && !own && l != nil && l.claimed {
		l.taken = true
		m.settleLocked(l, nil, takenOver(l))
		l = nil
	}
	switch {
	case gone:
		m.toldGoneLocked(r.RefID, e, l)
	case !own && r.Node == "" && l == nil && !known:
		m.mu.others[r.RefID] = r
	default:
		delete(m.mu.others, r.RefID)
	}
	if !gone && r.Node != "" && !known && l == nil {
		m.adoptLocked(r)
	}
	m.newsLocked()
}

func (m *Manager) toldGoneLocked(refID string, e *Engine, l *launch) {
	delete(m.mu.others, refID)
	delete(m.mu.unusable, refID)
	if e != nil {
		e.recordGone()
		if time.Since(e.admitted) < justAdmitted {
			m.backgroundLocked(func() { m.unrecorded(e) })
		}
	}
	if l != nil && l.claimed {
		m.settleLocked(l, nil, stoppedElsewhere(l))
	}
}

const (
	// justAdmitted is for how long other gateways may take an engine for a launch.
	justAdmitted = 15 * time.Second
	// burialTime is how much later than others at its place a gateway may see an engine's process end.
	burialTime = time.Second
)

// unrecorded ends an engine whose record another gateway deleted to stop its launch. That of an engine
// which has ended is deleted, too.
func (m *Manager) unrecorded(e *Engine) {
	timer := time.NewTimer(burialTime)
	defer timer.Stop()
	select {
	case <-e.Done():
	case <-e.process.Done():
	case <-m.life.Done():
	case <-timer.C:
		m.terminate(e, false, "by way of another gateway, while it was starting")
	}
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
		m.noteUnusable(r, err)
		return
	}
	m.mu.Lock()
	delete(m.mu.unusable, r.RefID)
	m.mu.Unlock()
	m.opts.OnKnown(r.RefID)
}

// unusable is an engine that cannot be used here: since when, and why.
type unusable struct {
	since time.Time
	why   error
}

// noteUnusable keeps others from waiting for an engine that cannot be used here.
// Only news are logged.
func (m *Manager) noteUnusable(r discovery.EngineRecord, why error) {
	m.mu.Lock()
	_, known := m.mu.unusable[r.RefID]
	if !known {
		m.mu.unusable[r.RefID] = unusable{time.Now(), why}
	}
	m.mu.Unlock()
	if !known {
		m.opts.Log.Warn("an engine of another gateway cannot be used here yet", "engine", r.RefID, "user", r.User, "err", why)
	}
}
