// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/engine"
	"roundhouse/internal/errs"
	"roundhouse/server/people"
	"roundhouse/session"
)

// estate is what users have, in a test.
type estate struct {
	mu       sync.Mutex
	sessions []*session.Session
	engines  []engine.Info
	said     []string
}

func (e *estate) Cut(string, error) int { return 0 }

func (e *estate) List() []*session.Session {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.sessions)
}

func (e *estate) take(id, how string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := len(e.sessions)
	e.sessions = slices.DeleteFunc(e.sessions, func(s *session.Session) bool { return s.ID == id })
	e.said = append(e.said, how+" "+id)
	return len(e.sessions) < before
}

func (e *estate) End(k session.Key, _ session.End) bool { return e.take(k.ID, "end") }

func (e *estate) Close(_ context.Context, k session.Key, _ string) error {
	e.take(k.ID, "close")
	return nil
}

func (e *estate) Engines() []engine.Info {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.engines)
}

func (e *estate) Stop(_ context.Context, refID string, kill bool, _ string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.said = append(e.said, "kill "+refID)
	e.engines = slices.DeleteFunc(e.engines, func(i engine.Info) bool { return i.RefID == refID })
	if !kill {
		return errs.New(errs.Internal, "a driver that is asked takes its time")
	}
	return nil
}

func (e *estate) session(id, user, openedBy string, level engine.ShareLevel, owner string) {
	r := session.Request{Key: session.Key{User: user, ID: id}, RealUser: openedBy}
	r.Plan.Spec = engine.Spec{ShareLevel: level, Owner: owner, LaunchUser: "gateway"}
	e.sessions = append(e.sessions, &session.Session{Request: r})
}

// TestWhatEndsWithAUser: engines of theirs die, and take their sessions along. Those
// that others share live on, also where the group is called like the user, and close the session.
func TestWhatEndsWithAUser(t *testing.T) {
	e := &estate{engines: []engine.Info{
		{RefID: "own", User: "Bob", ShareLevel: engine.User},
		{RefID: "single", User: "bob", ShareLevel: engine.Connection},
		{RefID: "group", User: "bob", ShareLevel: engine.Group},
		{RefID: "server", User: "gateway", ShareLevel: engine.Server},
		{RefID: "ended", User: "bob", ShareLevel: engine.User, State: engine.Ended},
		{RefID: "alice", User: "alice", ShareLevel: engine.User},
	}}
	e.session("s-own", "bob", "", engine.User, "bob")
	e.session("s-single", "bob", "", engine.Connection, "bob")
	e.session("s-group", "bob", "", engine.Group, "bob")
	e.session("s-server", "bob", "", engine.Server, "gateway")
	e.session("s-for", "alice", "bob", engine.User, "alice")
	e.session("s-alice", "alice", "", engine.Group, "bob")
	p := property{calls: e, sessions: e, engines: e, revoke: func(context.Context, string) (int, error) { return 0, nil }}
	ended, err := p.EndAll(t.Context(), "bob", "User bob was disabled.")
	require.NoError(t, err)
	require.Equal(t, people.Ended{Sessions: 5, Engines: 2}, ended)
	slices.Sort(e.said)
	require.Equal(t, []string{"close s-for", "close s-group", "close s-server", "end s-own", "end s-single", "kill own", "kill single"}, e.said)
}
