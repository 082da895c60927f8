// SPDX-License-Identifier: Apache-2.0

package discoverytest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
)

// Member is the store of one gateway of a cluster: what the suite Cluster runs on.
type Member struct {
	discovery.Locker
	discovery.SessionStore
	discovery.SessionFollower
	discovery.EngineStore
	discovery.EngineFollower
	discovery.TokenStore
	discovery.TokenFollower
	discovery.DisabledStore
	discovery.DisabledFollower
	Peers discovery.Gateways
	Registrar
	discovery.Watcher
	discovery.Finder
	discovery.Spaces
	// Expire has the store lose all locks that it holds.
	Expire func(t *testing.T)
}

// Cluster is the suite of stores that several gateways share. Open gives a store of another gateway of
// the same, at first empty, cluster at each call; fresh begins a new cluster.
func Cluster(t *testing.T, fresh func(t *testing.T) (open func() Member)) {
	for name, test := range map[string]func(*testing.T, Member, Member){
		"what one writes the other is told": followersAreTold,
		"all kinds are followed":            followersOfAllKinds,
		"a holder knows what others wrote":  lockIsFresh,
		"what one wrote the other finds":    othersFind,
		"gateways know each other":          gatewaysMeet,
		"what is read is what was written":  getIsFresh,
		"a lost lock is a conflict":         lockIsLost,
		"spaces open and close":             spacesOpen,
		"spaces are listed and swept":       spacesSwept,
		"nodes are seen by others":          othersSeeNodes,
	} {
		t.Run(name, func(t *testing.T) {
			open := fresh(t)
			test(t, open(), open())
		})
	}
}

// heard is what a follower was told of sessions.
type heard struct {
	mu    sync.Mutex
	known map[string]discovery.SessionRecord
	gone  []string
}

func (h *heard) told(r discovery.SessionRecord, gone bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := r.User + " " + r.SessionID
	if gone {
		delete(h.known, key)
		h.gone = append(h.gone, key)
		return
	}
	h.known[key] = r
}

func (h *heard) get(key string) (discovery.SessionRecord, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, ok := h.known[key]
	return r, ok
}

// follow follows the sessions of s until the end of the test.
func follow(t *testing.T, s discovery.SessionFollower) *heard {
	h := &heard{known: map[string]discovery.SessionRecord{}}
	during(t, func(ctx context.Context) error { return s.FollowSessions(ctx, h.told) })
	return h
}

// during runs something until the test ends.
func during(t *testing.T, run func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	over := make(chan error, 1)
	go func() { over <- run(ctx) }() // the cleanup waits for it
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-over)
	})
}

func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, patience, 5*time.Millisecond, what)
}

func followersAreTold(t *testing.T, a, b Member) {
	old := newSession("älice/../x", "s1")
	require.NoError(t, a.PutSession(t.Context(), old))
	atA, atB := follow(t, a), follow(t, b)
	for _, h := range []*heard{atA, atB} {
		soon(t, "what was there is told", func() bool { r, ok := h.get("älice/../x s1"); return ok && r.Name == old.Name })
	}
	second := newSession("bob", "s2")
	second.EngineRef = ""
	require.NoError(t, b.AddSession(t.Context(), second))
	second.EngineRef = "e9"
	require.NoError(t, b.PutSession(t.Context(), second))
	for _, h := range []*heard{atA, atB} {
		soon(t, "the newest state is told", func() bool { r, _ := h.get("bob s2"); return r.EngineRef == "e9" })
	}
	require.NoError(t, a.DeleteSession(t.Context(), second))
	for _, h := range []*heard{atA, atB} {
		soon(t, "the end is told", func() bool { _, ok := h.get("bob s2"); return !ok })
		require.Contains(t, h.gone, "bob s2")
	}
}

func followersOfAllKinds(t *testing.T, a, b Member) {
	engines, tokens, users := make(chan string, 9), make(chan string, 9), make(chan string, 9)
	during(t, func(ctx context.Context) error {
		return b.FollowEngines(ctx, func(r discovery.EngineRecord, gone bool) { engines <- fmt.Sprint(r.RefID, gone) })
	})
	during(t, func(ctx context.Context) error {
		return b.FollowTokens(ctx, func(r discovery.TokenRecord, gone bool) { tokens <- fmt.Sprint(r.ID, gone) })
	})
	during(t, func(ctx context.Context) error {
		return b.FollowDisabled(ctx, func(r discovery.DisabledUser, gone bool) { users <- fmt.Sprint(r.User, gone) })
	})
	require.NoError(t, a.AddEngine(t.Context(), newEngine("e1")))
	require.NoError(t, a.PutToken(t.Context(), newToken("t1")))
	require.NoError(t, a.PutDisabled(t.Context(), discovery.DisabledUser{User: "bob"}))
	require.Equal(t, "e1false", receive(t, engines))
	require.Equal(t, "t1false", receive(t, tokens))
	require.Equal(t, "bobfalse", receive(t, users))
	require.NoError(t, a.DeleteEngine(t.Context(), "e1"))
	require.NoError(t, a.DeleteToken(t.Context(), "t1"))
	require.NoError(t, a.DeleteDisabled(t.Context(), "bob"))
	require.Equal(t, "e1true", receive(t, engines))
	require.Equal(t, "t1true", receive(t, tokens))
	require.Equal(t, "bobtrue", receive(t, users))
}

