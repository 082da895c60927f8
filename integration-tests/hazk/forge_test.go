// SPDX-License-Identifier: Apache-2.0

package hazk

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
	"roundhouse/integration-tests/env"
	"roundhouse/internal/secret"
)

// trap is a port that nobody may connect to.
type trap struct {
	net.Listener
	taken atomic.Int64
}

func newTrap(t *testing.T) *trap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &trap{Listener: l}
	over := make(chan struct{})
	go func() { // ends with the listener, for which the test waits
		defer close(over)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.taken.Add(1)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-over })
	return p
}

func (p *trap) address() string { return p.Addr().String() }

// clusterSecret is that of the gateways.
func clusterSecret(t *testing.T, c cluster) []byte {
	t.Helper()
	keys, err := secret.Load(c.SecretFile)
	require.NoError(t, err)
	return keys[0]
}

// gateway is the digest user that all gateways of the cluster are.
func (c cluster) gateway(t *testing.T) string {
	return "roundhouse:" + secret.Derive(clusterSecret(t, c), secret.LabelZooKeeper, "gateways")
}

// engineUser is the digest user of an engine, which its own OS user could learn.
func engineUser(cluster []byte, refID string) string {
	return "engine-" + refID + ":" + secret.Derive(cluster, secret.LabelZooKeeper, refID)
}

// forge is a node at an address, signed with a key.
func forge(key, path, refID, address string) discovery.Node {
	_, port, _ := net.SplitHostPort(address)
	return discovery.Node{Address: address, Version: "1", RefID: refID, Attributes: map[string]string{
		"sparkConnectPort": port, "control": address, "sparkVersion": "4.3.0",
		"mac": secret.MAC(key, "roundhouse-registration-v1", path, address, address, "", refID),
	}}
}

// ownKey is the one forgery that is what its engine signed: a second node of its own,
// which nobody reads.
const ownKey = "signed with its own key"

// forgeries are the names of nodes that the engine refID, or whoever has its keys, could
// want gateways to believe, by what is wrong with them.
func forgeries(cluster []byte, path string, own, other discovery.Node, trap string) map[string]string {
	const stranger = "00000000-0000-4000-8000-000000000000"
	key := secret.Derive(cluster, secret.LabelRegister, own.RefID)
	return map[string]string{
		"signed with another key":     forge("0000", path, own.RefID, trap).String(),
		ownKey:                        forge(key, path, own.RefID, trap).String(),
		"of an engine nobody knows":   forge(key, path, stranger, trap).String(),
		"of another engine":           forge(key, path, other.RefID, trap).String(),
		"copied from another engine":  other.String(),
		"at a link-local address":     forge(key, path, own.RefID, "169.254.169.254:80").String(),
		"not a node":                  "serverUri=" + trap,
		"not even that":               "lock-0000000001",
		"with an older serviceUri":    "serviceUri=" + trap + ";version=1;refId=" + own.RefID + ";sequence=0000000000",
		"with a name that is no text": "serverUri=" + trap + ";version=1;refId=\u202e" + own.RefID,
	}
}

// rejected is the metric of nodes that no engine signed.
const rejected = `roundhouse_engine_nodes_rejected_total{reason="invalid"}`

// rejections are those of both gateways.
func rejections(c cluster) (all int) {
	for _, g := range c.Gateways {
		all += rejectionsOf(g)
	}
	return all
}

func rejectionsOf(g *env.Gateway) int {
	if _, body := g.Call("GET", "/metrics", ""); !strings.Contains(string(body), rejected) {
		return 0
	}
	return int(g.Metric(rejected))
}

// anything is what an intruder does to a node. Each must fail, but for reading.
func (k keeper) anything(path string) map[string]error {
	world := zk.WorldACL(zk.PermAll)
	_, set := k.Set(path, []byte("{}"), -1)
	remove := k.Delete(path, -1)
	_, rights := k.SetACL(path, world, -1)
	_, create := k.Create(path+"/intruder", nil, zk.FlagPersistent, world)
	_, ephemeral := k.Create(path+"/intruder-", nil, zk.FlagEphemeralSequential, world)
	_, container := k.CreateContainer(path+"/intruder-c", nil, zk.FlagContainer, world)
	_, multi := k.Multi(&zk.DeleteRequest{Path: path, Version: -1}, &zk.CreateRequest{Path: path, Acl: world, Flags: zk.FlagPersistent})
	return map[string]error{"set": set, "delete": remove, "setACL": rights, "create": create, "create an ephemeral": ephemeral,
		"create a container": container, "replace": multi}
}

// requireNothingWritable wants that a client can change no node of the paths.
func (k keeper) requireNothingWritable(paths []string, who string) {
	k.t.Helper()
	for _, path := range paths {
		for what, err := range k.anything(path) {
			require.Errorf(k.t, err, "%s: %s %s", who, what, path)
			// What goes meanwhile, such as the node of a lock, is no fault.
			require.Containsf(k.t, []error{zk.ErrNoAuth, zk.ErrNotEmpty, zk.ErrNoChildrenForEphemerals, zk.ErrNoNode}, err, "%s: %s %s", who, what, path)
		}
	}
}

