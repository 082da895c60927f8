// SPDX-License-Identifier: Apache-2.0

package zookeeper_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
	"roundhouse/discovery/zookeeper"
)

// expire ends the ZooKeeper session of l from another connection. That takes its connection from l, which may be
// back before the end is asked for.
func (b *lab) expire(t *testing.T, l *zk.Conn) {
	t.Helper()
	_, _, err := l.Get("/zookeeper") // the session is there, and its password
	require.NoError(t, err)
	session, password := l.SessionID(), slices.Clone(reflect.ValueOf(l).Elem().FieldByName("passwd").Bytes())
	soon(t, "the session ends", func() bool {
		b.endSession(session, password)
		return l.SessionID() != session
	})
}

func (b *lab) endSession(session int64, password []byte) {
	hello := make([]byte, 0, 64)
	hello = binary.BigEndian.AppendUint32(hello, 44)
	hello = binary.BigEndian.AppendUint32(hello, 0) // protocol
	hello = binary.BigEndian.AppendUint64(hello, 0) // last zxid
	hello = binary.BigEndian.AppendUint32(hello, 2000)
	hello = binary.BigEndian.AppendUint64(hello, uint64(session))
	hello = binary.BigEndian.AppendUint32(hello, uint32(len(password)))
	hello = append(hello, password...)
	hello = binary.BigEndian.AppendUint32(hello, 8)
	hello = binary.BigEndian.AppendUint32(hello, 1)
	closing := int32(-11)
	hello = binary.BigEndian.AppendUint32(hello, uint32(closing))
	c, err := net.Dial("tcp", b.Address(0))
	if err != nil {
		return
	}
	defer c.Close()
	if _, err := c.Write(hello); err == nil {
		_, _ = io.Copy(io.Discard, c)
	}
}

// sessionsHeard notes the newest state of sessions.
type sessionsHeard struct {
	mu    sync.Mutex
	known map[string]discovery.SessionRecord
}

func followSessions(t *testing.T, s *zookeeper.Store) *sessionsHeard {
	f := &sessionsHeard{known: map[string]discovery.SessionRecord{}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	over := make(chan error, 1)
	go func() { // the cleanup waits for it
		over <- s.FollowSessions(ctx, func(r discovery.SessionRecord, gone bool) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.known[r.SessionID] = r
			if gone {
				delete(f.known, r.SessionID)
			}
		})
	}()
	t.Cleanup(func() { cancel(); require.NoError(t, <-over) })
	return f
}

func (f *sessionsHeard) has(ids ...string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		if _, ok := f.known[id]; !ok {
			return false
		}
	}
	return len(f.known) == len(ids)
}

func sessionOf(id string) discovery.SessionRecord {
	return discovery.SessionRecord{User: "alice", SessionID: id, Gateway: "g1"}
}

func gatewayOf(id string) discovery.Gateway {
	return discovery.Gateway{Owner: discovery.Owner{Gateway: id, Place: "0f", PID: 1, Start: 2}, Address: "127.0.0.1:15002", Since: time.UnixMilli(17).UTC()}
}

