// SPDX-License-Identifier: Apache-2.0

package zookeeper_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
	"roundhouse/discovery/zookeeper"
	"roundhouse/integration-tests/env"
)

// each calls f with all paths below one, children first.
func each(t *testing.T, s *zookeeper.Store, path string, f func(path string)) {
	t.Helper()
	names, err := s.Children(t.Context(), path)
	require.NoError(t, err)
	for _, name := range names {
		each(t, s, path+"/"+name, f)
	}
	f(path)
}

// tops are the roots of the cluster of s.
func tops(t *testing.T, s *zookeeper.Store) (roots []string) {
	t.Helper()
	names, err := s.Children(t.Context(), s.Settings().Chroot+"/")
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasPrefix(name, s.Settings().Namespace+"_") {
			roots = append(roots, s.At(name))
		}
	}
	require.Len(t, roots, 10)
	return roots
}

func testStrangersMayDoNothing(t *testing.T, z *lab) {
	o := z.options()
	s := open(t, o)
	stranger := z.stranger(t)
	require.NoError(t, s.Join(t.Context(), gatewayOf("ga")))
	require.NoError(t, s.PutSession(t.Context(), sessionOf("s1")))
	require.NoError(t, s.AddEngine(t.Context(), discovery.EngineRecord{RefID: "r1"}))
	require.NoError(t, s.OpenSpace(t.Context(), space1(o), []discovery.Credential{{RefID: "r1", Key: "k"}}))
	require.NoError(t, s.Register(t.Context(), space1(o), discovery.Node{Address: "h:1", RefID: "r1"}))
	unlock, err := s.Lock(t.Context(), space1(o))
	require.NoError(t, err)
	defer unlock()
	count := 0
	for _, root := range tops(t, s) {
		each(t, s, root, func(path string) {
			count++
			_, _, err := stranger.Get(path)
			require.ErrorIs(t, err, zk.ErrNoAuth, path)
			_, _, err = stranger.Children(path)
			require.ErrorIs(t, err, zk.ErrNoAuth, path)
			_, err = stranger.Set(path, nil, -1)
			require.ErrorIs(t, err, zk.ErrNoAuth, path)
			_, err = stranger.Create(path+"/x", nil, 0, zk.WorldACL(zk.PermAll))
			require.ErrorContains(t, err, "zk: ", path) // an ephemeral has no children at all
			_, err = stranger.SetACL(path, zk.WorldACL(zk.PermAll), -1)
			require.ErrorIs(t, err, zk.ErrNoAuth, path)
			_, _, err = stranger.GetACL(path)
			require.ErrorIs(t, err, zk.ErrNoAuth, path)
			err = stranger.Delete(path, -1)
			require.Error(t, err, path)
			there, _, err := s.Conn().Exists(path)
			require.NoError(t, err)
			require.True(t, there, path)
		})
	}
	require.Greater(t, count, 30)
}

func testRootsOfOthers(t *testing.T, z *lab) {
	stranger := z.stranger(t)

	o := z.options()
	_, err := stranger.Create("/"+o.Namespace+"_spark_connect_records", nil, 0, zk.WorldACL(zk.PermAll))
	require.NoError(t, err)
	s := open(t, o) // an empty one is replaced
	_, _, err = stranger.Children(s.RecordsRoot())
	require.ErrorIs(t, err, zk.ErrNoAuth)

	o = z.options()
	lock := "/" + o.Namespace + "_1_USER_SPARK_CONNECT_lock"
	for _, path := range []string{lock, lock + "/alice"} {
		_, err := stranger.Create(path, nil, 0, zk.WorldACL(zk.PermAll))
		require.NoError(t, err)
	}
	_, err = zookeeper.Open(t.Context(), o)
	require.ErrorContains(t, err, lock)
	require.ErrorContains(t, err, "deleteall")

	o = z.options()
	_, err = stranger.Create("/"+o.Namespace+"_spark_connect", nil, 0, zk.DigestACL(zk.PermAll, "eve", "x"))
	require.NoError(t, err)
	_, err = zookeeper.Open(t.Context(), o)
	require.ErrorContains(t, err, "somebody else")

	o.Chroot = "/nowhere"
	_, err = zookeeper.Open(t.Context(), o)
	require.ErrorContains(t, err, "make it (create /nowhere)")
}