func receive(t *testing.T, from <-chan string) string {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(patience):
		require.FailNow(t, "nothing was told")
		return ""
	}
}

// lockIsFresh: who has the lock counts in memory and finds all that earlier holders wrote.
func lockIsFresh(t *testing.T, a, b Member) {
	stores := []Member{a, b}
	heard := []*heard{follow(t, a), follow(t, b)}
	const each = 15
	var wg sync.WaitGroup
	written := 0 // guarded by the lock that is tested
	for i, s := range stores {
		wg.Go(func() {
			for range each {
				unlock, err := s.Lock(t.Context(), "/users/alice")
				if !noError(t, err) {
					return
				}
				records, err := s.Sessions(t.Context())
				noError(t, err)
				if len(records) != written {
					t.Errorf("gateway %d knows %d sessions under the lock, want %d", i, len(records), written)
				}
				if _, ok := heard[i].get(fmt.Sprintf("alice s%d", written-1)); !ok && written > 0 {
					t.Errorf("the follower of gateway %d was not told of session %d", i, written-1)
				}
				noError(t, s.AddSession(t.Context(), newSession("alice", fmt.Sprintf("s%d", written))))
				written++
				unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, 2*each, written)
}

func noError(t *testing.T, err error) bool {
	if err != nil {
		t.Error(err)
	}
	return err == nil
}

func othersFind(t *testing.T, a, b Member) {
	for i := range 20 {
		id := fmt.Sprintf("s%d", i)
		require.NoError(t, a.PutSession(t.Context(), newSession("alice", id)))
		_, err := b.GetSession(t.Context(), "alice", id)
		require.NoError(t, err)
		require.NoError(t, a.PutToken(t.Context(), newToken(id)))
		_, err = b.GetToken(t.Context(), id)
		require.NoError(t, err)
		require.ErrorIs(t, b.AddSession(t.Context(), newSession("alice", id)), discovery.ErrExists)
	}
}

// getIsFresh: Get does not wait for followers.
func getIsFresh(t *testing.T, a, b Member) {
	r, k := newSession("alice", "s1"), newToken("t1")
	require.NoError(t, a.PutSession(t.Context(), r))
	require.NoError(t, a.PutToken(t.Context(), k))
	held, letGo := make(chan struct{}, 9), make(chan struct{})
	during(t, func(ctx context.Context) error {
		return b.FollowSessions(ctx, func(discovery.SessionRecord, bool) {
			held <- struct{}{}
			<-letGo
		})
	})
	defer close(letGo)
	select {
	case <-held:
	case <-time.After(patience):
		require.FailNow(t, "nothing was told")
	}
	r.Ended = &discovery.SessionEnd{Cause: "closed"}
	require.NoError(t, a.PutSession(t.Context(), r))
	k.By = "another"
	require.NoError(t, a.PutToken(t.Context(), k))
	session, err := b.GetSession(t.Context(), "alice", "s1")
	require.NoError(t, err)
	require.Equal(t, r.Ended, session.Ended)
	token, err := b.GetToken(t.Context(), "t1")
	require.NoError(t, err)
	require.Equal(t, k.By, token.By)
	require.NoError(t, a.DeleteSession(t.Context(), r))
	_, err = b.GetSession(t.Context(), "alice", "s1")
	require.ErrorIs(t, err, discovery.ErrNotFound)
}

// lockIsLost: whoever gives back a lock hears that somebody else may have had it.
func lockIsLost(t *testing.T, a, b Member) {
	unlock := lock(t, a, space)
	a.Expire(t)
	second := lock(t, b, space)
	require.ErrorIs(t, unlock(), discovery.ErrConflict)
	require.ErrorIs(t, unlock(), discovery.ErrConflict, "again")
	require.NoError(t, second())
	require.NoError(t, lock(t, a, space)())
}

func gatewayOf(id string, since int) discovery.Gateway {
	return discovery.Gateway{
		Owner:   discovery.Owner{Gateway: id, Place: "0f", PID: 4711, Start: 1<<63 + 1},
		Address: "[::1]:15002", REST: "127.0.0.1:10099", Version: "0.1.0", Config: "0123456789ab", Since: time.Date(2026, 11, 21, 8, 0, since, 0, time.UTC),
	}
}

func gatewaysMeet(t *testing.T, a, b Member) {
	one, two := gatewayOf("g1", 2), gatewayOf("g2", 1)
	require.Empty(t, a.Peers.Gateways())
	require.NoError(t, a.Peers.Join(t.Context(), one))
	require.Equal(t, []discovery.Gateway{one}, a.Peers.Gateways())
	require.NoError(t, b.Peers.Join(t.Context(), two))
	require.Equal(t, []discovery.Gateway{two, one}, b.Peers.Gateways(), "oldest first")
	soon(t, "the first one hears of the second", func() bool { return len(a.Peers.Gateways()) == 2 })
	require.NoError(t, b.Peers.Join(t.Context(), two), "again")
	require.NoError(t, b.Peers.Leave(t.Context()))
	require.NoError(t, b.Peers.Leave(t.Context()))
	require.Equal(t, []discovery.Gateway{one}, b.Peers.Gateways())
	soon(t, "and of its end", func() bool { return slices.Equal([]discovery.Gateway{one}, a.Peers.Gateways()) })
	require.ErrorIs(t, a.Peers.Join(t.Context(), discovery.Gateway{Address: "h:1"}), discovery.ErrInvalid)
}

func spacesOpen(t *testing.T, a, b Member) {
	engine := []discovery.Credential{{RefID: "e1", Key: "0f"}}
	for _, s := range []Member{a, b, a} {
		require.NoError(t, s.OpenSpace(t.Context(), space, engine))
	}
	n := newNode()
	require.NoError(t, a.Register(t.Context(), space, n))
	require.NoError(t, b.CloseSpace(t.Context(), space), "no error, but it stays")
	eventually(t, b, space, n.RefID)
	require.NoError(t, a.Deregister(t.Context(), space, n.RefID))
	require.NoError(t, b.CloseSpace(t.Context(), space))
	require.NoError(t, b.CloseSpace(t.Context(), space))
	require.NoError(t, a.OpenSpace(t.Context(), space, nil))
	for _, bad := range []string{"", "/", "/a/b", "/a/b/c/d", "/a/../c", "/a//c"} {
		require.ErrorIs(t, a.OpenSpace(t.Context(), bad, nil), discovery.ErrInvalid, bad)
	}
	require.ErrorIs(t, a.OpenSpace(cancelled(t), space, nil), context.Canceled)
	require.ErrorIs(t, a.CloseSpace(cancelled(t), space), context.Canceled)
}

func spacesSwept(t *testing.T, a, b Member) {
	paths, err := a.Spaces.Spaces(t.Context())
	require.NoError(t, err)
	require.Empty(t, paths)
	n, err := b.SweepSpace(t.Context(), space, func(discovery.Node) bool { return false })
	require.NoError(t, err, "a space that is not there")
	require.Zero(t, n)
	for _, path := range []string{space, other} {
		require.NoError(t, a.OpenSpace(t.Context(), path, nil))
	}
	soon(t, "others know the spaces", func() bool {
		paths, err := b.Spaces.Spaces(t.Context())
		slices.Sort(paths)
		return err == nil && slices.Equal([]string{space, other}, paths)
	})
	good, bad := newNode(), newNode()
	require.NoError(t, a.Register(t.Context(), space, good))
	require.NoError(t, a.Register(t.Context(), space, bad))
	eventually(t, b, space, good.RefID, bad.RefID)
	genuine := func(n discovery.Node) bool { return n.RefID == good.RefID }
	n, err = b.SweepSpace(t.Context(), space, genuine)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	eventually(t, b, space, good.RefID)
	_, err = b.SweepSpace(t.Context(), "/a/b", genuine)
	require.ErrorIs(t, err, discovery.ErrInvalid)
	_, err = b.SweepSpace(cancelled(t), space, genuine)
	require.ErrorIs(t, err, context.Canceled)
}

func othersSeeNodes(t *testing.T, a, b Member) {
	lists, err := b.Watch(t.Context(), space)
	require.NoError(t, err)
	next(t, lists)
	n := newNode()
	require.NoError(t, a.Register(t.Context(), space, n))
	next(t, lists, n.RefID)
	require.NoError(t, b.Deregister(t.Context(), space, n.RefID), "any gateway may")
	next(t, lists)
}
