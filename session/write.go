// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"roundhouse/discovery"
)

const (
	// storeTimeout bounds one write to the store.
	storeTimeout = 5 * time.Second
	// writeParallel is how many records are written at once: the store writes them
	// together.
	writeParallel = 100
)

// entry is how the record of a session stands.
type entry struct {
	// settled is closed when Open knows whether the session is the one of its key;
	// before, nobody finds it. refusal is why it is not, nil to look again.
	settled chan struct{}
	granted bool
	refusal error

	// writing lets one writer at a time write. A session whose predecessor's end is
	// still to be written shares its writing, and clears its record first: that of the
	// session that opened at clear.
	writing chan struct{}
	clear   atomic.Pointer[time.Time]
	// stored says that there is a record.
	stored atomic.Bool
	// buried says that there is nothing to write any more.
	buried atomic.Bool
}

func newEntry() entry {
	return entry{settled: make(chan struct{}), writing: make(chan struct{}, 1)}
}

// open says whether the session may be found.
func (e *entry) open() bool {
	select {
	case <-e.settled:
		return e.granted
	default:
		return false
	}
}

// settle ends the opening: the session is the one of its key, or refusal says why
// not.
func (e *entry) settle(granted bool, refusal error) {
	e.granted, e.refusal = granted, refusal
	close(e.settled)
}

