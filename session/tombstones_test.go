// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/discovery"
)

// TestEndedSessionsAreInNobodysWay: who opens and ends sessions without a pause fills no
// store until the next sweep.
func TestEndedSessionsAreInNobodysWay(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		for i := range 1000 {
			k := Key{"mallory", fmt.Sprint(i)}
			h.a.open(t, k)
			require.True(t, h.a.End(k, End{Cause: Released}))
		}
		h.b.open(t, h.key)
		synctest.Wait()
		require.LessOrEqual(t, len(h.store.all()), 100+1+100/crowd)
	})
}

func TestOnlyLiveSessionsFillTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for i := range 20 {
			at := time.Now().Add(time.Duration(-i) * time.Minute)
			require.NoError(t, r.store.PutSession(t.Context(), discovery.SessionRecord{
				User: "bob", SessionID: fmt.Sprint(i), Opened: at, Ended: &discovery.SessionEnd{Cause: "lost", At: at},
			}))
		}
		r.store.most = 20
		r.Tombstones, r.TombstonesPerUser = 20, 20
		for i := range 20 {
			_, _, err := r.Open(t.Context(), Request{Key: Key{"alice", fmt.Sprint(i)}})
			require.NoError(t, err, "an ended one makes room")
		}
		_, _, err := r.Open(t.Context(), Request{Key: Key{"alice", "more"}})
		require.Equal(t, codes.ResourceExhausted, status.Code(err))
		require.True(t, r.End(Key{"alice", "0"}, End{Cause: Released}))
		_, _, err = r.Open(t.Context(), Request{Key: Key{"alice", "more"}})
		require.NoError(t, err)
	})
}

// TestSurplus: who has most gives most, however old those of others are.
func TestSurplus(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.Tombstones, r.TombstonesPerUser = 60, 50
		now := time.Now()
		add := func(user string, n int, age time.Duration) {
			for i := range n {
				require.NoError(t, r.store.PutSession(t.Context(), discovery.SessionRecord{
					User: user, SessionID: fmt.Sprint(i), Ended: &discovery.SessionEnd{Cause: "lost", At: now.Add(-age)},
				}))
			}
		}
		add("old", 3, 2*r.TombstoneKeep)
		add("alice", 10, r.TombstoneKeep/2)
		add("mallory", 3*sweepMost, time.Second)
		r.sweepTombstones(t.Context())
		left := map[string]int{}
		for k := range r.store.all() {
			left[k.User]++
		}
		require.Equal(t, map[string]int{"alice": 10, "mallory": 50}, left)
		r.Tombstones = 55
		r.sweepTombstones(t.Context())
		require.Len(t, r.store.all(), 55)
	})
}

// TestLateSessionFindsTheStoreFull: it is served all the same, and recorded once there is room.
func TestLateSessionFindsTheStoreFull(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.b.open(t, Key{"bob", "live"})
		h.store.most = 1
		h.a.store.setAway(true)
		s := h.a.open(t, h.key)
		h.a.store.setAway(false)
		pass(time.Minute)
		require.NotContains(t, h.store.all(), h.key)
		require.Nil(t, s.Ended())
		h.b.End(Key{"bob", "live"}, End{Cause: Released})
		pass(time.Minute)
		require.Equal(t, "e1", h.store.all()[h.key].EngineRef)
		other, _ := h.b.Lookup(h.key)
		require.NotNil(t, other)
		require.Empty(t, h.a.mu.late)
	})
}

// TestEndThatIsNotWrittenYet counts, whatever is looked up meanwhile.
func TestEndThatIsNotWrittenYet(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.open()
		r.store.setFail(errors.New("disk full"))
		require.True(t, r.End(r.key, End{Cause: Forgotten}))
		require.Nil(t, r.store.all()[r.key].Ended)
		require.NoError(t, r.verify(t.Context(), r.key))
		require.Empty(t, r.List())
		r.store.setFail(nil)
		<-time.After(2 * time.Second) // fake clock
		synctest.Wait()
		require.Empty(t, r.store.all())
	})
}