// requireNoOpenNode wants that the world has no right on any node of ours.
func (k keeper) requireNoOpenNode(paths []string) {
	k.t.Helper()
	for _, path := range paths {
		acl, _, err := k.GetACL(path)
		if err == zk.ErrNoNode { //nolint:errorlint // the library returns it as it is
			continue
		}
		require.NoError(k.t, err, path)
		require.NotEmpty(k.t, acl, path)
		for _, right := range acl {
			require.Equal(k.t, "digest", right.Scheme, "%s: %v", path, right)
			if strings.HasPrefix(right.ID, "engine-") {
				require.Contains(k.t, []int32{zk.PermCreate, zk.PermRead}, right.Perms, "%s: %v", path, right)
			}
		}
	}
}

// tree are the paths of all that gateways and engines keep.
func (k keeper) tree() (paths []string) {
	k.t.Helper()
	for _, root := range k.roots() {
		paths = append(append(paths, root), k.below(root)...)
	}
	return paths
}

// TestForgedNodes: somebody who can talk to ZooKeeper, or has the keys of one engine,
// changes nothing for anybody, and no gateway connects to where they say.
func TestForgedNodes(t *testing.T) {
	t.Parallel()
	conf := fakes(t, time.Minute)
	delete(conf, "kyuubi.ha.zookeeper.session.timeout") // the default holds
	requireForgeriesInVain(t, start(t, 1, conf), fakeRows)
}

// TestForgedNodesOfSpark is the same with engines that are real.
func TestForgedNodesOfSpark(t *testing.T) {
	requireForgeriesInVain(t, start(t, 1, map[string]string{"spark.driver.memory": "600m"}), sparkRows)
}

func requireForgeriesInVain(t *testing.T, c cluster, query func() *rows) {
	t.Helper()
	l := beginWith(t, c, query, 2, "alice", "bob")
	operator, stranger, trap := visit(t, c.ZooKeeper, digest, c.gateway(t)), visit(t, c.ZooKeeper), newTrap(t)
	alice, bob := engine(t, c.a, "alice"), engine(t, c.a, "bob")
	pids := env.Drivers(c.Gateways...)
	paths := operator.tree()
	require.Greater(t, len(paths), 25)
	require.Contains(t, paths, records+"/engines/"+alice.RefID)
	operator.requireNoOpenNode(paths)

	_, _, err := stranger.Children(records)
	require.ErrorIs(t, err, zk.ErrNoAuth, "a stranger does not even see the records")
	stranger.requireNothingWritable(paths, "a stranger")
	stranger.lookAlikes(paths, trap.address())

	cluster := clusterSecret(t, c)
	thief := visit(t, c.ZooKeeper, engineUser(cluster, alice.RefID))
	space := users + "/alice/default"
	others := paths[:0:0]
	for _, path := range paths {
		if path != space {
			others = append(others, path)
		}
	}
	thief.requireNothingWritable(others, "the engine of alice")
	var made []string
	byRef := operator.nodesByRef()
	for what, name := range forgeries(cluster, space, byRef[alice.RefID], byRef[bob.RefID], trap.address()) {
		path, err := thief.Create(space+"/"+name, nil, zk.FlagPersistent, zk.WorldACL(zk.PermAll))
		require.NoError(t, err, "%s: an engine may create nodes in its own space", what)
		if what != ownKey {
			made = append(made, path)
		}
	}
	t.Logf("%d nodes of gateways and engines, %d forged ones beside them", len(paths), len(made)+1)

	counted := 0
	for _, g := range c.Gateways {
		for _, user := range []string{"alice", "bob"} {
			require.NoError(t, env.NewSparkClient(t, g.GRPC, user).Version(t.Context()))
		}
		counted += rejectionsOf(g) // which go with its process
		g.Signal(9)
		g.Start() // reads all again
		require.NoError(t, env.NewSparkClient(t, g.GRPC, "alice").Version(t.Context()))
		require.Equal(t, alice.PID, engine(t, g, "alice").PID)
	}
	require.Equal(t, pids, env.Drivers(c.Gateways...))
	require.Zero(t, trap.taken.Load(), "nobody was dialled")
	l.stop() // its clients saw the restarts
	l.work.Wait()
	require.Empty(t, l.faults)
	operator.requireSwept(40*time.Second, made)
	env.Eventually(t, back, "they are counted", func() bool { return counted+rejections(c) >= len(made) })
	require.Contains(t, operator.refs(), alice.RefID, "the genuine node is left alone")
	c.a.KillEngine(alice.RefID)
	operator.requireSwept(back, []string{space})
	require.Zero(t, trap.taken.Load(), "nobody was dialled")
}

