// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"roundhouse/discovery"
	"roundhouse/internal/errs"
)

var (
	// ErrReleased as the cause of a waiter's context says that its session is
	// gone for good: a launch that waited for it alone is cancelled at once.
	ErrReleased = errors.New("engine: the session was released")
	// ErrForbidden answers a plugin whose MAC, path or address is wrong.
	ErrForbidden = errors.New("engine: the registration is not valid")
	// ErrGone answers a plugin whose engine is not wanted (any more).
	ErrGone = errors.New("engine: no such engine is wanted")
	// ErrBusy answers a plugin that wants to stop as unused while sessions
	// hold the engine.
	ErrBusy = errors.New("engine: sessions hold the engine")

	// ErrCancelled is what Options.OnLaunch is told of a launch that was given
	// up because nobody wanted it any more.
	ErrCancelled = errors.New("engine: the launch was cancelled")

	// errClosing is the cause of the manager's own context at its end.
	errClosing = errors.New("engine: the gateway is shutting down")
)

const (
	storeTimeout  = 5 * time.Second // for one write to the store
	sweepInterval = 10 * time.Minute
)

// Manager owns every engine of this gateway. Its methods are safe for
// concurrent use, and none holds a lock over I/O.
type Manager struct {
	opts  Options
	queue *queue
	life  context.Context // ends with Run
	stop  context.CancelCauseFunc
	work  sync.WaitGroup // what Run waits for
	// inherited is what Run has to do about engines of an earlier gateway.
	inherited []func()

	mu struct {
		sync.Mutex
		closed   bool
		launches map[string]*launch // under way, by space key
		starting map[string]*launch // the same, by ref id
		spaces   map[string]*Engine // take new sessions, by space key
		engines  map[string]*Engine // registered and not buried, by ref id
		// leftovers are the folders of gone engines, by ref id, that forget could
		// not clear: the disk was full, or the gateway out of descriptors.
		leftovers map[string]leftover
		// running says that Run has begun.
		running bool
		// others are launches of other gateways, by ref id, and adopting says for which
		// engines of theirs an attempt is under way to use them here.
		others   map[string]discovery.EngineRecord
		adopting map[string]bool
		// unusable are engines that cannot be used here.
		unusable map[string]unusable
		// ending are failed launches of this gateway: true while their process and record
		// go, false if the process does not.
		ending map[string]bool
		// strange are nodes that the last sweep found without an engine, by path and name,
		// and the paths of spaces that it could not sweep.
		strange map[string]bool
		// news is closed and made anew when any of that changes.
		news chan struct{}
	}
}

// NewManager returns a manager that knows the engines of earlier gateways which
// still live. It takes a few seconds at most, when some do not answer. Run must
// follow.
func NewManager(o Options) (*Manager, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	m := &Manager{opts: o, queue: newQueue(o.LaunchLimit)}
	m.life, m.stop = context.WithCancelCause(context.Background())
	m.mu.launches = map[string]*launch{}
	m.mu.starting = map[string]*launch{}
	m.mu.spaces = map[string]*Engine{}
	m.mu.engines = map[string]*Engine{}
	m.mu.leftovers = map[string]leftover{}
	m.mu.others = map[string]discovery.EngineRecord{}
	m.mu.adopting = map[string]bool{}
	m.mu.unusable = map[string]unusable{}
	m.mu.ending = map[string]bool{}
	m.mu.strange = map[string]bool{}
	m.mu.news = make(chan struct{})
	if err := m.inherit(); err != nil {
		m.stop(errClosing)
		return nil, err
	}
	return m, nil
}

// Run does the manager's background work until ctx ends, and returns when all
// of it has ended. Engines, and launches that have a process, outlive it: the
// next gateway finds them by their records.
func (m *Manager) Run(ctx context.Context) error {
	m.mu.Lock()
	m.mu.running = true
	for _, task := range m.inherited {
		m.backgroundLocked(task)
	}
	m.inherited = nil
	m.mu.Unlock()
	if m.shared() {
		m.background(m.followRecords)
		m.background(m.tend)
		m.background(m.tendSpaces)
	}
	m.sweep(ctx)
	m.mu.Lock()
	m.mu.closed = true
	m.mu.Unlock()
	m.stop(errClosing)
	m.work.Wait()
	m.closeConnections()
	return nil
}

