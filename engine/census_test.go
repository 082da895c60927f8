// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/engine/control"
)

func TestFates(t *testing.T) {
	routed := time.UnixMilli(1000)
	event := func(kind string, at int64, reason string) control.Event {
		return control.Event{TimeMs: at, Type: kind, User: "alice", SessionID: "s", Reason: reason}
	}
	other := control.Event{TimeMs: 2000, Type: control.SessionClosed, User: "bob", SessionID: "s", Reason: "idle"}
	has := []control.Session{{User: "alice", SessionID: "s"}}
	for name, test := range map[string]struct {
		events   []control.Event
		lost     bool
		sessions []control.Session
		want     Fate
		reason   string
	}{
		"there":                       {sessions: has, want: Present},
		"opened again":                {events: []control.Event{event(control.SessionClosed, 1500, "released")}, sessions: has, want: Present},
		"never came":                  {events: []control.Event{other}, want: Unseen},
		"an earlier one of that id":   {events: []control.Event{event(control.SessionClosed, 500, "released")}, want: Unseen},
		"closed":                      {events: []control.Event{event(control.SessionOpened, 1100, ""), event(control.SessionClosed, 1200, "idle")}, want: Closed, reason: "idle"},
		"closed, not told yet":        {events: []control.Event{event(control.SessionOpened, 1100, "")}, want: Present},
		"forgotten":                   {events: []control.Event{other}, lost: true, want: Vanished},
		"younger than the last event": {events: []control.Event{event(control.SessionClosed, 900, "idle"), other}, lost: true, want: Unseen},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCensus(control.Events{Events: test.events, Lost: test.lost}, control.Status{Sessions: test.sessions})
			fate, reason := c.Fate("alice", "s", routed, true)
			require.Equal(t, test.want, fate)
			require.Equal(t, test.reason, reason)
		})
	}
}

// TestEndInTheMillisecondOfTheRoute is the session's own only if its driver had it.
func TestEndInTheMillisecondOfTheRoute(t *testing.T) {
	routed := time.UnixMilli(1000)
	closed := control.Event{TimeMs: 1000, Type: control.SessionClosed, User: "alice", SessionID: "s", Reason: "released"}
	c := newCensus(control.Events{Events: []control.Event{closed}}, control.Status{})
	fate, _ := c.Fate("alice", "s", routed, true)
	require.Equal(t, Closed, fate)
	fate, _ = c.Fate("alice", "s", routed, false)
	require.Equal(t, Unseen, fate)
}

func TestLostEventsAreMadeUpByACensus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, lease := running(t)
		driver := w.controlOf(l)
		driver.mu.Lock()
		driver.sessions = []control.Session{{User: "alice", SessionID: "s2"}}
		driver.history = make([]control.Event, 10)
		driver.history[9] = control.Event{TimeMs: time.Now().UnixMilli(), Type: control.Draining, Reason: "lifetime"}
		driver.oldest = 9
		driver.mu.Unlock()
		driver.emit(control.SessionOpened, "alice", "s3", "")
		c := <-w.census
		synctest.Wait()
		require.Equal(t, Draining, lease.Engine().State())
		fate, _ := c.Fate("alice", "s2", time.Now(), true)
		require.Equal(t, Present, fate)
		fate, _ = c.Fate("alice", "s1", time.Now().Add(-time.Minute), true)
		require.Equal(t, Vanished, fate)

		driver.emit(control.SessionClosed, "alice", "s2", "idle")
		require.Equal(t, "alice s2 idle", <-w.closed, "events are followed from there")
		require.Empty(t, w.census)
	})
}

func TestDoubtfulEndIsJudgedByACensus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, _ := running(t)
		w.doubt = true
		w.controlOf(l).emit(control.SessionClosed, "alice", "s1", "released")
		require.Equal(t, "alice s1 released", <-w.closed)
		fate, reason := (<-w.census).Fate("alice", "s1", time.Now().Add(-time.Second), true)
		require.Equal(t, Closed, fate)
		require.Equal(t, "released", reason)
		synctest.Wait()
		require.Empty(t, w.census)
	})
}
