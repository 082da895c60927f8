// SPDX-License-Identifier: Apache-2.0

package zookeeper_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
	"roundhouse/discovery/zookeeper"
)

// hostile is a client with the rights of an engine of a space.
func hostile(t *testing.T, z *lab, s *zookeeper.Store, space string) *zk.Conn {
	t.Helper()
	require.NoError(t, s.OpenSpace(t.Context(), space, []discovery.Credential{{RefID: "r1", Key: "k"}}))
	c := z.stranger(t)
	require.NoError(t, c.AddAuth("digest", []byte("engine-r1:k")))
	return c
}

func none(discovery.Node) bool { return false }

// requireWorks shows that all but one engine space can be used.
func requireWorks(t *testing.T, s *zookeeper.Store, space string, lists <-chan []discovery.Node) {
	t.Helper()
	started := time.Now()
	unlock, err := s.Lock(t.Context(), space)
	require.NoError(t, err)
	require.NoError(t, s.PutSession(t.Context(), sessionOf("s1")))
	_, err = s.GetSession(t.Context(), "alice", "s1")
	require.NoError(t, err)
	require.NoError(t, unlock())
	require.NoError(t, s.Register(t.Context(), space, discovery.Node{Address: "h:1", RefID: "r2"}))
	require.Len(t, <-lists, 1)
	require.NoError(t, s.Deregister(t.Context(), space, "r2"))
	require.Empty(t, <-lists)
	require.Less(t, time.Since(started), 3*time.Second)
}

// TestLargeNames: what an engine's user puts into its space disturbs nobody.
func TestLargeNames(t *testing.T) {
	z := startLab(t, 1)
	o := z.options()
	s := open(t, o)
	space, another := space1(o), space1(o)+"2"
	c := hostile(t, z, s, space)
	bad, err := s.Watch(t.Context(), space)
	require.NoError(t, err)
	require.Empty(t, <-bad)
	lists, err := s.Watch(t.Context(), another)
	require.NoError(t, err)
	require.Empty(t, <-lists)
	for i := range 20 {
		_, err := c.Create(s.At(strings.Trim(space, "/"), fmt.Sprint(i, strings.Repeat("x", 900_000))), nil, 0, zk.WorldACL(zk.PermAll))
		require.NoError(t, err)
		if i == 9 {
			removed, err := s.SweepSpace(t.Context(), space, none)
			require.NoError(t, err)
			require.Equal(t, 10, removed)
		}
	}
	requireWorks(t, s, another, lists)
	for i := range 10 {
		_, err := c.Create(s.At(strings.Trim(space, "/"), fmt.Sprint("y", i, strings.Repeat("x", 900_000))), nil, 0, zk.WorldACL(zk.PermAll))
		require.NoError(t, err)
	}
	requireWorks(t, s, another, lists)
	_, err = s.SweepSpace(t.Context(), space, none)
	require.ErrorContains(t, err, "20 nodes are in "+space)
}

// testCrowdedSpaces: a space with too much in it is not read until it has been cleared.
func testCrowdedSpaces(t *testing.T, z *lab) {
	o := z.options()
	s := open(t, o)
	space, another := space1(o), space1(o)+"2"
	c := hostile(t, z, s, space)
	lists, err := s.Watch(t.Context(), another)
	require.NoError(t, err)
	require.Empty(t, <-lists)
	const count = 40
	path := func(i int) string { return s.At(strings.Trim(space, "/"), fmt.Sprint("junk", i)) }
	for i := range count {
		_, err := c.Create(path(i), nil, 0, s.Ours())
		require.NoError(t, err)
	}
	bad, err := s.Watch(t.Context(), space)
	require.NoError(t, err)
	requireWorks(t, s, another, lists)
	select {
	case list := <-bad:
		require.FailNow(t, "a list of a space that is not read", "%v", list)
	default:
	}
	for _, err := range []error{
		func() error { _, err := s.SweepSpace(t.Context(), space, none); return err }(),
		func() error { _, err := s.Find(t.Context(), space); return err }(),
		s.Register(t.Context(), space, discovery.Node{Address: "h:1", RefID: "r2"}),
	} {
		require.ErrorContains(t, err, space)
		require.ErrorContains(t, err, "deleteall")
	}
	paths, err := s.Spaces(t.Context())
	require.NoError(t, err)
	require.Contains(t, paths, space)
	o.Secrets = append([][]byte{[]byte("another secret of all gateways")}, o.Secrets...)
	open(t, o) // renews the rights of all but that

	for i := range count {
		require.NoError(t, s.Conn().Delete(path(i), -1))
	}
	require.Empty(t, <-bad, "it is read again")
	require.NoError(t, s.Register(t.Context(), space, discovery.Node{Address: "h:1", RefID: "r2"}))
	require.Len(t, <-bad, 1)
}

