// SPDX-License-Identifier: Apache-2.0

package hazk

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
	"roundhouse/integration-tests/env"
)

// Where gateways keep things.
const (
	namespace = "/kyuubi"
	servers   = "/kyuubi_spark_connect"
	records   = "/kyuubi_spark_connect_records"
	users     = "/kyuubi_1_USER_SPARK_CONNECT"
)

// quiet keeps the library's words out of the test's output.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// keeper is a plain ZooKeeper client.
type keeper struct {
	*zk.Conn
	t *testing.T
}

// visit connects to the ensemble as the digest users of who, or anonymously.
func visit(t *testing.T, zoo *env.ZooKeeper, who ...string) keeper {
	t.Helper()
	conn, events, err := zk.Connect(strings.Split(zoo.Addresses(), ","), 10*time.Second, zk.WithLogger(quiet{}))
	require.NoError(t, err)
	t.Cleanup(func() {
		conn.Close()
		for range events { // ends when the library has
		}
	})
	for _, user := range who {
		require.NoError(t, conn.AddAuth("digest", []byte(user)))
	}
	return keeper{conn, t}
}

// below are the paths of all nodes below a path that may be read, and of those whose
// children may not, without ZooKeeper's own.
func (k keeper) below(path string) (paths []string) {
	k.t.Helper()
	names, _, err := k.Children(path)
	if errors.Is(err, zk.ErrNoNode) || errors.Is(err, zk.ErrNoAuth) {
		return nil
	}
	require.NoError(k.t, err, path)
	slices.Sort(names)
	for _, name := range names {
		full := strings.TrimSuffix(path, "/") + "/" + name
		if full == "/zookeeper" {
			continue
		}
		paths = append(append(paths, full), k.below(full)...)
	}
	return paths
}

// roots are the nodes of gateways below the root of the ensemble.
func (k keeper) roots() (roots []string) {
	k.t.Helper()
	names, _, err := k.Children("/")
	require.NoError(k.t, err)
	for _, name := range names {
		if strings.HasPrefix("/"+name, namespace) {
			roots = append(roots, "/"+name)
		}
	}
	return roots
}

// engines are the nodes of engines by path, of all spaces.
func (k keeper) engines() map[string]discovery.Node {
	k.t.Helper()
	nodes := map[string]discovery.Node{}
	for _, root := range k.roots() {
		if !strings.HasSuffix(root, "_SPARK_CONNECT") {
			continue
		}
		for _, path := range k.below(root) {
			names := strings.SplitN(path, "/", 5)
			if len(names) < 5 {
				continue
			}
			node, err := discovery.ParseNode(names[4])
			require.NoError(k.t, err, path)
			nodes[path] = node
		}
	}
	return nodes
}

// servers are the nodes of gateways.
func (k keeper) servers() (nodes []discovery.Node) {
	k.t.Helper()
	for _, path := range k.below(servers) {
		if name := strings.TrimPrefix(path, servers+"/"); name != "(kept)" {
			node, err := discovery.ParseNode(name)
			require.NoError(k.t, err, path)
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// sessions are the records of sessions in the order in which they were added.
func (k keeper) sessions() (all []discovery.SessionRecord) {
	k.t.Helper()
	type added struct {
		at int64
		discovery.SessionRecord
	}
	var found []added
	for _, path := range k.below(records + "/sessions") {
		if strings.Count(path, "/") != 4 {
			continue
		}
		text, stat, err := k.Get(path)
		require.NoError(k.t, err)
		var r discovery.SessionRecord
		require.NoError(k.t, json.Unmarshal(text, &r))
		found = append(found, added{stat.Czxid, r})
	}
	slices.SortFunc(found, func(a, b added) int { return int(a.at - b.at) })
	for _, f := range found {
		all = append(all, f.SessionRecord)
	}
	return all
}

// refs are the ref ids of engines that have a node, one for each node.
func (k keeper) refs() (refs []string) {
	k.t.Helper()
	for _, node := range k.engines() {
		refs = append(refs, node.RefID)
	}
	slices.Sort(refs)
	return refs
}

// requireNodes waits until each of the engines has one node, and each gateway has.
func (k keeper) requireNodes(within time.Duration, c cluster, refs []string) (took time.Duration) {
	k.t.Helper()
	began := time.Now()
	eventually(k.t, within, func() bool { return k.nodesAre(c, refs) }, "nodes of engines and gateways are not as they were",
		func() any { return []any{"engines", k.refs(), "of", refs, "gateways", k.servers()} })
	return time.Since(began).Round(time.Millisecond)
}

func (k keeper) nodesAre(c cluster, refs []string) bool {
	k.t.Helper()
	var want, got []string
	for _, g := range c.Gateways {
		want = append(want, g.GRPC)
	}
	for _, node := range k.servers() {
		got = append(got, node.Address)
	}
	slices.Sort(want)
	slices.Sort(got)
	return slices.Equal(want, got) && slices.Equal(k.refs(), refs)
}