// write makes the newest state of s durable, which may be its end. Run goes on trying
// what fails, unless the record of another session is in the way.
func (m *Manager) write(ctx context.Context, s *Session) error {
	switch end := s.Ended(); {
	case end != nil && end.told: // whoever tells it must not wait for a write
		m.noteLate(s, nil)
		return nil
	case end != nil && m.away(): // with an engine many sessions end at once
		m.noteLate(s, discovery.ErrAway)
		return discovery.ErrAway
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	var err error
	select {
	case s.writing <- struct{}{}:
		err = m.put(ctx, s)
		m.noteLate(s, err)
		m.noteAway(err)
		<-s.writing
	case <-ctx.Done():
		err = fmt.Errorf("%w: another write takes its time", discovery.ErrAway)
		m.noteLate(s, err)
	}
	return err
}

// away says whether the store could not be reached a moment ago: then ends are not
// written now but later, and nobody waits for them.
func (m *Manager) away() bool {
	return time.Since(time.UnixMilli(m.lastAway.Load())) < lateInterval
}

func (m *Manager) noteAway(err error) {
	if errors.Is(err, discovery.ErrAway) {
		m.lastAway.Store(time.Now().UnixMilli())
	}
}

func (m *Manager) put(ctx context.Context, s *Session) error {
	end := s.Ended()
	if s.buried.Load() || end != nil && end.told {
		return nil
	}
	if opened := s.clear.Load(); opened != nil {
		ended := func(r discovery.SessionRecord) bool { return r.Opened.Equal(*opened) || m.graves.buried(r) }
		if err := m.deleteRecord(ctx, s.Key, ended); err != nil {
			return err
		}
		s.clear.Store(nil)
	}
	if end != nil {
		return m.putEnd(ctx, s, end)
	}
	r, err := m.record(s)
	if err != nil {
		return err
	}
	if s.stored.Load() {
		return m.Store.PutSession(ctx, r)
	}
	if err = m.Store.AddSession(ctx, r); err == nil {
		s.stored.Store(true)
	}
	return err
}

// putEnd writes a tombstone, or deletes the record of a session that is forgotten.
func (m *Manager) putEnd(ctx context.Context, s *Session, end *End) error {
	var err error
	if end.Cause == Forgotten {
		err = m.deleteRecord(ctx, s.Key, s.has)
	} else {
		err = m.putTombstone(ctx, s)
	}
	if err == nil {
		s.buried.Store(true)
	}
	return err
}

// deleteRecord deletes the record of k if it is one that is meant: another gateway may have
// written it while this one could not reach the store. Any other one is looked up with what is late.
func (m *Manager) deleteRecord(ctx context.Context, k Key, meant func(discovery.SessionRecord) bool) error {
	for range tries {
		r, err := m.Store.GetSession(ctx, k.User, k.ID)
		switch {
		case errors.Is(err, discovery.ErrNotFound):
			return nil
		case err != nil:
			return err
		case !meant(r):
			m.doubtLater(k)
			return nil
		}
		if err := m.Store.DeleteSession(ctx, r); !errors.Is(err, discovery.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("%w: others change the record of session %s all the time", discovery.ErrAway, k.ID)
}

func (m *Manager) putTombstone(ctx context.Context, s *Session) error {
	r, err := m.record(s)
	if err != nil {
		return err
	}
	err = m.Store.PutSession(ctx, r)
	if errors.Is(err, discovery.ErrFull) && !s.stored.Load() {
		return nil // nobody else has known the session
	}
	if !errors.Is(err, discovery.ErrConflict) {
		return err
	}
	stored, err := m.Store.GetSession(ctx, s.User, s.ID)
	if err != nil {
		return err
	}
	switch {
	case stored.Ended != nil:
		end := endOf(*stored.Ended)
		m.graves.put(s.Key, &end)
		return nil
	case !s.is(stored): // another session has the key by now
		m.doubtLater(s.Key)
		return nil
	}
	r.EngineRef = stored.EngineRef // another gateway has given it one
	return m.Store.PutSession(ctx, r)
}

// noteLate remembers s if its newest state is still to be written, and forgets it if
// it is not; what contradicts another record is for overruled. There are no more such
// sessions than live ones and tombstones.
func (m *Manager) noteLate(s *Session, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, end, buried := m.mu.late[s.Key], s.Ended(), s.buried.Load()
	again := errors.Is(err, discovery.ErrAway) || end != nil || s.open() && !contradicts(err)
	older := end != nil && !end.told // than its end is what was written
	late := !buried && (older || err != nil && again)
	switch {
	case !late && known == s:
		delete(m.mu.late, s.Key)
	case late && (known == nil || known.buried.Load()) && len(m.mu.late) < len(m.mu.live.sessions)+m.Tombstones:
		m.mu.late[s.Key] = s
		if err != nil {
			m.Log.Warn("the record of a session is written later", "user", s.User, "session", s.ID, "err", err)
		}
	}
}

// contradicts says that another session, or another state of this one, is stored.
func contradicts(err error) bool {
	return errors.Is(err, discovery.ErrExists) || errors.Is(err, discovery.ErrConflict)
}

// flush writes what could not be written before.
func (m *Manager) flush(ctx context.Context) {
	m.lastAway.Store(0)
	var full atomic.Bool
	m.mu.Lock()
	late := make([]*Session, 0, len(m.mu.late))
	for _, s := range m.mu.late {
		late = append(late, s)
	}
	m.mu.Unlock()
	var group errgroup.Group
	group.SetLimit(writeParallel)
	for _, s := range late {
		group.Go(func() error {
			switch err := m.write(ctx, s); {
			case contradicts(err):
				m.overruled(ctx, s)
			case errors.Is(err, discovery.ErrInvalid):
				m.unwritable(ctx, s, err)
			case errors.Is(err, discovery.ErrFull):
				full.Store(true)
			}
			return nil
		})
	}
	_ = group.Wait() // no function returns an error
	if full.Load() && !m.makeRoom(ctx) {
		m.Log.Warn("the store is full of live sessions: other gateways do not know all that are open here")
	}
}

// unwritable ends s, whose record will never be stored.
func (m *Manager) unwritable(ctx context.Context, s *Session, why error) {
	if s.Ended() != nil {
		return
	}
	if e := s.Engine(); e != nil {
		defer m.release(ctx, s.Key, e)
	}
	m.end(s, End{Cause: Lost, Why: fmt.Sprintf("Its record cannot be stored (%v).", why)})
}

// overruled ends s, whose record contradicts the one that another gateway wrote while
// this one could not reach the store.
func (m *Manager) overruled(ctx context.Context, s *Session) {
	r, err := m.Store.GetSession(ctx, s.User, s.ID)
	switch {
	case err != nil && !errors.Is(err, discovery.ErrNotFound):
		m.noteLate(s, fmt.Errorf("%w: %w", discovery.ErrAway, err))
		return
	case err != nil:
		s.stored.Store(false)
		m.noteLate(s, discovery.ErrAway) // it can be added now
		return
	case s.is(r) && r.Ended != nil:
		m.take(r)
		return
	case s.has(r):
		s.stored.Store(true)
		m.noteLate(s, discovery.ErrAway) // it is ours, in an older state
		return
	}
	if e := s.Engine(); e != nil && r.EngineRef != "" && e.RefID() != r.EngineRef {
		defer m.release(ctx, s.Key, e)
	}
	m.end(s, End{Cause: Lost, Why: "Another gateway opened it, too, while the store of sessions could not be reached.", told: true})
	m.take(r)
}