// testNodesInNodes: what nobody but its maker may delete keeps the rest from nothing.
func testNodesInNodes(t *testing.T, z *lab) {
	o := z.options()
	s := open(t, o)
	space := space1(o)
	c := hostile(t, z, s, space)
	own := zk.DigestACL(zk.PermAll, "engine-r1", "k")
	for _, name := range []string{"a", "b", "b/c", "d", "d/e", "f"} {
		_, err := c.Create(s.At(strings.Trim(space, "/"), name), nil, 0, own)
		require.NoError(t, err)
	}
	removed, err := s.SweepSpace(t.Context(), space, none)
	require.ErrorIs(t, err, zk.ErrNotEmpty)
	require.ErrorContains(t, err, "2 of those in "+space)
	require.Equal(t, 1, strings.Count(err.Error(), zk.ErrNotEmpty.Error()))
	require.Equal(t, 2, removed)
	require.NoError(t, s.CloseSpace(t.Context(), space), "it stays")
}

// testSpacesAreHeardAgain: after the records and with them the guard of the connection were deleted.
func testSpacesAreHeardAgain(t *testing.T, z *lab) {
	s := open(t, z.options())
	soon(t, "the connection is guarded", s.SpacesGuarded)
	each(t, s, s.RecordsRoot(), func(path string) { _ = s.Conn().Delete(path, -1) })
	require.NoError(t, s.PutSession(t.Context(), sessionOf("s1")), "which makes the layout again")
	find := func() bool { _, err := s.Find(t.Context(), space1(s.Settings())); return err == nil }
	for range 2 {
		s.DropSpaces()
		soon(t, "spaces can be read", find)
		soon(t, "the connection is guarded again", s.SpacesGuarded)
	}
}

// testSpacesAreOpenedForAll: a gateway that restores what it knows takes no rights from engines that it does not know.
func testSpacesAreOpenedForAll(t *testing.T, z *lab) {
	o := z.options()
	s := open(t, o)
	space := space1(o)
	users := func() (all []string) {
		acl, _, err := s.Conn().GetACL(s.At(strings.Trim(space, "/")))
		require.NoError(t, err)
		for _, a := range acl {
			user, _, _ := strings.Cut(a.ID, ":")
			all = append(all, user)
		}
		return all
	}
	require.NoError(t, s.AddEngine(t.Context(), discovery.EngineRecord{RefID: "r1", Path: space}))
	require.NoError(t, s.OpenAgain(t.Context()))
	require.ElementsMatch(t, []string{"roundhouse", "engine-r1"}, users(), "it was not there")
	require.NoError(t, s.OpenSpace(t.Context(), space, []discovery.Credential{{RefID: "r2", Key: "k"}}))
	require.Equal(t, []string{"roundhouse", "engine-r2"}, users(), "a launch replaces the rights")
	for range 2 {
		require.NoError(t, s.OpenAgain(t.Context()))
		require.ElementsMatch(t, []string{"roundhouse", "engine-r1", "engine-r2"}, users())
	}
}
