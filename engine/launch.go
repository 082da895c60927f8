// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"time"

	"roundhouse/discovery"
	"roundhouse/engine/local"
	"roundhouse/internal/errs"
	"roundhouse/internal/failpoint"
)

// launch is one attempt to get an engine. The fields above the first gap never
// change; Manager.mu guards those below, except that engine and err do not
// change once done is closed.
type launch struct {
	spec    Spec
	refID   string
	workDir string
	ctx     context.Context
	cancel  context.CancelCauseFunc
	done    chan struct{} // closed when settled
	spawned chan struct{} // closed when process is set
	gone    chan struct{} // closed when all of it is cleaned up
	// inherited says that an earlier or another gateway began it.
	inherited bool

	ticket *ticket // in the queue; nil before it, and for what another gateway began
	// claimed says that the record is there, where gateways share a store; other is the
	// launch of another gateway that this one waits for.
	claimed     bool
	doubtful    bool // a record of it may be there that is no claim: another gateway may have decided, too; of decide alone
	taken       bool // by another gateway, which this one did not answer for too long
	other       string
	fingerprint string // of the configuration; set with the record

	waiters int
	linger  *time.Timer
	round   int // counts lingers, so that a timer knows its own
	settled bool
	engine  *Engine // outcome
	err     error   // outcome

	process   Process
	submitted time.Time   // the spawn; zero in the queue
	look      Look        // set before spawned is closed; nil when there is no resource manager to ask
	app       Application // as last seen
}

func newLaunch(life context.Context, spec Spec, refID string) *launch {
	l := &launch{
		spec: spec, refID: refID,
		done: make(chan struct{}), spawned: make(chan struct{}), gone: make(chan struct{}),
	}
	l.ctx, l.cancel = context.WithCancelCause(life)
	return l
}

// join adds a waiter; Manager.mu is held.
func (l *launch) join() {
	l.waiters++
	if l.linger != nil {
		l.linger.Stop()
	}
}

// recordOf is the record of l as it stands.
func (m *Manager) recordOf(l *launch) discovery.EngineRecord {
	r := discovery.EngineRecord{
		RefID: l.refID, Path: l.spec.Path(), User: l.spec.LaunchUser, ShareLevel: string(l.spec.ShareLevel),
		Subdomain: l.spec.Subdomain, Options: l.spec.Options, Session: l.spec.Session, Group: l.spec.Group, Python: l.spec.Python,
		WorkDir: l.workDir, Submitted: l.submitted, Fingerprint: l.fingerprint, Owner: m.opts.Self,
	}
	if l.process != nil {
		id := l.process.Identity()
		r.PID, r.StartTime = id.PID, id.Start
	}
	return r
}

// settleLocked ends the wait for l, once: with an engine, of which each waiter
// gets a lease, or with an error. An engine ends the launch; an error also
// cancels what run does for it.
func (m *Manager) settleLocked(l *launch, e *Engine, err error) bool {
	if l.settled || e != nil && !e.take(l.waiters) {
		return false
	}
	l.settled, l.engine, l.err = true, e, err
	if l.linger != nil {
		l.linger.Stop()
	}
	if key := l.spec.spaceKey(); m.mu.launches[key] == l {
		delete(m.mu.launches, key)
	}
	delete(m.mu.starting, l.refID)
	if e != nil {
		m.mu.spaces[l.spec.spaceKey()] = e
		m.mu.engines[e.refID] = e
		m.newsLocked()
	} else {
		if l.claimed && !l.taken {
			m.mu.ending[l.refID] = true
		}
		l.cancel(err)
	}
	close(l.done)
	return true
}

// fail settles l with err unless it is settled, and returns its engine if it
// got one after all.
func (m *Manager) fail(l *launch, err error) *Engine {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settleLocked(l, nil, err)
	return l.engine
}

// run is the launch of l from the queue to its end.
func (m *Manager) run(l *launch) {
	defer close(l.gone)
	defer l.cancel(nil)
	ticket, err := m.enter(l)
	if err == nil && ticket != nil {
		err = m.queue.wait(l.ctx, ticket)
	}
	if err != nil {
		m.fail(l, m.cancelled(l, err))
		m.unclaim(l)
		return
	}
	if ticket == nil {
		return // another gateway's engine was found
	}
	defer m.queue.done()
	process, err := m.spawn(l)
	if err != nil {
		m.fail(l, err)
		m.report(l, err)
		m.giveUp(l, process)
		return
	}
	m.await(l, process, l.submitted.Add(m.opts.InitializeTimeout))
}

// giveUp cleans up a launch that failed, unless it is another gateway's by now. There
// may be no process.
func (m *Manager) giveUp(l *launch, process Process) {
	switch {
	case !m.confirm(l):
		m.letGo(l, process)
	case process == nil:
		m.forget(l.refID, l.spec.Path(), l.workDir)
	default:
		m.remove(process, l.refID, l.spec.Path(), l.workDir)
	}
}

// letGo leaves a launch, which may have a process, to another gateway.
func (m *Manager) letGo(l *launch, process Process) {
	if process != nil {
		process.Release()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.mu.ending, l.refID)
	m.newsLocked()
}

// confirm says whether a launch is this gateway's still: one that was stopped or cut
// off for long finds it taken over. It waits for the store, or for the gateway's end.
func (m *Manager) confirm(l *launch) bool {
	for m.shared() {
		m.mu.Lock()
		taken, claimed, record := l.taken, l.claimed, m.recordOf(l)
		m.mu.Unlock()
		if taken || !claimed {
			return !taken
		}
		err := m.store(record)
		if errors.Is(err, discovery.ErrConflict) {
			return false
		}
		if !errors.Is(err, discovery.ErrAway) {
			return true
		}
		if m.life.Err() != nil {
			return false // the next gateway sees to it
		}
		m.rest(m.life)
	}
	return true
}