// background runs task in a goroutine that Run waits for; false when the
// manager is closed.
func (m *Manager) background(task func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.backgroundLocked(task)
}

func (m *Manager) closed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.closed
}

func (m *Manager) backgroundLocked(task func()) bool {
	if m.mu.closed {
		return false
	}
	m.work.Go(task)
	return true
}

// leftover is where the files and the space of a gone engine are.
type leftover struct{ path, workDir string }

// sweep removes old logs, and what could not be removed before, now and then
// until ctx ends.
func (m *Manager) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		m.expire(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		m.forgetLeftovers()
	}
}

// expire removes old logs, but of no engine that any gateway knows: those of one
// machine may share the folder.
func (m *Manager) expire(ctx context.Context) {
	live := m.refIDs()
	records, err := m.opts.Store.Engines(ctx)
	for _, r := range records {
		live[r.RefID] = true
	}
	if err == nil {
		err = m.opts.Files.Expire(time.Now().Add(-m.opts.LogTimeout), live)
	}
	if err != nil && ctx.Err() == nil {
		m.opts.Log.Warn("old engine logs stay behind", "err", err)
	}
}

func (m *Manager) forgetLeftovers() {
	m.mu.Lock()
	leftovers := m.mu.leftovers
	m.mu.leftovers = map[string]leftover{}
	m.mu.Unlock()
	for refID, l := range leftovers {
		m.forget(refID, l.path, l.workDir)
	}
}

// refIDs are the engines and launches whose files are in use.
func (m *Manager) refIDs() map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids := map[string]bool{}
	for id := range m.mu.engines {
		ids[id] = true
	}
	for id := range m.mu.starting {
		ids[id] = true
	}
	return ids
}

func (m *Manager) closeConnections() {
	m.mu.Lock()
	engines := make([]*Engine, 0, len(m.mu.engines))
	for _, e := range m.mu.engines {
		engines = append(engines, e)
	}
	m.mu.Unlock()
	for _, e := range engines {
		m.disconnect(e)
	}
}

func (m *Manager) disconnect(e *Engine) {
	e.over()
	e.control.Close()
	if err := e.conn.Close(); err != nil {
		m.opts.Log.Debug("closing the connection of an engine", "engine", e.refID, "err", err)
	}
}

// store replaces a record of this gateway, whatever becomes of the caller
// meanwhile.
func (m *Manager) store(r discovery.EngineRecord) error {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	return m.opts.Store.PutEngine(ctx, r)
}

// add creates a record.
func (m *Manager) add(r discovery.EngineRecord) error {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	return m.opts.Store.AddEngine(ctx, r)
}

// take makes the record of another gateway, or of an earlier one, one of this.
func (m *Manager) take(r discovery.EngineRecord, from discovery.Owner) error {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	return m.opts.Store.TakeEngine(ctx, r, from)
}

// sweepFiles is Files.Sweep, for a folder on this machine.
func (m *Manager) sweepFiles(workDir string) error {
	if workDir == "" {
		return nil
	}
	return m.opts.Files.Sweep(workDir)
}

// forget removes the record, the files and the empty space of an engine whose
// process is gone. Only the log stays for a while. What a full disk or the like
// kept is tried again later; other files that stay go with the log. No workDir
// means that the files are elsewhere.
func (m *Manager) forget(refID, path, workDir string) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	sweepErr, recordErr := m.sweepFiles(workDir), m.opts.Store.DeleteEngine(ctx, refID)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.mu.ending, refID)
	m.newsLocked()
	if recordErr == nil && m.shared() {
		m.backgroundLocked(func() { m.closeSpace(path) })
	}
	if sweepErr == nil && recordErr == nil {
		return
	}
	if recordErr == nil && errs.Shortage(sweepErr) == "" {
		m.opts.Log.Warn("files of an engine stay behind; look at its folder", "engine", refID, "dir", workDir, "err", sweepErr)
		return
	}
	m.opts.Log.Warn("files or the record of an engine stay behind; they are removed later", "engine", refID, "dir", workDir,
		"err", errors.Join(sweepErr, recordErr))
	m.mu.leftovers[refID] = leftover{path, workDir}
}
