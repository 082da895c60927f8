// SPDX-License-Identifier: Apache-2.0

package session

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"roundhouse/discovery"
	"roundhouse/internal/errs"
)

// Cause says who ended a session.
type Cause int

const (
	// Released: the client's own ReleaseSession.
	Released Cause = iota
	// Lost: idle, killed, limit, or the engine ended. The client must
	// reconnect, and is told why.
	Lost
	// Forgotten: released with allow_reconnect, or never used; the id is free.
	Forgotten
)

// End is how a session ended.
type End struct {
	Cause Cause
	// Why is a full sentence for people.
	Why string
	// Failure, if not nil, is what calls that wait for the engine get: why its
	// launch failed.
	Failure error
	At      time.Time
	// Guess says that another gateway may know better how the session ended.
	Guess bool

	// told says that the store knows it already.
	told bool
}

// word is a Cause in a record.
func (c Cause) word() string {
	if c == Released {
		return released
	}
	return "lost"
}

// endOf is the end that a record tells of.
func endOf(e discovery.SessionEnd) End {
	end := End{Cause: Lost, Why: e.Why, At: e.At, told: true}
	if e.Cause == Released.word() {
		end.Cause = Released
	}
	return end
}

// Error is what calls of the ended session get.
func (e *End) Error(id string) error {
	if e.Failure != nil {
		return e.Failure
	}
	if e.Cause == Released {
		return errs.SessionClosed(id)
	}
	return errs.SessionChanged(id, e.Why)
}

// SessionClosed is told by the engine's plugin that it closed a session. It
// returns false when that may have been an earlier session of the same id, so
// that only a Census can tell.
func (m *Manager) SessionClosed(refID, user, id, reason string) bool {
	s, _ := m.Lookup(Key{user, id})
	if s == nil || !s.on(refID) {
		return true
	}
	if s.doubtful(reason) {
		return false
	}
	m.end(s, s.closed(reason))
	return true
}

// doubtful says whether a session that the engine closed for this reason may not be s,
// or whether another gateway knows better how it was released.
func (s *Session) doubtful(reason string) bool {
	_, under := s.Released()
	return reason == released && !under
}

// released is the plugin's word, and that of records, for a session that its client
// released.
const released = "released"

// closed is the end of a session that the engine closed for a reason, one of
// the plugin's words.
func (s *Session) closed(reason string) End {
	switch reason {
	case "idle":
		return End{Cause: Lost, Why: "The session was idle for longer than kyuubi.session.idle.timeout and was closed."}
	case released:
		cause, _ := s.Released() // Released, unless the client said otherwise
		return End{Cause: cause, Why: "The client released it."}
	}
	return End{Cause: Lost, Why: "The engine closed the session (" + reason + ")."}
}

// tombstones remember ended sessions, bounded in number and age.
type tombstones struct {
	byKey *lru.Cache[Key, *End]
	// openedBy remembers for whom a user opened a session, whatever became of it: a
	// later call must not mistake the user for the owner.
	openedBy *lru.Cache[Key, string]
	// over remembers when sessions were opened that have ended, forgotten ones too: a
	// record in which one still lives is an old state of it.
	over *lru.Cache[Key, time.Time]
	keep time.Duration
	now  func() time.Time
}

func newTombstones(size int, keep time.Duration, now func() time.Time) (*tombstones, error) {
	c, err := lru.New[Key, *End](size)
	if err != nil {
		return nil, err
	}
	openedBy, err := lru.New[Key, string](size)
	if err != nil {
		return nil, err
	}
	over, err := lru.New[Key, time.Time](size)
	if err != nil {
		return nil, err
	}
	return &tombstones{byKey: c, openedBy: openedBy, over: over, keep: keep, now: now}, nil
}

// remember notes who opened a session that has ended, if that is not its user.
func (t *tombstones) remember(r Request) {
	if r.OpenedBy() != r.User {
		t.openedBy.Add(Key{r.OpenedBy(), r.ID}, r.User)
	}
}

// buried says whether the session of a record that lives there has ended here.
func (t *tombstones) buried(r discovery.SessionRecord) bool {
	opened, ok := t.over.Peek(Key{r.User, r.SessionID})
	return ok && opened.Equal(r.Opened)
}

func (t *tombstones) put(k Key, e *End) {
	if e.Cause == Forgotten {
		t.byKey.Remove(k)
		return
	}
	t.byKey.Add(k, e)
}

func (t *tombstones) get(k Key) *End {
	e, ok := t.byKey.Get(k)
	if !ok {
		return nil
	}
	if t.now().Sub(e.At) > t.keep {
		t.byKey.Remove(k)
		return nil
	}
	return e
}