func testExpiredSession(t *testing.T, z *lab) {
	o := z.options()
	a, b := open(t, o), open(t, o)
	f := followSessions(t, a)
	require.NoError(t, a.Join(t.Context(), gatewayOf("ga")))
	require.NoError(t, b.Join(t.Context(), gatewayOf("gb")))
	require.NoError(t, b.PutSession(t.Context(), sessionOf("s1")))
	require.NoError(t, b.PutSession(t.Context(), sessionOf("s2")))
	lists, err := a.Watch(t.Context(), space1(o))
	require.NoError(t, err)
	require.Empty(t, <-lists)
	for round := range 2 {
		before := a.Conn().SessionID()
		z.expire(t, a.Conn())
		soon(t, "a new ZooKeeper session", func() bool { return a.Conn().SessionID() != before && a.Conn().SessionID() != 0 })
		soon(t, "the node is back", func() bool { return len(b.Gateways()) == 2 && len(a.Gateways()) == 2 })
		id := fmt.Sprintf("new%d", round)
		require.NoError(t, b.PutSession(t.Context(), sessionOf(id)))
		require.NoError(t, b.DeleteSession(t.Context(), sessionOf(id)))
		require.NoError(t, b.DeleteSession(t.Context(), sessionOf(fmt.Sprintf("s%d", round+1))))
		require.NoError(t, b.PutSession(t.Context(), sessionOf(fmt.Sprintf("s%d", round+3))))
		soon(t, "the watches are back", func() bool { return f.has(fmt.Sprintf("s%d", round+2), fmt.Sprintf("s%d", round+3)) })
	}
	require.NoError(t, b.Register(t.Context(), space1(o), discovery.Node{Address: "h:1", RefID: "r1"}))
	require.Len(t, <-lists, 1)
	z.expire(t, b.Conn())
	soon(t, "registered nodes come back", func() bool {
		nodes, err := b.Find(t.Context(), space1(o))
		return err == nil && len(nodes) == 1 && nodes[0].Sequence > 0
	})
}

// space1 is an engine space of the cluster of o.
func space1(o zookeeper.Options) string {
	return "/" + o.Namespace + "_1_USER_SPARK_CONNECT/alice/default"
}

// requireAway shows that all that needs ZooKeeper says in time that it is away, and that the rest goes on.
func requireAway(t *testing.T, s *zookeeper.Store) {
	t.Helper()
	started := time.Now()
	err := s.PutSession(t.Context(), sessionOf("late"))
	require.ErrorIs(t, err, discovery.ErrAway)
	require.ErrorContains(t, err, "kyuubi.ha.addresses")
	require.ErrorContains(t, err, s.Settings().Addresses[0])
	require.Less(t, time.Since(started), 4*time.Second)
	_, err = s.Lock(t.Context(), "/limits/x")
	require.ErrorIs(t, err, discovery.ErrAway)
	_, err = s.GetSession(t.Context(), "alice", "s1")
	require.ErrorIs(t, err, discovery.ErrAway, "another gateway may have written it")
	all, err := s.Sessions(t.Context())
	require.NoError(t, err, "from memory")
	require.NotEmpty(t, all)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	started = time.Now()
	require.Error(t, s.DeleteSession(ctx, sessionOf("s1")))
	require.Less(t, time.Since(started), time.Second)
}

// leaveFrozen: a server that is frozen while the others serve costs one failed request.
func leaveFrozen(t *testing.T, z *lab) {
	o := z.options()
	o.SessionTimeout = 30 * time.Second // the library itself would wait for 20
	s := open(t, o)
	leader := z.Leader()
	frozen := (leader + 1) % 3
	soon(t, "it asks a follower", func() bool {
		if s.Conn().Server() == z.Address(frozen) {
			return s.Up()
		}
		s.Drop()
		return false
	})
	started := time.Now()
	z.Freeze(frozen)
	soon(t, "another server is asked", func() bool { return s.PutSession(t.Context(), sessionOf("s1")) == nil })
	require.Less(t, time.Since(started), 15*time.Second)
	t.Logf("written %s after a server froze", time.Since(started))
	z.Thaw(frozen)
	z.AwaitServing(20 * time.Second)
}