// TestLateSessionThatCannotBeRecorded ends with the reason.
func TestLateSessionThatCannotBeRecorded(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.e1.conn = refusing{}
		h.a.store.setAway(true)
		s := h.a.open(t, h.key)
		h.store.setFail(discovery.ErrInvalid)
		h.a.store.setAway(false)
		pass(2 * time.Second)
		require.ErrorContains(t, s.errorOr(nil), "Its record cannot be stored")
		h.store.setFail(nil)
		pass(2 * time.Second)
		require.Empty(t, h.a.mu.late)
	})
}

// hastyStore is one in which something happens right before the next deletion.
type hastyStore struct {
	*memoryStore
	before func()
}

func (s *hastyStore) DeleteSession(ctx context.Context, r discovery.SessionRecord) error {
	if s.before != nil {
		s.before()
		s.before = nil
	}
	return s.memoryStore.DeleteSession(ctx, r)
}

// unhurried is a manager that does nothing by itself.
func unhurried(t *testing.T, store *hastyStore) *Manager {
	t.Helper()
	m, err := NewManager(Options{
		Gateway: "this", Namespace: "kyuubi", Lock: store, Follow: store, Box: box(t), Engines: newFakeEngines(), Store: store,
		Log: slog.New(slog.DiscardHandler), TombstoneKeep: time.Hour, Tombstones: 10,
	})
	require.NoError(t, err)
	t.Cleanup(m.close)
	return m
}

// TestWhatAnotherGatewayWritesMeanwhileStays: its session has the key of one that is being removed.
func TestWhatAnotherGatewayWritesMeanwhileStays(t *testing.T) {
	k, at := Key{"alice", "s1"}, time.Now()
	old := discovery.SessionRecord{User: "alice", SessionID: "s1", EngineRef: "e1", Opened: at.Add(-2 * time.Hour)}
	next := old
	next.Opened = at
	ended := old
	ended.Ended = &discovery.SessionEnd{Cause: "lost", At: at.Add(-2 * time.Hour)}
	for name, c := range map[string]struct {
		stored, meanwhile discovery.SessionRecord
		remove            func(m *Manager) error
		stays             bool
	}{
		"sweep": {ended, next, func(m *Manager) error { m.sweepTombstones(t.Context()); return nil }, true},
		"forget": {old, next, func(m *Manager) error {
			return m.deleteRecord(t.Context(), k, func(r discovery.SessionRecord) bool { return r.Opened.Equal(old.Opened) })
		}, true},
		"forget what has ended": {old, ended, func(m *Manager) error {
			return m.deleteRecord(t.Context(), k, func(r discovery.SessionRecord) bool { return r.Opened.Equal(old.Opened) })
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			store := &hastyStore{memoryStore: newMemoryStore()}
			m := unhurried(t, store)
			require.NoError(t, store.AddSession(t.Context(), c.stored))
			store.before = func() {
				require.NoError(t, store.memoryStore.DeleteSession(t.Context(), c.stored))
				require.NoError(t, store.AddSession(t.Context(), c.meanwhile))
			}
			require.NoError(t, c.remove(m))
			r, there := store.all()[k]
			require.Equal(t, c.stays, there)
			require.True(t, !there || r.Opened.Equal(next.Opened))
		})
	}
}

// TestRoomIsMadeInAMoment, whatever there is to sweep: others wait for the session that gets it.
func TestRoomIsMadeInAMoment(t *testing.T) {
	store := &hastyStore{memoryStore: newMemoryStore()}
	m := unhurried(t, store)
	for i := range 3 * roomMost {
		require.NoError(t, store.AddSession(t.Context(), discovery.SessionRecord{
			User: "mallory", SessionID: fmt.Sprint(i), Ended: &discovery.SessionEnd{Cause: "lost", At: time.Now()},
		}))
	}
	require.True(t, m.makeRoom(t.Context()))
	require.Len(t, store.all(), 2*roomMost)
	require.Len(t, m.crowded, 1, "the rest is swept at once")
	<-m.crowded
	m.sweepTombstones(t.Context())
	require.Len(t, store.all(), m.Tombstones)
	require.True(t, m.makeRoom(t.Context()))
	require.Empty(t, m.crowded, "there is no rest")
}
