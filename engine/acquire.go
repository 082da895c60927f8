// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"roundhouse/internal/errs"
)

// Acquire returns a lease on a running engine of spec, joins the launch that is
// under way for it, or launches one. It waits as long as ctx lives; when ctx
// ends first, the error is of class EngineStarting, says how the launch stands
// and wraps the cause of ctx. A launch that fails gives the same error to all
// who wait for it.
func (m *Manager) Acquire(ctx context.Context, spec Spec) (*Lease, error) {
	refID := uuid.NewString()
	if spec.ShareLevel == Connection {
		spec.Subdomain = refID
	}
	if err := spec.validate(); err != nil {
		return nil, errs.New(errs.InvalidRequest, "No engine can be launched: %v.", err)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	e, l, err := m.join(spec, refID)
	if errors.Is(err, errNoGroup) {
		if spec.Group, err = m.group(ctx, spec.Owner); err == nil {
			e, l, err = m.join(spec, refID)
		}
	}
	if err != nil {
		return nil, err
	}
	if e != nil {
		return m.lease(e), nil
	}
	select {
	case <-l.done:
		return m.claim(l)
	case <-ctx.Done():
		return nil, m.leave(ctx, l)
	}
}

// Resume leases the engine refID if it runs; a draining one keeps its sessions.
func (m *Manager) Resume(refID string) (*Lease, bool) {
	m.mu.Lock()
	e := m.mu.engines[refID]
	m.mu.Unlock()
	if e == nil || !e.take(1) {
		return nil, false
	}
	return m.lease(e), true
}

func (m *Manager) lease(e *Engine) *Lease { return &Lease{engine: e, left: m.release} }

// release ends a CONNECTION engine with its last lease. At the gateway's own
// end it leaves the engine to the next gateway.
func (m *Manager) release(e *Engine) {
	if e.leave() > 0 || e.spec.ShareLevel != Connection {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.closed {
		return
	}
	m.retireLocked(e)
	m.backgroundLocked(func() { m.terminate(e, false, "its session ended") })
}

// join returns a leased engine, or a launch with the caller among its waiters.
func (m *Manager) join(spec Spec, refID string) (*Engine, *launch, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.closed {
		return nil, nil, errs.New(errs.ShuttingDown, "This gateway is shutting down and starts no engine.")
	}
	key := spec.spaceKey()
	if e := m.mu.spaces[key]; e != nil && e.take(1) {
		return e, nil, nil
	}
	if l := m.mu.launches[key]; l != nil {
		l.join()
		return nil, l, nil
	}
	if err := m.roomLocked(spec, refID, nil); err != nil {
		return nil, nil, err
	}
	l := newLaunch(m.life, spec, refID)
	l.workDir = m.opts.Launcher.WorkDir(spec.LaunchUser, refID)
	if !m.shared() {
		l.ticket = m.queue.enter(spec.Owner)
	}
	l.join()
	m.addLocked(l)
	m.backgroundLocked(func() { m.run(l) })
	return nil, l, nil
}

func (m *Manager) addLocked(l *launch) {
	m.mu.launches[l.spec.spaceKey()] = l
	m.mu.starting[l.refID] = l
}

// claim is the end of a wait: the lease that settle booked, or the error.
func (m *Manager) claim(l *launch) (*Lease, error) {
	if l.engine == nil {
		return nil, l.err
	}
	return m.lease(l.engine), nil
}

// leave takes a waiter whose ctx ended from its launch and returns its error.
func (m *Manager) leave(ctx context.Context, l *launch) error {
	cause := context.Cause(ctx)
	story := m.story(l)
	m.mu.Lock()
	settled := l.settled
	if !settled {
		m.leaveLocked(l, cause)
	}
	m.mu.Unlock()
	if settled && l.engine != nil {
		m.lease(l.engine).Release()
	}
	return errs.Wrap(errs.EngineStarting, cause, "%s. Try again: the launch goes on for a while, and a new call joins it.", story)
}

// leaveLocked lets a launch without waiters linger, unless its session is gone.
func (m *Manager) leaveLocked(l *launch, cause error) {
	l.waiters--
	if l.waiters > 0 {
		return
	}
	if errors.Is(cause, ErrReleased) {
		m.settleLocked(l, nil, fmt.Errorf("%w: its session was released", ErrCancelled))
		return
	}
	m.lingerLocked(l)
}

// lingerLocked cancels l after the linger time unless somebody joins it.
func (m *Manager) lingerLocked(l *launch) {
	l.round++
	round := l.round
	l.linger = time.AfterFunc(m.opts.Linger, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if !l.settled && l.waiters == 0 && l.round == round {
			m.settleLocked(l, nil, fmt.Errorf("%w: nobody waited for it any more", ErrCancelled))
		}
	})
}
