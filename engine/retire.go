// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"roundhouse/discovery"
	"roundhouse/internal/errs"
)

// Retire lets the engine refID drain: it takes no new session and stops when the
// last one has ended; the next session of its users gets a new engine. An engine
// that drains already is no error. The reason is for people.
func (m *Manager) Retire(ctx context.Context, refID, reason string) error {
	m.mu.Lock()
	e, l := m.mu.engines[refID], m.mu.starting[refID]
	_, other := m.mu.others[refID]
	m.mu.Unlock()
	switch {
	case l != nil || other:
		return errs.New(errs.Conflict, "Engine %s is just starting, with the configuration of today. Try again when it runs.", refID)
	case e == nil || e.State() == Ended:
		return errs.New(errs.NotFound, "There is no engine %s. It may have ended already; list the engines to see those that run.", refID)
	case e.State() == Draining:
		return nil
	}
	if err := e.control.Order(ctx, orderDrain, reason); err != nil {
		return errs.Fault(fmt.Errorf("order to drain: %w", err), "Engine %s of %s does not take the order to drain. Stop it if it has to go.", refID, e.spec.LaunchUser)
	}
	m.leaving(e, reason)
	m.opts.Log.Info("engine retired", "engine", refID, "user", e.spec.LaunchUser, "why", reason)
	return nil
}

// Expect keeps the engine refID for a session whose client has not come yet. That it
// fails is no harm: the engine may only stop as unused.
func (m *Manager) Expect(ctx context.Context, refID string, d time.Duration) {
	m.mu.Lock()
	e := m.mu.engines[refID]
	m.mu.Unlock()
	if e == nil {
		return
	}
	if err := e.control.Hold(ctx, d); err != nil {
		m.opts.Log.Debug("an engine is not held", "engine", refID, "err", err)
	}
}

// Census asks the driver of the engine refID which sessions it has.
func (m *Manager) Census(ctx context.Context, refID string) (Census, error) {
	m.mu.Lock()
	e := m.mu.engines[refID]
	m.mu.Unlock()
	if e == nil {
		return Census{}, errs.New(errs.NotFound, "There is no engine %s.", refID)
	}
	history, status, err := ask(ctx, e)
	if err != nil {
		return Census{}, fmt.Errorf("ask engine %s for its sessions: %w", refID, err)
	}
	return newCensus(history, status), nil
}

// Gone says whether the engine refID is over for all gateways.
func (m *Manager) Gone(refID string) bool {
	m.mu.Lock()
	_, known := m.mu.engines[refID]
	_, starts := m.mu.starting[refID]
	m.mu.Unlock()
	if known || starts {
		return false
	}
	if !m.shared() {
		return true
	}
	ctx, cancel := context.WithTimeout(m.life, storeTimeout)
	defer cancel()
	records, err := m.opts.Store.Engines(ctx)
	return err == nil && !slices.ContainsFunc(records, func(r discovery.EngineRecord) bool { return r.RefID == refID })
}