// lookAlikes makes what looks like the roots and nodes of gateways beside them.
func (k keeper) lookAlikes(paths []string, address string) {
	k.t.Helper()
	world := zk.WorldACL(zk.PermAll)
	for _, root := range []string{"/kyuubi", "/kyuubi_1.12.0_USER_SPARK_SQL", "/kyuubi_2_USER_SPARK_CONNECT", "/kyuubi_1_USER_SPARK_CONNECT_evil", "/Kyuubi_spark_connect"} {
		_, err := k.Create(root, nil, zk.FlagPersistent, world)
		require.NoError(k.t, err, root)
		node := forge("0000", root, "00000000-0000-4000-8000-000000000000", address)
		_, err = k.Create(root+"/"+node.String(), []byte(address), zk.FlagEphemeral, world)
		require.NoError(k.t, err, root)
	}
	for _, root := range paths {
		if strings.Count(root, "/") == 1 { // a root that is there
			_, err := k.Create(root, nil, zk.FlagPersistent, world)
			require.ErrorIs(k.t, err, zk.ErrNodeExists, root)
		}
	}
}

func (k keeper) nodesByRef() map[string]discovery.Node {
	k.t.Helper()
	by := map[string]discovery.Node{}
	for _, node := range k.engines() {
		by[node.RefID] = node
	}
	return by
}

// requireSwept waits until gateways have removed nodes.
func (k keeper) requireSwept(within time.Duration, paths []string) {
	k.t.Helper()
	left := func() (left []string) {
		for _, path := range paths {
			if there, _, err := k.Exists(path); err != nil || there {
				left = append(left, path)
			}
		}
		return left
	}
	eventually(k.t, within, func() bool { return len(left()) == 0 }, "forged nodes are swept", func() any { return left() })
}

// TestForgedNodeOfAnEngineThatStarts: who has the keys of an engine knows the ref id of
// the next one of the same space (it is on command lines), and is faster. The node counts as
// rejected, and the launch goes on with the genuine one.
func TestForgedNodeOfAnEngineThatStarts(t *testing.T) {
	t.Parallel()
	c := start(t, 1, fakes(t, time.Minute, "spark.fake.start.delay.ms", "1500"))
	keep := env.NewSparkClient(t, c.a.GRPC, "alice")
	require.NoError(t, keep.Version(t.Context()))
	old, trap := engine(t, c.a, "alice"), newTrap(t)
	space, cluster := users+"/alice/default", clusterSecret(t, c)
	operator, thief := visit(t, c.ZooKeeper, digest), visit(t, c.ZooKeeper, engineUser(cluster, old.RefID))
	code, body := c.a.Call("POST", "/api/v1/admin/engines/refresh?all=true", "root")
	require.Equal(t, 200, code, string(body))
	launched := make(chan error, 1)
	next := env.NewSparkClient(t, c.a.GRPC, "alice")
	go func() { launched <- opens(t.Context(), next) }() // answered below
	var fresh env.Engine
	env.Eventually(t, 10*time.Second, "the next engine of alice starts", func() bool {
		for _, e := range c.a.Engines() {
			if e.RefID != old.RefID && e.PID != 0 {
				fresh = e
			}
		}
		return fresh.PID != 0
	})
	key := secret.Derive(cluster, secret.LabelRegister, old.RefID)
	for _, address := range []string{trap.address(), "169.254.169.254:80"} {
		_, err := thief.Create(space+"/"+forge(key, space, fresh.RefID, address).String(), nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
		require.NoError(t, err)
	}
	select {
	case err := <-launched:
		require.NoError(t, err)
	case <-time.After(time.Minute):
		require.FailNow(t, "the launch does not end")
	}
	require.Zero(t, trap.taken.Load(), "nobody was dialled")
	require.NotZero(t, rejections(c))
	require.NotEmpty(t, grep(c.a, "its engine did not sign"))
	require.Equal(t, fresh.PID, engine(t, c.b, "alice").PID)
	require.NoError(t, keep.Version(t.Context()))
	require.NotEmpty(t, operator.nodesByRef()[fresh.RefID].Attributes["mac"])
}

// TestRootsThatSomebodyMadeFirst: a gateway takes an empty one over and does not start
// with one that has something in it.
func TestRootsThatSomebodyMadeFirst(t *testing.T) {
	t.Parallel()
	zoo := env.StartZooKeeper(t, 1)
	stranger := visit(t, zoo)
	world := zk.WorldACL(zk.PermAll)
	for _, root := range []string{records, servers, users, users + "_lock"} {
		_, err := stranger.Create(root, nil, zk.FlagPersistent, world)
		require.NoError(t, err)
	}
	c := prepare(t, zoo, fakes(t, time.Minute))
	c.a.Start()
	require.NoError(t, env.NewSparkClient(t, c.a.GRPC, "alice").Version(t.Context()))
	operator := visit(t, zoo, digest, c.gateway(t))
	operator.requireNoOpenNode(operator.tree())
	stranger.requireNothingWritable(operator.tree(), "who made the roots")

	_, err := stranger.Create("/other_spark_connect_records", nil, zk.FlagPersistent, world)
	require.NoError(t, err)
	_, err = stranger.Create("/other_spark_connect_records/sessions", nil, zk.FlagPersistent, world)
	require.NoError(t, err)
	said := refusal(t, c.b, "kyuubi.ha.namespace=other")
	require.Contains(t, said, "/other_spark_connect_records in ZooKeeper was made by somebody else")
	require.Contains(t, said, "deleteall /other_spark_connect_records")
}