// enter takes a place in the queue, where several gateways launch once it is
// certain that no other one launches the same. The ticket is nil when l is settled.
func (m *Manager) enter(l *launch) (*ticket, error) {
	if m.shared() {
		if err := m.claimSpace(l); err != nil {
			return nil, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !l.settled && l.ticket == nil {
		l.ticket = m.queue.enter(l.spec.Owner)
	}
	return l.ticket, nil
}

// unclaim removes the record of a launch that ended before its spawn.
func (m *Manager) unclaim(l *launch) {
	m.mu.Lock()
	claimed := l.claimed
	m.mu.Unlock()
	if claimed {
		m.giveUp(l, nil)
	}
}

// spawn records the engine, starts its process and records that. With an error,
// a process that it returns must be removed.
func (m *Manager) spawn(l *launch) (Process, error) {
	m.opts.OnSpawn()
	l.look, _ = m.opts.Track(l.spec, l.refID) // with such settings Start fails, too, and its error is told
	fingerprint, err := m.opts.Fingerprint(l.spec)
	if err != nil {
		return nil, asLaunchError(l, err)
	}
	m.mu.Lock()
	l.submitted, l.fingerprint = time.Now(), fingerprint
	record := m.recordOf(l)
	m.mu.Unlock()
	write := m.add
	if m.shared() { // the claim has made it
		write = m.store
	}
	if err := write(record); err != nil {
		return nil, m.storeFault(err, "Engine %s of %s was not started: its record could not be stored.", l.refID, l.spec.LaunchUser)
	}
	if m.shared() {
		if err := m.openSpace(l); err != nil {
			return nil, m.storeFault(err, "Engine %s of %s was not started: its space in the store of the gateways could not be made.", l.refID, l.spec.LaunchUser)
		}
	}
	failpoint.Hit(failpoint.BeforeSpawn)
	process, err := m.opts.Launcher.Start(l.ctx, Launch{
		Spec: l.spec, RefID: l.refID, WorkDir: l.workDir, Keys: keysOf(m.opts.Secrets[0], l.refID),
		Submitted: l.submitted, Timeout: m.opts.InitializeTimeout, Fingerprint: fingerprint,
	})
	if err != nil {
		return nil, asLaunchError(l, err)
	}
	failpoint.Hit(failpoint.Spawned)
	m.mu.Lock()
	l.process = process
	record = m.recordOf(l)
	m.mu.Unlock()
	if err := m.store(record); err != nil {
		return process, m.storeFault(err, "Engine %s of %s was stopped: its process could not be recorded.", l.refID, l.spec.LaunchUser)
	}
	failpoint.Hit(failpoint.Recorded)
	close(l.spawned)
	m.opts.Log.Info("engine submitted", "engine", l.refID, "user", l.spec.LaunchUser, "path", l.spec.Path(), "pid", record.PID, "dir", l.workDir)
	return process, nil
}

// await waits until l is settled, its process ends or its time is over, and
// cleans up unless an engine came of it.
func (m *Manager) await(l *launch, process Process, deadline time.Time) {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	m.background(func() { m.followLaunch(l) })
	if m.shared() {
		m.background(func() { m.awaitNode(l) })
	}
	var err error
	select {
	case <-l.done: // registered or cancelled
		err = l.err
	case <-process.Done():
		err = m.diedError(l, process)
	case <-timer.C:
		err = m.timeoutError(l)
	case <-m.life.Done():
	}
	if m.life.Err() != nil && !isDone(process) {
		m.abandon(l, process)
		return
	}
	if err == nil && isDone(process) { // it ended when the gateway did
		err = m.diedError(l, process)
	}
	if e := m.fail(l, err); e != nil {
		m.report(l, nil)
		return // its process is the engine's now
	}
	m.report(l, l.err)
	m.giveUp(l, process)
}

// abandon leaves a launch to the next gateway.
func (m *Manager) abandon(l *launch, process Process) {
	if e := m.fail(l, errs.New(errs.ShuttingDown, "The gateway is shutting down while engine %s starts. Try again: the launch goes on.", l.refID)); e == nil {
		process.Release()
	}
}

func isDone(p Process) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// remove ends a process that nobody may use any more, and forgets it. If it does
// not end, its record stays for the next gateway.
func (m *Manager) remove(process Process, refID, path, workDir string) {
	if m.kill(process, refID) {
		m.forget(refID, path, workDir)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.ending[refID] {
		m.mu.ending[refID] = false
		m.newsLocked()
	}
}

// kill ends a process; false if it goes on.
func (m *Manager) kill(process Process, refID string) bool {
	defer process.Release()
	err := process.End(context.Background(), m.opts.DestroyTimeout)
	if err == nil || errors.Is(err, local.ErrGone) {
		return true
	}
	m.opts.Log.Error("a process of an engine does not end", "engine", refID, "pid", process.Identity().PID, "err", err)
	return false
}

func (m *Manager) report(l *launch, err error) {
	took := time.Since(l.submitted)
	m.opts.OnLaunch(took, err)
	if err != nil {
		m.opts.OnChange(Change{ChangeFailed, l.refID, l.spec.LaunchUser, err})
	}
	switch {
	case err == nil: // admit has logged it
	case errors.Is(err, ErrCancelled):
		m.opts.Log.Info("engine launch cancelled", "engine", l.refID, "user", l.spec.LaunchUser, "after", took, "why", err)
	default:
		m.opts.Log.Warn("engine not started", "engine", l.refID, "user", l.spec.LaunchUser, "after", took, "err", err)
	}
}