func testSecrets(t *testing.T, z *lab) {
	older, newer := clusterSecret, []byte("the secret that comes after the first")
	o := z.options()
	first := open(t, o)
	require.NoError(t, first.PutSession(t.Context(), sessionOf("s1")))
	require.NoError(t, first.OpenSpace(t.Context(), space1(o), []discovery.Credential{{RefID: "r1", Key: "k"}}))

	o.Secrets = [][]byte{newer}
	_, err := zookeeper.Open(t.Context(), o)
	require.ErrorContains(t, err, "another cluster secret")
	require.ErrorContains(t, err, "kyuubi.server.cluster.secret.file")

	o.Secrets = [][]byte{newer, older}
	both := open(t, o)
	require.NoError(t, both.PutSession(t.Context(), sessionOf("s2")))
	_, err = first.GetSession(t.Context(), "alice", "s2")
	require.NoError(t, err, "the older one counts, too")
	acl, _, err := both.Conn().GetACL(space1(o))
	require.NoError(t, err)
	require.Len(t, acl, 3, "gateways by two secrets, and the engine as before")

	o.Secrets = [][]byte{newer}
	last := open(t, o)
	all, err := last.Sessions(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, "digest:roundhouse:", last.ACLText()[:18])
	require.NotContains(t, last.ACLText(), last.Password())
	require.Len(t, strings.Split(both.ACLText(), ","), 2)
}

