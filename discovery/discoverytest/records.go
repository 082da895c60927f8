// SPDX-License-Identifier: Apache-2.0

package discoverytest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
)

// Sessions is the suite of discovery.SessionStore.
func Sessions(t *testing.T, open func(t *testing.T) discovery.SessionStore) {
	for name, test := range map[string]func(*testing.T, discovery.SessionStore){
		"records read back":             sessionsReadBack,
		"put replaces":                  sessionsReplace,
		"one of two adds wins":          sessionsAdd,
		"a session keeps its engine":    sessionsKeepEngine,
		"an ended session stays so":     sessionsStayEnded,
		"users are apart":               sessionsOfUsers,
		"delete":                        sessionsDelete,
		"delete removes what was seen":  sessionsDeleteOne,
		"unusable records are refused":  sessionsUnusable,
		"records are put at once":       sessionsTogether,
		"an ended context stops a call": sessionsObeyContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func newSession(user, id string) discovery.SessionRecord {
	return discovery.SessionRecord{
		User: user, SessionID: id, EngineRef: "e1", Options: map[string]string{"spark.driver.memory": "2g"},
		Client: "python", Address: "192.0.2.7:1", Name: "Ümläut\n", Opened: time.Date(2026, 11, 21, 8, 0, 0, 123456789, time.UTC),
	}
}

func sessionsReadBack(t *testing.T, s discovery.SessionStore) {
	_, err := s.GetSession(t.Context(), "alice", "s1")
	require.ErrorIs(t, err, discovery.ErrNotFound)
	records, err := s.Sessions(t.Context())
	require.NoError(t, err)
	require.Empty(t, records)

	full, bare := newSession("alice", "s1"), discovery.SessionRecord{User: "alice", SessionID: "s2"}
	require.NoError(t, s.PutSession(t.Context(), full))
	require.NoError(t, s.PutSession(t.Context(), bare))
	got, err := s.GetSession(t.Context(), "alice", "s1")
	require.NoError(t, err)
	require.Equal(t, full, got)
	records, err = s.Sessions(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, []discovery.SessionRecord{full, bare}, records)
}

func sessionsReplace(t *testing.T, s discovery.SessionStore) {
	r := newSession("alice", "s1")
	require.NoError(t, s.PutSession(t.Context(), r))
	r.Name, r.Options = "other", nil
	require.NoError(t, s.PutSession(t.Context(), r))
	another := r
	another.Opened = r.Opened.Add(1)
	require.ErrorIs(t, s.PutSession(t.Context(), another), discovery.ErrConflict)
	got, err := s.GetSession(t.Context(), "alice", "s1")
	require.NoError(t, err)
	require.Equal(t, r, got)
}

func sessionsAdd(t *testing.T, s discovery.SessionStore) {
	first, second := newSession("alice", "s1"), newSession("alice", "s1")
	second.Gateway = "g2"
	require.NoError(t, s.AddSession(t.Context(), first))
	require.ErrorIs(t, s.AddSession(t.Context(), second), discovery.ErrExists)
	require.ErrorIs(t, s.AddSession(t.Context(), first), discovery.ErrExists)
	got, err := s.GetSession(t.Context(), "alice", "s1")
	require.NoError(t, err)
	require.Equal(t, first, got)

	const count = 10
	var wg sync.WaitGroup
	var won atomic.Int32
	for range count {
		wg.Go(func() {
			if s.AddSession(t.Context(), newSession("alice", "s2")) == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, won.Load())
	require.ErrorIs(t, s.AddSession(t.Context(), newSession("", "s1")), discovery.ErrInvalid)
	require.ErrorIs(t, s.AddSession(cancelled(t), newSession("alice", "s3")), context.Canceled)
}

func sessionsKeepEngine(t *testing.T, s discovery.SessionStore) {
	r := newSession("alice", "s1")
	r.EngineRef = ""
	require.NoError(t, s.AddSession(t.Context(), r))
	r.EngineRef = "e1"
	require.NoError(t, s.PutSession(t.Context(), r))
	for _, other := range []string{"e2", ""} {
		r.EngineRef = other
		require.ErrorIs(t, s.PutSession(t.Context(), r), discovery.ErrConflict)
	}
	got, err := s.GetSession(t.Context(), "alice", "s1")
	require.NoError(t, err)
	require.Equal(t, "e1", got.EngineRef)
}

func sessionsStayEnded(t *testing.T, s discovery.SessionStore) {
	alive := newSession("alice", "s1")
	require.NoError(t, s.PutSession(t.Context(), alive))
	ended := alive
	ended.Ended = &discovery.SessionEnd{Cause: "closed", At: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)}
	require.NoError(t, s.PutSession(t.Context(), ended))
	require.ErrorIs(t, s.PutSession(t.Context(), alive), discovery.ErrConflict)
	require.NoError(t, s.PutSession(t.Context(), ended))
	otherwise := alive
	otherwise.Ended = &discovery.SessionEnd{Cause: "lost", At: ended.Ended.At.Add(1)}
	require.ErrorIs(t, s.PutSession(t.Context(), otherwise), discovery.ErrConflict, "the first end counts")
	got, err := s.GetSession(t.Context(), "alice", "s1")
	require.NoError(t, err)
	require.Equal(t, ended, got)
}

func sessionsOfUsers(t *testing.T, s discovery.SessionStore) {
	require.NoError(t, s.PutSession(t.Context(), newSession("alice", "s1")))
	_, err := s.GetSession(t.Context(), "bob", "s1")
	require.ErrorIs(t, err, discovery.ErrNotFound)
	require.NoError(t, s.DeleteSession(t.Context(), newSession("bob", "s1")))
	_, err = s.GetSession(t.Context(), "alice", "s1")
	require.NoError(t, err)
}

func sessionsDelete(t *testing.T, s discovery.SessionStore) {
	r := newSession("alice", "s1")
	require.NoError(t, s.PutSession(t.Context(), r))
	require.NoError(t, s.DeleteSession(t.Context(), r))
	require.NoError(t, s.DeleteSession(t.Context(), r), "absent by now")
	_, err := s.GetSession(t.Context(), "alice", "s1")
	require.ErrorIs(t, err, discovery.ErrNotFound)
}

// sessionsDeleteOne: who deletes has seen what goes.
func sessionsDeleteOne(t *testing.T, s discovery.SessionStore) {
	alive := newSession("alice", "s1")
	another, elsewhere, ended, later := alive, alive, alive, alive
	another.Opened = alive.Opened.Add(1)
	elsewhere.EngineRef = ""
	ended.Ended = &discovery.SessionEnd{Cause: "closed", At: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)}
	later.Ended = &discovery.SessionEnd{Cause: "closed", At: ended.Ended.At.Add(1)}
	require.NoError(t, s.AddSession(t.Context(), alive))
	for _, r := range []discovery.SessionRecord{another, elsewhere, ended} {
		require.ErrorIs(t, s.DeleteSession(t.Context(), r), discovery.ErrConflict)
	}
	require.NoError(t, s.PutSession(t.Context(), ended))
	for _, r := range []discovery.SessionRecord{alive, later} {
		require.ErrorIs(t, s.DeleteSession(t.Context(), r), discovery.ErrConflict)
	}
	got, err := s.GetSession(t.Context(), "alice", "s1")
	require.NoError(t, err)
	require.Equal(t, ended, got)
	got.Name = "what else it says is nobody's concern"
	require.NoError(t, s.DeleteSession(t.Context(), got))
	require.NoError(t, s.AddSession(t.Context(), another), "its place is free")
}

func sessionsUnusable(t *testing.T, s discovery.SessionStore) {
	large := newSession("alice", "s1")
	large.Options = map[string]string{"x": strings.Repeat("x", 1<<20)}
	for name, r := range map[string]discovery.SessionRecord{
		"no user":     newSession("", "s1"),
		"no id":       newSession("alice", ""),
		"NUL in user": newSession("a\x00b", "s1"),
		"NUL in id":   newSession("alice", "s\x001"),
		"huge id":     newSession("alice", strings.Repeat("s", 1<<15)),
		"huge":        large,
	} {
		require.ErrorIs(t, s.PutSession(t.Context(), r), discovery.ErrInvalid, name)
	}
	records, err := s.Sessions(t.Context())
	require.NoError(t, err)
	require.Empty(t, records)
}

func sessionsTogether(t *testing.T, s discovery.SessionStore) {
	const count = 50
	var wg sync.WaitGroup
	faults := make([]error, count)
	for i := range count {
		wg.Go(func() {
			r := newSession("alice", fmt.Sprintf("s%d", i))
			if faults[i] = s.PutSession(t.Context(), r); faults[i] == nil {
				_, faults[i] = s.GetSession(t.Context(), r.User, r.SessionID)
			}
		})
	}
	wg.Wait()
	for _, err := range faults {
		require.NoError(t, err, "each put can be read when it returned")
	}
	records, err := s.Sessions(t.Context())
	require.NoError(t, err)
	require.Len(t, records, count)
}

func sessionsObeyContext(t *testing.T, s discovery.SessionStore) {
	ctx := cancelled(t)
	require.ErrorIs(t, s.PutSession(ctx, newSession("alice", "s1")), context.Canceled)
	require.ErrorIs(t, s.DeleteSession(ctx, newSession("alice", "s1")), context.Canceled)
	_, err := s.GetSession(ctx, "alice", "s1")
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Sessions(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

// Engines is the suite of discovery.EngineStore.
func Engines(t *testing.T, open func(t *testing.T) discovery.EngineStore) {
	for name, test := range map[string]func(*testing.T, discovery.EngineStore){
		"records read back, put replaces": enginesReadBack,
		"unusable records are refused":    enginesUnusable,
		"an ended context stops a call":   enginesObeyContext,
		"a record has one owner":          enginesHaveOwners,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func newEngine(refID string) discovery.EngineRecord {
	return discovery.EngineRecord{
		RefID: refID, Path: space, User: "alice", ShareLevel: "USER", Subdomain: "default",
		Options: map[string]string{"spark.driver.memory": "2g"}, PID: 4711, StartTime: 1<<63 + 1,
		WorkDir: "/w/alice/" + refID, Submitted: time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC), Node: newNode().String(),
	}
}

func enginesReadBack(t *testing.T, s discovery.EngineStore) {
	first, second := newEngine("e1"), newEngine("e2")
	require.ErrorIs(t, s.PutEngine(t.Context(), first), discovery.ErrNotFound, "nothing to replace")
	require.NoError(t, s.AddEngine(t.Context(), first))
	require.NoError(t, s.AddEngine(t.Context(), second))
	require.ErrorIs(t, s.AddEngine(t.Context(), second), discovery.ErrExists)
	second.PID, second.Node, second.Options = 0, "", nil
	require.NoError(t, s.PutEngine(t.Context(), second))

	records, err := s.Engines(t.Context())
	require.NoError(t, err)
	slices.SortFunc(records, func(a, b discovery.EngineRecord) int { return cmp.Compare(a.RefID, b.RefID) })
	require.Equal(t, []discovery.EngineRecord{first, second}, records)

	require.NoError(t, s.DeleteEngine(t.Context(), "e1"))
	require.NoError(t, s.DeleteEngine(t.Context(), "e1"), "absent by now")
	records, err = s.Engines(t.Context())
	require.NoError(t, err)
	require.Equal(t, []discovery.EngineRecord{second}, records)
}

func enginesHaveOwners(t *testing.T, s discovery.EngineStore) {
	a, b := discovery.Owner{Gateway: "a", PID: 1}, discovery.Owner{Gateway: "b", PID: 2}
	r := newEngine("e1")
	r.Owner = a
	require.NoError(t, s.AddEngine(t.Context(), r))
	r.PID++
	require.NoError(t, s.PutEngine(t.Context(), r))
	r.Owner = b
	require.ErrorIs(t, s.PutEngine(t.Context(), r), discovery.ErrConflict)
	require.ErrorIs(t, s.TakeEngine(t.Context(), r, b), discovery.ErrConflict)
	require.NoError(t, s.TakeEngine(t.Context(), r, a))
	require.NoError(t, s.PutEngine(t.Context(), r))
	old := r
	old.Owner = a
	require.ErrorIs(t, s.PutEngine(t.Context(), old), discovery.ErrConflict, "whoever owned it before")
	records, err := s.Engines(t.Context())
	require.NoError(t, err)
	require.Equal(t, []discovery.EngineRecord{r}, records)
	require.NoError(t, s.DeleteEngine(t.Context(), "e1"))
	require.ErrorIs(t, s.PutEngine(t.Context(), r), discovery.ErrNotFound, "what is deleted does not come back")
	require.ErrorIs(t, s.TakeEngine(t.Context(), r, b), discovery.ErrNotFound)
}

func enginesUnusable(t *testing.T, s discovery.EngineStore) {
	large := newEngine("e1")
	large.WorkDir = strings.Repeat("x", 1<<20)
	for name, r := range map[string]discovery.EngineRecord{"no ref id": newEngine(""), "huge": large} {
		require.ErrorIs(t, s.AddEngine(t.Context(), r), discovery.ErrInvalid, name)
	}
}

func enginesObeyContext(t *testing.T, s discovery.EngineStore) {
	ctx := cancelled(t)
	require.ErrorIs(t, s.AddEngine(ctx, newEngine("e1")), context.Canceled)
	require.ErrorIs(t, s.PutEngine(ctx, newEngine("e1")), context.Canceled)
	require.ErrorIs(t, s.DeleteEngine(ctx, "e1"), context.Canceled)
	_, err := s.Engines(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