func TestQuorumLostAndBack(t *testing.T) {
	t.Parallel()
	z := startLab(t, 3)
	o := z.options()
	a, b := open(t, o), open(t, o)
	leaveFrozen(t, z)
	f := followSessions(t, b)
	require.NoError(t, a.Join(t.Context(), gatewayOf("ga")))
	require.NoError(t, a.PutSession(t.Context(), sessionOf("s1")))
	for _, i := range []int{0, 1} {
		z.Freeze(i)
	}
	requireAway(t, a)
	for _, i := range []int{0, 1} {
		z.Thaw(i)
	}
	soon(t, "it is back", func() bool { return a.PutSession(t.Context(), sessionOf("s2")) == nil })
	soon(t, "and the gateway's node", func() bool { return len(b.Gateways()) == 1 })
	// What was refused may have been written: the writer has to write it again, or delete it.
	require.NoError(t, a.DeleteSession(t.Context(), sessionOf("late")))
	require.NoError(t, a.PutSession(t.Context(), sessionOf("s1")))
	soon(t, "the other one is told", func() bool { return f.has("s1", "s2") })

	for i := range 3 {
		z.Kill(i)
	}
	requireAway(t, a)
	back := time.Now()
	for i := range 3 {
		z.Restart(i)
	}
	soon(t, "it is back", func() bool { return a.PutSession(t.Context(), sessionOf("s3")) == nil })
	soon(t, "and the gateway's node", func() bool { return len(b.Gateways()) == 1 })
	soon(t, "and the other one is told", func() bool { return f.has("s1", "s2", "s3") })
	t.Logf("all was back %s after the start of the servers", time.Since(back))
}

// Holders that die, and waiters that go, leave nothing behind.
// testBrokenLocks: who certainly has ended keeps nobody waiting, whatever its ZooKeeper session says.
func testBrokenLocks(t *testing.T, z *lab) {
	o := z.options()
	o.SessionTimeout = time.Minute
	var ended atomic.Bool
	o.Dead = func(g discovery.Owner) bool { return g.Gateway == "a" && ended.Load() }
	o.Self = discovery.Owner{Gateway: "a"}
	a := open(t, o)
	o.Self = discovery.Owner{Gateway: "b"}
	b := open(t, o)
	_, err := a.Lock(t.Context(), "/broken")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = b.Lock(ctx, "/broken")
	require.ErrorIs(t, err, context.DeadlineExceeded, "it lives")
	ended.Store(true)
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	unlock, err := b.Lock(ctx, "/broken")
	require.NoError(t, err)
	unlock()
}

