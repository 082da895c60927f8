// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"roundhouse/discovery"
	"roundhouse/internal/errs"
)

// claimPause is how long a launch waits for news of another gateway's before it
// looks whether that gateway still lives.
const claimPause = time.Second

// claimSpace makes l the launch of its space among all gateways, or settles it with
// what another gateway launched. An error, or that l is settled, ends it.
func (m *Manager) claimSpace(l *launch) error {
	for {
		m.mu.Lock()
		news := m.mu.news
		m.mu.Unlock()
		other, err := m.decide(l)
		switch {
		case l.ctx.Err() != nil:
			return context.Cause(l.ctx)
		case errors.Is(err, discovery.ErrAway):
			m.opts.Log.Warn("a launch waits for the store of the gateways", "engine", l.refID, "user", l.spec.LaunchUser, "err", err)
		case err != nil:
			return err
		case other == "":
			return nil
		}
		m.note(l, other)
		m.waitForNews(l, news)
	}
}

// note remembers which launch of another gateway l waits for.
func (m *Manager) note(l *launch, other string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.other = other
}

func (m *Manager) waitForNews(l *launch, news <-chan struct{}) {
	timer := time.NewTimer(claimPause)
	defer timer.Stop()
	select {
	case <-news:
	case <-timer.C:
	case <-l.ctx.Done():
	}
}

// decide looks under the lock of the space what there is. It returns the engine
// that another gateway launches, or "" when l is settled or has its own record.
func (m *Manager) decide(l *launch) (other string, err error) {
	unlock, err := m.opts.Cluster.Lock(l.ctx, l.spec.lockPath())
	if err != nil {
		return "", err
	}
	other, err = m.decideLocked(l)
	if lost := unlock(); lost != nil && err == nil && m.isClaimed(l) {
		return "", m.withdraw(l) // another gateway may have decided meanwhile, too
	}
	return other, err
}

func (m *Manager) decideLocked(l *launch) (other string, err error) {
	if err := m.dropDoubtful(l); err != nil {
		return "", err
	}
	records, err := m.opts.Store.Engines(l.ctx)
	if err != nil {
		return "", err
	}
	for _, r := range records {
		if !m.fits(r, l.spec) {
			continue
		}
		if wait, err := m.useOther(l, r); wait || err != nil {
			return r.RefID, err
		}
		if m.isSettled(l) {
			return "", nil
		}
	}
	return "", m.begin(l, records)
}

// withdraw takes the claim of l back, so that it is decided anew.
func (m *Manager) withdraw(l *launch) error {
	m.mu.Lock()
	l.claimed = false
	m.mu.Unlock()
	l.doubtful = true
	if err := m.dropDoubtful(l); err != nil {
		return err
	}
	return fmt.Errorf("the lock of the space was lost: %w", discovery.ErrAway)
}

// dropDoubtful removes a record of l that may have crossed another gateway's.
func (m *Manager) dropDoubtful(l *launch) error {
	if !l.doubtful {
		return nil
	}
	err := m.deleteRecord(l.refID)
	l.doubtful = err != nil
	return err
}

func (m *Manager) claimed(l *launch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.other, l.claimed = "", true
}

func (m *Manager) isClaimed(l *launch) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return l.claimed
}

func (m *Manager) isSettled(l *launch) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return l.settled
}

// fits says whether r is an engine, or a launch, that spec could use.
func (m *Manager) fits(r discovery.EngineRecord, spec Spec) bool {
	of, err := specOf(r)
	return err == nil && of.spaceKey() == spec.spaceKey()
}

// useOther settles l with the engine of r if it can be used. It returns true
// when it is worth waiting for r.
func (m *Manager) useOther(l *launch, r discovery.EngineRecord) (wait bool, err error) {
	alive := m.alive(r)
	m.mu.Lock()
	e := m.mu.engines[r.RefID]
	switch {
	case e != nil:
		if e.State() == Running { // else it drains or ends
			m.settleLocked(l, e, nil)
		}
	case m.mu.starting[r.RefID] != nil, m.mu.adopting[r.RefID]:
		wait = true
	case r.Node != "":
		m.adoptLocked(r)
		_, unusable := m.mu.unusable[r.RefID]
		wait = !unusable
	case r.Owner.Gateway == m.opts.Self.Gateway:
		busy, ending := m.mu.ending[r.RefID]
		m.mu.Unlock()
		if !ending { // nobody works at it
			return m.takeOver(l, r)
		}
		return busy, nil
	case alive:
		wait = true
	default:
		m.mu.Unlock()
		return m.takeOver(l, r)
	}
	m.mu.Unlock()
	return wait, nil
}

// begin writes the record of l, which makes it the launch of its space. The
// records are all that there are.
func (m *Manager) begin(l *launch, records []discovery.EngineRecord) error {
	if m.opts.UserLimit > 0 || m.opts.GroupLimit > 0 {
		unlock, err := m.opts.Cluster.Lock(l.ctx, limitsLock)
		if err != nil {
			return err
		}
		defer func() { _ = unlock() }() // the lock of the space tells, too
		if records, err = m.opts.Store.Engines(l.ctx); err != nil {
			return err
		}
	}
	m.mu.Lock()
	err := m.roomLocked(l.spec, l.refID, records)
	record := m.recordOf(l)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	if err := m.add(record); err != nil {
		if errors.Is(err, discovery.ErrAway) {
			l.doubtful = true // it may have been written
			return err
		}
		return errs.Fault(err, "Engine %s of %s was not started: its record could not be stored.", l.refID, l.spec.LaunchUser)
	}
	m.claimed(l)
	return nil
}

// takenOver is for the waiters of a launch that another gateway took over, because
// this one did not answer for so long. They join it.
func takenOver(l *launch) error {
	return errs.New(errs.EngineStarting, "Engine %s of %s is being started by another gateway. Try again: a new call joins the launch.", l.refID, l.spec.LaunchUser)
}

// stoppedElsewhere is for the waiters of a launch whose record somebody removed.
func stoppedElsewhere(l *launch) error {
	return errs.New(errs.EngineLaunchFailed, "The launch of engine %s of %s was stopped by way of another gateway. Connect again.", l.refID, l.spec.LaunchUser)
}
