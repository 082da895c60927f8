// SPDX-License-Identifier: Apache-2.0

package session

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/conf"
	"roundhouse/discovery"
	"roundhouse/engine"
)

func TestRestoreServesKnownEnginesAndBuriesTheRest(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for id, ref := range map[string]string{"s1": "e1", "s2": "gone"} {
			require.NoError(t, r.store.PutSession(t.Context(), discovery.SessionRecord{User: "alice", SessionID: id, EngineRef: ref}))
		}
		require.NoError(t, r.Restore(t.Context()))
		s, _ := r.Lookup(r.key)
		require.Equal(t, "e1", s.Engine().RefID())
		_, end := r.Lookup(Key{"alice", "s2"})
		require.Equal(t, Lost, end.Cause)
		require.Contains(t, end.Why, "engine gone ended")
		require.Equal(t, end.Why, r.store.all()[Key{"alice", "s2"}].Ended.Why)
	})
}

func TestRestoreForgetsManySessionsOfADeadEngine(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for i := range 1000 {
			require.NoError(t, r.store.PutSession(t.Context(), discovery.SessionRecord{User: "alice", SessionID: fmt.Sprint(i), EngineRef: "gone"}))
		}
		require.NoError(t, r.Restore(t.Context()))
		require.Empty(t, r.List())
		synctest.Wait() // so many ends are swept at once
		require.Len(t, r.store.all(), r.Tombstones)
	})
}

// restored is a session of an earlier gateway.
func restored(t *testing.T, r *rig) *Session {
	t.Helper()
	record := discovery.SessionRecord{
		User: "alice", SessionID: "s1", EngineRef: "e1", Opened: time.Now(),
		Runtime: r.Box.Seal([]byte(`{"spark.sql.ansi.enabled":"true"}`), r.key.sealName()),
	}
	require.NoError(t, r.store.PutSession(t.Context(), record))
	require.NoError(t, r.Restore(t.Context()))
	s, _ := r.Lookup(r.key)
	require.NotNil(t, s)
	return s
}

func TestSessionThatNeverReachedItsEngineStartsAnew(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		s := restored(t, r)
		prepared := 0
		prepare := func() error { prepared++; return nil }
		require.NoError(t, s.Prepare(t.Context(), prepare))
		require.Zero(t, prepared, "the client may have changed its options since")
		r.Census("another", engine.Census{})
		require.True(t, s.Confirmed())
		r.Census("e1", engine.Census{}) // of a driver that knows of nothing
		require.False(t, s.Confirmed())
		require.NoError(t, s.Prepare(t.Context(), prepare))
		require.Equal(t, 1, prepared)
		require.Equal(t, "true", s.Plan.Options.Session["spark.sql.ansi.enabled"])
		<-time.After(15 * time.Minute) // fake clock
		synctest.Wait()
		require.Empty(t, r.List(), "as any session that is never used")
	})
}

func TestCensusLeavesSessionsInUseAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		s := restored(t, r)
		s.Begin()()
		r.Census("e1", engine.Census{})
		require.True(t, s.Confirmed())
	})
}

// TestSecretsOfClientsAreNotOnDisk, and the next gateway has them all the same.
func TestSecretsOfClientsAreNotOnDisk(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		close(r.engines.ready)
		options := map[string]string{"fs.s3a.secret.key": "hush"}
		s, _, err := r.Open(t.Context(), Request{Key: r.key, Plan: Plan{Options: conf.Options{Session: options}}})
		require.NoError(t, err)
		_, err = r.Engine(t.Context(), s, func() {})
		require.NoError(t, err)
		record := r.store.all()[r.key]
		text, err := json.Marshal(record)
		require.NoError(t, err)
		require.NotEmpty(t, record.Runtime)
		require.NotContains(t, string(text)+string(record.Runtime), "hush")
		require.NotContains(t, string(record.Runtime), "s3a")
		require.Equal(t, options, r.runtime(record))
		record.SessionID = "s2"
		require.Nil(t, r.runtime(record), "another session cannot have them")
	})
}

// TestSessionOpenedAheadAndUnusedSurvives a restart after which its engine has
// forgotten much; one that was used does not.
func TestSessionOpenedAheadAndUnusedSurvives(t *testing.T) {
	for name, use := range map[string]bool{"unused": false, "used": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				close(r.engines.ready)
				over := make(chan bool, 1)
				s, err := r.OpenAhead(t.Context(), Request{Key: r.key}, func() { over <- true })
				require.NoError(t, err)
				<-over
				synctest.Wait()
				require.True(t, r.store.all()[r.key].Unused)
				if use {
					s.Begin()()
				}
				require.Equal(t, !use, r.store.all()[r.key].Unused)

				next, err := NewManager(r.Options)
				require.NoError(t, err)
				require.NoError(t, next.Restore(t.Context()))
				defer next.work.Wait()
				defer next.stop()
				again, _ := next.Lookup(r.key)
				require.Equal(t, use, again.Confirmed())
				next.meet(again, engine.Vanished, "")
				require.Equal(t, use, again.Ended() != nil)
			})
		})
	}
}

func TestReleaseThatNobodyAskedForIsDoubtful(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		s := restored(t, r)
		require.False(t, r.SessionClosed("e1", "alice", "s1", "released"))
		require.True(t, r.SessionClosed("another", "alice", "s1", "released"))
		require.True(t, r.SessionClosed("e1", "alice", "s2", "released"))
		require.Nil(t, s.Ended())
		s.Releasing(Released)
		require.True(t, r.SessionClosed("e1", "alice", "s1", "released"))
		require.Equal(t, Released, s.Ended().Cause)
		require.EqualValues(t, 1, r.engines.released.Load())
		require.Equal(t, "released", r.store.all()[r.key].Ended.Cause)
	})
}
