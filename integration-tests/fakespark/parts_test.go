// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/engine/enginetest"
)

func zeros(n int) io.Reader { return strings.NewReader(strings.Repeat("0", n)) }

func TestReadProperties(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p")
	text := "# comment\n\na=1\n b : 2 \nc\\=d=x\\:y\\\\z\ne f g\nu=\\u00e9\\t!\nempty=\n"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	props, err := readProperties(file)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "1", "b": "2", "c=d": `x:y\z`, "e": "f g", "u": "é\t!", "empty": ""}, props)
}

func TestSparkUnits(t *testing.T) {
	r := reader{props: map[string]string{"s": "90s", "none": "250", "min": "2min", "off": "-1", "m": "64m", "b": "123", "kb": "2kb", "bad": "1x"}}
	require.Equal(t, 90*time.Second, r.duration("s"))
	require.Equal(t, 250*time.Millisecond, r.duration("none"))
	require.Equal(t, 2*time.Minute, r.duration("min"))
	require.Negative(t, r.duration("off"))
	require.Zero(t, r.duration("absent"))
	require.Equal(t, int64(64<<20), r.bytes("m"))
	require.Equal(t, int64(123), r.bytes("b"))
	require.Equal(t, int64(2048), r.bytes("kb"))
	require.NoError(t, r.err)
	r.duration("bad")
	require.ErrorContains(t, r.err, "bad")
}

func TestPollInterval(t *testing.T) {
	s := settings{checkInterval: time.Minute}
	require.Equal(t, maxPoll, s.pollInterval())
	s.sessionIdle = 8 * time.Second
	require.Equal(t, 2*time.Second, s.pollInterval())
	s.engineIdle = time.Millisecond
	require.Equal(t, minPoll, s.pollInterval())
}

func TestActivity(t *testing.T) {
	begin := time.Unix(1000, 0)
	at := func(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }
	none := func(sessionID) string { return "released" }
	session := func(access, running int) []enginetest.SessionInfo {
		return []enginetest.SessionInfo{{User: "alice", ID: "s", Opened: begin, LastAccess: at(access), Running: running}}
	}
	alice := sessionID{"alice", "s"}

	a := newActivity(settings{sessionIdle: 10 * time.Second, engineIdle: 20 * time.Second, initialWait: 15 * time.Second}, begin)
	require.Nil(t, a.ending(at(14)))
	require.Equal(t, "unused", a.ending(at(15)).reason)

	require.Equal(t, []change{{alice, eventOpened, ""}}, a.observe(session(1, 1), none, at(1)))
	require.Empty(t, a.observe(session(1, 1), none, at(30)), "an operation runs")
	require.Empty(t, a.observe(session(1, 0), none, at(39)), "it ran until 30 s")
	require.Equal(t, []change{{alice, "idle", ""}}, a.observe(session(1, 0), none, at(40)))
	require.Equal(t, []change{{alice, eventClosed, "idle"}}, a.observe(nil, none, at(41)))
	require.Nil(t, a.ending(at(59)))
	require.Equal(t, "idle", a.ending(at(60)).reason)
}

func TestActivityTellsReleasedFromExpired(t *testing.T) {
	now := time.Unix(1000, 0)
	a := newActivity(settings{}, now)
	seen := []enginetest.SessionInfo{{User: "bob", ID: "s", ServerSide: "1"}}
	a.observe(seen, nil, now)
	seen[0].ServerSide = "2" // closed and opened again between two looks
	bob := sessionID{"bob", "s"}
	require.Equal(t, []change{{bob, eventClosed, "expired"}, {bob, eventOpened, ""}},
		a.observe(seen, func(sessionID) string { return "expired" }, now))
	require.Nil(t, a.ending(now.Add(time.Hour)), "no timeout is set")
}

func TestActivityDrains(t *testing.T) {
	now := time.Unix(1000, 0)
	a := newActivity(settings{maxLifetime: time.Minute}, now)
	a.observe([]enginetest.SessionInfo{{User: "bob", ID: "s"}}, nil, now)
	require.Nil(t, a.aging(now.Add(59*time.Second)))
	a.draining = a.aging(now.Add(time.Minute))
	require.Equal(t, "lifetime", a.draining.reason)
	require.Nil(t, a.ending(now.Add(time.Minute)), "a session is open")
	a.observe(nil, func(sessionID) string { return "released" }, now.Add(time.Hour))
	require.Equal(t, "lifetime", a.ending(now.Add(time.Hour)).reason)
}

func TestActivityIsHeld(t *testing.T) {
	begin := time.Unix(1000, 0)
	at := func(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }
	a := newActivity(settings{engineIdle: 20 * time.Second, initialWait: 15 * time.Second}, begin)
	a.hold(at(10), 90*time.Second)
	a.hold(at(20), time.Second)
	require.Nil(t, a.ending(at(99)))
	require.Equal(t, "unused", a.ending(at(100)).reason)
	a.markOpened(at(20))
	require.Nil(t, a.ending(at(99)), "that session was opened before")
	a.markOpened(at(21))
	require.Equal(t, "idle", a.ending(at(41)).reason)
	a.draining = &verdict{reason: "drained"}
	a.hold(at(42), time.Minute)
	require.Equal(t, "drained", a.ending(at(43)).reason)
}

func TestEventsForgetTheOldest(t *testing.T) {
	e := newEvents()
	for range ringSize + 5 {
		e.add(event{Type: eventOpened})
	}
	b := e.after(t.Context(), 0, 0)
	require.True(t, b.Lost)
	require.Len(t, b.Events, ringSize)
	require.Equal(t, int64(6), b.Events[0].Seq)
	b = e.after(t.Context(), b.Last-1, 0)
	require.False(t, b.Lost)
	require.Len(t, b.Events, 1)
	require.Empty(t, e.after(t.Context(), b.Last, time.Millisecond).Events)
}