func testLocksOfTheDead(t *testing.T, z *lab) {
	o := z.options()
	a, b := open(t, o), open(t, o)
	_, err := a.Lock(t.Context(), "/x")
	require.NoError(t, err)
	got := make(chan error, 1)
	go func() { // read below
		unlock, err := b.Lock(t.Context(), "/x")
		if err == nil {
			unlock()
		}
		got <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = b.Lock(ctx, "/x")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	z.expire(t, a.Conn())
	require.NoError(t, <-got)

	// A waiter whose session expires stands in line again.
	unlock, err := a.Lock(t.Context(), "/x")
	require.NoError(t, err)
	go func() { // read below
		unlock, err := b.Lock(t.Context(), "/x")
		if err == nil {
			unlock()
		}
		got <- err
	}()
	waiting := func() bool {
		names, err := b.Children(t.Context(), b.RecordsRoot()+"/locks/x")
		return err == nil && len(names) == 2
	}
	soon(t, "it waits", waiting)
	z.expire(t, b.Conn())
	soon(t, "it waits again", waiting)
	unlock()
	require.NoError(t, <-got)
	soon(t, "nothing is left", func() bool {
		names, err := b.Children(t.Context(), b.RecordsRoot()+"/locks/x")
		return err == nil && len(names) == 0
	})
}

// testLateRequests: what is made when nobody waits for it any more goes, though this gateway lives.
func testLateRequests(t *testing.T, z *lab) {
	s := open(t, z.options())
	require.NoError(t, s.LockLate(t.Context(), "/late"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	unlock, err := s.Lock(ctx, "/late")
	require.NoError(t, err)
	require.NoError(t, unlock())

	require.NoError(t, s.Join(t.Context(), gatewayOf("g")))
	root := strings.TrimSuffix(s.RecordsRoot(), "_records")
	nodes := func() []string {
		names, err := s.Children(t.Context(), root)
		require.NoError(t, err)
		return slices.DeleteFunc(names, func(name string) bool { return !strings.Contains(name, "gateway=g") })
	}
	require.Len(t, nodes(), 1)
	name := strings.TrimRight(nodes()[0], "0123456789")
	_, err = s.Conn().Create(root+"/"+name, nil, zk.FlagEphemeralSequential, s.Ours())
	require.NoError(t, err)
	require.Len(t, nodes(), 2)
	require.NoError(t, s.Leave(t.Context()))
	require.Empty(t, nodes())
}

// testRestoreGoesOn: a record that cannot be written again keeps no other one from that.
func testRestoreGoesOn(t *testing.T, z *lab) {
	s := open(t, z.options())
	_, err := s.Conn().Create(s.RecordsRoot()+"/sessions/others", nil, 0, zk.DigestACL(zk.PermAll, "others", "x"))
	require.NoError(t, err)
	paths := []string{"others/s"}
	for i := range 20 {
		paths = append(paths, fmt.Sprintf("alice/s%d", i))
	}
	require.ErrorIs(t, s.SessionsAgain(t.Context(), paths...), zk.ErrNoAuth)
	names, err := s.Children(t.Context(), s.RecordsRoot()+"/sessions/alice")
	require.NoError(t, err)
	require.Len(t, names, 20)
	require.NoError(t, s.SessionsAgain(t.Context(), paths[1:]...), "they are there")
}

// Connections that break in the middle of requests change no outcome.
func testLostAnswers(t *testing.T, z *lab) {
	o := z.options()
	a, b := open(t, o), open(t, o)
	stop, over := make(chan struct{}), make(chan struct{})
	go func() { // waited for below
		defer close(over)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for up := 0; ; {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if a.Up() {
				up++
			}
			if up == 3 { // each connection lives for 40 ms
				a.Drop()
				up = 0
			}
		}
	}()
	const count = 60
	for i := range count {
		r := sessionOf(fmt.Sprintf("s%d", i))
		require.NoError(t, a.AddSession(t.Context(), r))
		r.EngineRef = "e1"
		require.NoError(t, a.PutSession(t.Context(), r))
		unlock, err := a.Lock(t.Context(), "/x")
		require.NoError(t, err)
		unlock()
		if i%2 == 1 {
			require.NoError(t, a.DeleteSession(t.Context(), r))
		}
	}
	close(stop)
	<-over
	soon(t, "both know all", func() bool {
		atA, errA := a.Sessions(t.Context())
		atB, errB := b.Sessions(t.Context())
		return errA == nil && errB == nil && len(atA) == count/2 && len(atB) == count/2
	})
	soon(t, "no lock is left", func() bool {
		names, err := b.Children(t.Context(), b.RecordsRoot()+"/locks/x")
		return err == nil && len(names) == 0
	})
}

func TestOpenWithoutServers(t *testing.T) {
	o := zookeeper.Options{Addresses: []string{"127.0.0.1:1"}, Namespace: "kyuubi", Secrets: [][]byte{clusterSecret}, ConnectionTimeout: 300 * time.Millisecond}
	started := time.Now()
	_, err := zookeeper.Open(t.Context(), o)
	require.ErrorIs(t, err, discovery.ErrAway)
	require.ErrorContains(t, err, "127.0.0.1:1")
	require.ErrorContains(t, err, "connection refused")
	require.Less(t, time.Since(started), 3*time.Second)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = silent.Close() }()
	o.Addresses = []string{silent.Addr().String()}
	_, err = zookeeper.Open(t.Context(), o)
	require.ErrorContains(t, err, "does not greet as ZooKeeper")
	o.Addresses = []string{"127.0.0.1:1"}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	o.ConnectionTimeout = time.Minute
	_, err = zookeeper.Open(ctx, o)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.False(t, strings.Contains(err.Error(), string(clusterSecret)))
}
