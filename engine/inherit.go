// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"roundhouse/discovery"
	"roundhouse/engine/control"
	"roundhouse/engine/local"
)

const (
	inheritTimeout  = 30 * time.Second
	inheritParallel = 8
	// inheritTries is how often an engine is asked that does not answer in time:
	// it may be in a long garbage collection.
	inheritTries = 3
)

// inherit takes over what earlier gateways left in the store: engines that
// answer serve on, launches with a living process may still register, and all
// else is ended and swept.
func (m *Manager) inherit() error {
	ctx, cancel := context.WithTimeout(context.Background(), inheritTimeout)
	defer cancel()
	records, err := m.opts.Store.Engines(ctx)
	if err != nil {
		return fmt.Errorf("read the records of engines: %w", err)
	}
	var group errgroup.Group
	group.SetLimit(inheritParallel)
	for _, record := range records {
		group.Go(func() error { m.inheritOne(ctx, record); return nil })
	}
	return group.Wait()
}

func (m *Manager) inheritOne(ctx context.Context, r discovery.EngineRecord) {
	log := m.opts.Log.With("engine", r.RefID, "user", r.User, "pid", r.PID)
	process, err := m.opts.Launcher.Open(local.Identity{PID: r.PID, Start: r.StartTime})
	if errors.Is(err, local.ErrGone) {
		log.Info("an engine of an earlier gateway has ended")
		m.forget(r.RefID, r.WorkDir)
		return
	}
	if err != nil {
		log.Error("an engine of an earlier gateway cannot be looked at; its record is kept", "err", err)
		return
	}
	spec, err := specOf(r)
	switch {
	case err != nil:
		m.disown(r, process, err)
	case r.Node == "":
		log.Info("a launch of an earlier gateway goes on")
		m.inheritLaunch(r, spec, process)
	default:
		if err := m.inheritEngine(ctx, r, spec, process); err != nil {
			m.disown(r, process, err)
			return
		}
		log.Info("an engine of an earlier gateway serves on")
	}
}

func specOf(r discovery.EngineRecord) (Spec, error) {
	spec, err := parsePath(r.Path)
	spec.LaunchUser, spec.Options = r.User, r.Options
	return spec, err
}

// disown ends a process that cannot be used.
func (m *Manager) disown(r discovery.EngineRecord, process Process, why error) {
	m.opts.Log.Warn("an engine of an earlier gateway is ended", "engine", r.RefID, "user", r.User, "pid", r.PID, "why", why)
	m.later(func() {
		m.kill(process, r.RefID)
		m.forget(r.RefID, r.WorkDir)
	})
}

// later leaves task to Run.
func (m *Manager) later(task func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inherited = append(m.inherited, task)
}

func (m *Manager) inheritLaunch(r discovery.EngineRecord, spec Spec, process Process) {
	l := newLaunch(m.life, spec, r.RefID)
	l.workDir, l.process, l.submitted = r.WorkDir, process, r.Submitted
	close(l.spawned)
	m.mu.Lock()
	m.addLocked(l)
	m.lingerLocked(l)
	m.mu.Unlock()
	m.later(func() {
		defer close(l.gone)
		defer l.cancel(nil)
		m.await(l, process, l.submitted.Add(m.opts.InitializeTimeout))
	})
}

func (m *Manager) inheritEngine(ctx context.Context, r discovery.EngineRecord, spec Spec, process Process) error {
	node, err := m.verify(r.RefID, r.Path, r.Node)
	if err != nil {
		return err
	}
	e, err := m.newEngine(r.RefID, spec, node, process)
	if err != nil {
		return err
	}
	e.submitted, e.workDir = r.Submitted, r.WorkDir
	status, err := greet(ctx, e)
	if err != nil {
		m.disconnect(e)
		return err
	}
	m.mu.Lock()
	m.mu.engines[r.RefID] = e
	if status.State == string(Running) {
		m.mu.spaces[spec.spaceKey()] = e
	} else {
		e.retire("")
	}
	m.mu.Unlock()
	m.later(func() { m.watch(e) })
	m.later(func() { m.follow(e) })
	return nil
}

// greet asks an engine of an earlier gateway whether it is the one.
func greet(ctx context.Context, e *Engine) (status control.Status, err error) {
	for range inheritTries {
		if status, err = askOnce(ctx, e); err == nil || errors.Is(err, control.ErrUnauthorized) || ctx.Err() != nil {
			break
		}
	}
	if err == nil && status.RefID != e.refID {
		err = fmt.Errorf("engine %s answers in its place", status.RefID)
	}
	return status, err
}

func askOnce(ctx context.Context, e *Engine) (control.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, statusLimit)
	defer cancel()
	return e.control.Status(ctx)
}
