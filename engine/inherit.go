// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"roundhouse/discovery"
	"roundhouse/engine/control"
	"roundhouse/engine/local"
)

const (
	inheritTimeout  = 30 * time.Second
	inheritParallel = 8
)

// errUnusable says that an engine cannot be used here, while another gateway may.
var errUnusable = errors.New("engine: not usable here")

// inherit takes over what earlier gateways left in the store: engines serve on,
// launches may still register, and all else is ended and swept. A gateway that
// cannot find out what lives does not start: it would launch second engines.
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
		if m.shared() && record.Node == "" {
			continue // tend sees to it
		}
		group.Go(func() error {
			err := m.inheritOne(ctx, record)
			if errors.Is(err, errUnusable) {
				m.noteUnusable(record, err)
				return nil
			}
			return err
		})
	}
	return group.Wait()
}

func (m *Manager) inheritOne(ctx context.Context, r discovery.EngineRecord) error {
	log := m.opts.Log.With("engine", r.RefID, "user", r.User, "pid", r.PID)
	process, err := m.open(r)
	if errors.Is(err, local.ErrGone) {
		log.Info("the engine of an earlier gateway, or of another one, has ended")
		m.forget(r.RefID, r.Path, r.WorkDir)
		return nil
	}
	if err != nil {
		return fmt.Errorf("engine %s of %s, which an earlier gateway launched, cannot be looked at: %w", r.RefID, r.User, err)
	}
	spec, err := specOf(r)
	if m.opts.GroupLimit > 0 && spec.Group == "" {
		group, err := m.opts.Groups.Primary(ctx, spec.Owner)
		if err != nil {
			log.Warn("the group of an engine of an earlier gateway is unknown: the engine counts in all of them", "err", err)
		}
		spec.Group = group
	}
	if err == nil && r.Node == "" {
		log.Info("a launch of an earlier gateway goes on")
		_, err := m.inheritLaunch(r, spec, process)
		return err
	}
	if err == nil {
		err = m.inheritEngine(ctx, r, spec, process)
	}
	switch {
	case err == nil:
		log.Info("an engine of an earlier gateway, or of another one, serves here")
	case m.shared() && (!m.here(r) || m.alive(r) || errors.Is(err, ErrForbidden)):
		process.Release() // others may be able to use it
		return fmt.Errorf("%w: %w", errUnusable, err)
	default:
		m.disown(r, process, err)
	}
	return nil
}

func specOf(r discovery.EngineRecord) (Spec, error) {
	spec, err := parsePath(r.Path)
	spec.LaunchUser, spec.Options, spec.Session, spec.Group, spec.Python = r.User, r.Options, r.Session, r.Group, r.Python
	return spec, err
}

// disown ends a process that cannot be used.
func (m *Manager) disown(r discovery.EngineRecord, process Process, why error) {
	m.opts.Log.Warn("an engine of an earlier gateway, or of another one, is ended", "engine", r.RefID, "user", r.User, "pid", process.Identity().PID, "why", why)
	m.later(func() { m.remove(process, r.RefID, r.Path, r.WorkDir) })
}

// later leaves task to Run.
func (m *Manager) later(task func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.running {
		m.backgroundLocked(task)
		return
	}
	m.inherited = append(m.inherited, task)
}

// inheritLaunch goes on with a launch. Its record gets the pid if the earlier
// gateway had no time for that.
func (m *Manager) inheritLaunch(r discovery.EngineRecord, spec Spec, process Process) (*launch, error) {
	l := newLaunch(m.life, spec, r.RefID)
	l.inherited, l.claimed, l.fingerprint = true, true, r.Fingerprint
	l.workDir, l.process, l.submitted, l.look = r.WorkDir, process, r.Submitted, m.track(spec, r.RefID)
	if err := m.take(m.recordOf(l), r.Owner); err != nil {
		process.Release()
		return nil, fmt.Errorf("record the process of engine %s: %w", r.RefID, err)
	}
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
	return l, nil
}

func (m *Manager) inheritEngine(ctx context.Context, r discovery.EngineRecord, spec Spec, process Process) error {
	node, keys, err := m.verify(r.RefID, r.Path, r.Node)
	if err != nil {
		return err
	}
	e, err := m.newEngine(spec, node, keys, process, r.Owner.Place)
	if err != nil {
		return err
	}
	e.look = m.track(spec, r.RefID)
	e.submitted, e.workDir, e.behind = r.Submitted, r.WorkDir, true
	e.fingerprint = r.Fingerprint
	state, err := greet(ctx, e)
	if err != nil {
		m.disconnect(e)
		return err
	}
	if err := m.dropSecrets(r); err != nil {
		m.opts.Log.Warn("the properties file of an engine stays behind", "engine", r.RefID, "err", err)
	}
	m.mu.Lock()
	m.mu.engines[r.RefID] = e
	if state != Running {
		e.retire("")
	} else if m.mu.spaces[spec.spaceKey()] == nil {
		m.mu.spaces[spec.spaceKey()] = e
	}
	m.newsLocked()
	m.mu.Unlock()
	m.later(func() { m.watch(e) })
	m.later(func() { m.follow(e) })
	return nil
}

// dropSecrets removes what only the start of a driver needs, on its own machine.
func (m *Manager) dropSecrets(r discovery.EngineRecord) error {
	if !m.here(r) {
		return nil
	}
	return m.opts.Files.DropSecrets(r.WorkDir)
}

// track is Options.Track for an engine of an earlier gateway, whose settings may
// not be those of today.
func (m *Manager) track(spec Spec, refID string) Look {
	ask, err := m.opts.Track(spec, refID)
	if err != nil {
		m.opts.Log.Warn("the application of an engine of an earlier gateway is not watched, because the settings have changed; the engine itself is not concerned",
			"engine", refID, "user", spec.LaunchUser, "err", err)
	}
	return ask
}

// greet asks an engine of an earlier gateway whether it is the one, and how it
// stands. Silence is no verdict, as in Check: its process is there, and the first
// call that gets no answer either will judge it.
func greet(ctx context.Context, e *Engine) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, statusLimit)
	defer cancel()
	status, err := e.control.Status(ctx)
	switch {
	case errors.Is(err, control.ErrUnauthorized):
		return "", fmt.Errorf("another engine answers in its place: %w", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "", fmt.Errorf("its process lives, but nothing listens on its ports any more: %w", err)
	case err != nil:
		return Running, nil
	case status.RefID != e.refID:
		return "", fmt.Errorf("engine %s answers in its place", status.RefID)
	}
	return State(status.State), nil
}