// With DIGEST the administrator's user makes the place, and has all rights in it.
func testDigest(t *testing.T, z *lab) {
	admin := z.stranger(t)
	require.NoError(t, admin.AddAuth("digest", []byte("admin:pass:word")))
	o := z.options()
	o.Chroot = "/house"
	_, err := admin.Create(o.Chroot, nil, 0, zk.DigestACL(zk.PermAll, "admin", "pass:word"))
	require.NoError(t, err)
	_, err = zookeeper.Open(t.Context(), o)
	require.ErrorContains(t, err, "kyuubi.ha.zookeeper.auth.digest")
	require.NotContains(t, err.Error(), "pass:word")

	o.Digest = "admin:pass:word"
	s := open(t, o)
	require.NotContains(t, s.ACLText(), "admin", "engines would know the hash of a password")
	require.Equal(t, 1, strings.Count(s.ACLText(), "digest:"))
	require.NoError(t, s.PutSession(t.Context(), sessionOf("s1")))
	text, _, err := admin.Get(s.RecordsRoot() + "/sessions/alice/s1")
	require.NoError(t, err)
	require.Contains(t, string(text), "s1")
	require.Len(t, tops(t, s), 10)

	// What an administrator deletes comes back, but for the records.
	require.NoError(t, s.Join(t.Context(), gatewayOf("ga")))
	for _, root := range tops(t, s) {
		each(t, s, root, func(path string) { _ = admin.Delete(path, -1) })
	}
	soon(t, "the gateway's node is back", func() bool {
		names, err := s.Children(t.Context(), s.At(o.Namespace+"_spark_connect"))
		return err == nil && len(names) == 2 && len(s.Gateways()) == 1
	})
	require.NoError(t, s.PutSession(t.Context(), sessionOf("s2")))
	require.NoError(t, s.AddEngine(t.Context(), discovery.EngineRecord{RefID: "r1"}))
	require.NoError(t, s.OpenSpace(t.Context(), space1(o), nil))
	unlock, err := s.Lock(t.Context(), space1(o))
	require.NoError(t, err)
	unlock()
	all, err := s.Sessions(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
}

func testEngines(t *testing.T, z *lab) {
	o := z.options()
	s := open(t, o)
	space := space1(o)
	self := discovery.Credential{RefID: "0b4e4f0a-8f2f-4a53-b6ad-2d8f6a9c8f11", Key: "0f"}
	engine := zookeeper.EngineOptions{Addresses: o.Addresses, SessionTimeout: o.SessionTimeout, Path: space, Key: self.Key, Gateways: s.ACLText(),
		Node: discovery.Node{Address: "127.0.0.1:41123", Version: "1", RefID: self.RefID, Attributes: map[string]string{"mac": "0f"}}}
	lists, err := s.Watch(t.Context(), space)
	require.NoError(t, err)
	require.Empty(t, <-lists)
	_, err = zookeeper.NewEngine(t.Context(), engine)
	require.ErrorIs(t, err, zk.ErrNoNode)
	require.NoError(t, s.OpenSpace(t.Context(), space, []discovery.Credential{{RefID: "another", Key: "0f"}}))
	_, err = zookeeper.NewEngine(t.Context(), engine)
	require.ErrorIs(t, err, zk.ErrNoAuth)

	require.NoError(t, s.OpenSpace(t.Context(), space, []discovery.Credential{self}))
	e, err := zookeeper.NewEngine(t.Context(), engine)
	require.NoError(t, err)
	over := make(chan error, 1)
	go func() { over <- e.Run(t.Context()) }() // read below
	nodes := <-lists
	require.Len(t, nodes, 1)
	require.Equal(t, engine.Node.Attributes, nodes[0].Attributes)
	require.Equal(t, self.RefID, nodes[0].RefID)

	conn := e.Conn()
	_, err = conn.Set(e.Path(), nil, -1)
	require.ErrorIs(t, err, zk.ErrNoAuth)
	require.ErrorIs(t, conn.Delete(e.Path(), -1), zk.ErrNoAuth)
	_, err = conn.SetACL(e.Path(), zk.WorldACL(zk.PermAll), -1)
	require.ErrorIs(t, err, zk.ErrNoAuth)
	_, _, err = conn.Children(space)
	require.ErrorIs(t, err, zk.ErrNoAuth)
	_, _, err = conn.Children(s.RecordsRoot() + "/sessions")
	require.ErrorIs(t, err, zk.ErrNoAuth)
	_, err = conn.Create(space+"x", nil, 0, zk.WorldACL(zk.PermAll))
	require.ErrorIs(t, err, zk.ErrNoAuth)

	for range 2 {
		before := conn.SessionID()
		z.expire(t, e.Conn())
		soon(t, "the engine's node is back", func() bool {
			nodes, err := s.Find(t.Context(), space)
			return err == nil && len(nodes) == 1 && conn.SessionID() != before
		})
	}
	select {
	case err := <-over:
		require.NoError(t, err, "an expired session is no deletion")
	default:
	}
	require.NoError(t, s.Deregister(t.Context(), space, self.RefID))
	require.ErrorIs(t, <-over, zookeeper.ErrDeleted)
	e.Close()
	require.NoError(t, s.CloseSpace(t.Context(), space))
}

func testForeignNames(t *testing.T, z *lab) {
	o := z.options()
	s := open(t, o)
	space := space1(o)
	require.NoError(t, s.OpenSpace(t.Context(), space, nil))
	lists, err := s.Watch(t.Context(), space)
	require.NoError(t, err)
	require.Empty(t, <-lists)
	for _, name := range []string{"junk", "serviceUri=[::1]:10009;version=1.5;sequence=0000000007", "serverUri=h:1;serverUri=h:2"} {
		_, err := s.Conn().Create(space+"/"+name, nil, 0, s.Ours())
		require.NoError(t, err)
	}
	soon(t, "what can be read is there", func() bool {
		nodes, err := s.Find(t.Context(), space)
		return err == nil && len(nodes) == 1 && nodes[0].Address == "[::1]:10009"
	})
	// Records that cannot be read, or that are not at their place, are none.
	for name, text := range map[string]string{"a": "{", "b": `{"refId":"c"}`, "d": `{"refId":"d"}`} {
		_, err := s.Conn().Create(s.RecordsRoot()+"/engines"+"/"+name, []byte(text), 0, s.Ours())
		require.NoError(t, err)
	}
	soon(t, "the good one is known", func() bool { all, err := s.Engines(t.Context()); return err == nil && len(all) == 1 })
	require.NoError(t, s.PutEngine(t.Context(), discovery.EngineRecord{RefID: "a"}), "it is written over")
}

func testLimits(t *testing.T, z *lab) {
	o := z.options()
	o.MaxSessions = 2
	s := open(t, o)
	for _, id := range []string{"s1", "s2", "s1"} {
		require.NoError(t, s.PutSession(t.Context(), sessionOf(id)))
	}
	require.ErrorIs(t, s.PutSession(t.Context(), sessionOf("s3")), discovery.ErrFull)
	require.ErrorIs(t, s.AddSession(t.Context(), sessionOf("s3")), discovery.ErrFull)
	require.NoError(t, s.DeleteSession(t.Context(), sessionOf("s1")))
	require.NoError(t, s.AddSession(t.Context(), sessionOf("s3")))
}

// testUnreadableDisabled: whoever was disabled stays so when the record cannot be read.
func testUnreadableDisabled(t *testing.T, z *lab) {
	o := z.options()
	s := open(t, o)
	for _, user := range []string{"bob", "eve", "zoë"} {
		require.NoError(t, s.PutDisabled(t.Context(), discovery.DisabledUser{User: user, By: "root"}))
	}
	folder := s.RecordsRoot() + "/disabled/"
	_, err := s.Conn().Set(folder+"bob", []byte("{"), -1)
	require.NoError(t, err)
	_, err = s.Conn().Set(folder+"eve", []byte(`{"user":"carol","by":"root"}`), -1)
	require.NoError(t, err)
	requireDisabled := func(s *zookeeper.Store, users ...string) {
		soon(t, "all are disabled", func() bool {
			all, err := s.Disabled(t.Context())
			var names []string
			for _, r := range all {
				names = append(names, r.User)
			}
			return err == nil && slices.Equal(users, names)
		})
	}
	unread := func(all []discovery.DisabledUser, err error) (n int) {
		require.NoError(t, err)
		for _, r := range all {
			if r.By != "root" {
				require.NotEmpty(t, r.Reason)
				n++
			}
		}
		return n
	}
	soon(t, "it has been read again", func() bool { return unread(s.Disabled(t.Context())) == 2 })
	requireDisabled(s, "bob", "eve", "zoë")
	_, err = s.Conn().SetACL(folder+"bob", zk.DigestACL(zk.PermAll, "others", "x"), -1)
	require.NoError(t, err)
	other := open(t, o)
	requireDisabled(other, "bob", "eve", "zoë")
	require.NoError(t, other.PutDisabled(t.Context(), discovery.DisabledUser{User: "eve", By: "root"}))
	require.Equal(t, 1, unread(other.Disabled(t.Context())), "written anew")
	require.NoError(t, other.DeleteDisabled(t.Context(), "bob"))
	requireDisabled(other, "eve", "zoë")
}

// testHiddenRecords: one record that gateways may not read holds up no other.
func testHiddenRecords(t *testing.T, z *lab) {
	s := open(t, z.options())
	_, err := s.Conn().Create(s.RecordsRoot()+"/engines/x", []byte("{}"), 0, zk.DigestACL(zk.PermAll, "others", "x"))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, s.AddEngine(ctx, discovery.EngineRecord{RefID: "a"}))
	require.NoError(t, ctx.Err())
	all, err := s.Engines(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	z := env.StartSecureZooKeeper(t)
	pool := x509.NewCertPool()
	text, err := os.ReadFile(z.CA)
	require.NoError(t, err)
	require.True(t, pool.AppendCertsFromPEM(text))
	o := zookeeper.Options{Addresses: []string{z.Secure}, Namespace: "kyuubi", Secrets: [][]byte{clusterSecret}, SessionTimeout: 2 * time.Second,
		ConnectionTimeout: 20 * time.Second, TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	s := open(t, o)
	require.NoError(t, s.PutSession(t.Context(), sessionOf("s1")))

	for name, c := range map[string]*tls.Config{"an unknown authority": {MinVersion: tls.VersionTLS12}, "no TLS": nil} {
		o.TLS, o.ConnectionTimeout = c, 500*time.Millisecond
		_, err := zookeeper.Open(context.WithoutCancel(t.Context()), o)
		require.ErrorIs(t, err, discovery.ErrAway, name)
	}
}
