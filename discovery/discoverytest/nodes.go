// SPDX-License-Identifier: Apache-2.0

package discoverytest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
)

// Nodes is the suite of Registrar and discovery.Finder.
func Nodes(t *testing.T, open func(t *testing.T) NodeStore) {
	for name, test := range map[string]func(*testing.T, NodeStore){
		"an empty space has no nodes":       emptySpace,
		"nodes read back, oldest first":     oldestFirst,
		"the same engine replaces its node": replaces,
		"deregister removes one node":       deregisters,
		"spaces are apart":                  spacesApart,
		"unusable nodes are refused":        unusableNodes,
		"engines register at once":          registerTogether,
		"an ended context stops a call":     nodesObeyContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func emptySpace(t *testing.T, s NodeStore) {
	nodes, err := s.Find(t.Context(), space)
	require.NoError(t, err)
	require.Empty(t, nodes)
}

func oldestFirst(t *testing.T, s NodeStore) {
	first := newNode("mac", "0f", "spark.driver.memory", "", "kyuubi.engine.id", "local-1")
	second, third := newNode(), newNode()
	for _, n := range []discovery.Node{first, second, third} {
		require.NoError(t, s.Register(t.Context(), space, n))
	}
	nodes := eventually(t, s, space, first.RefID, second.RefID, third.RefID)
	require.Less(t, nodes[0].Sequence, nodes[1].Sequence)
	nodes[0].Sequence = 0
	require.Equal(t, first, nodes[0])
}

func replaces(t *testing.T, s NodeStore) {
	n := newNode("control", "127.0.0.1:1")
	require.NoError(t, s.Register(t.Context(), space, n))
	require.NoError(t, s.Register(t.Context(), space, n), "a renewal")
	n.Attributes = map[string]string{"control": "127.0.0.1:2"}
	require.NoError(t, s.Register(t.Context(), space, n))
	require.Eventually(t, func() bool {
		nodes, err := s.Find(t.Context(), space)
		return err == nil && len(nodes) == 1 && nodes[0].Attributes["control"] == "127.0.0.1:2"
	}, patience, 5*time.Millisecond)
}

func deregisters(t *testing.T, s NodeStore) {
	stays, goes := newNode(), newNode()
	require.NoError(t, s.Register(t.Context(), space, goes))
	require.NoError(t, s.Register(t.Context(), space, stays))
	require.NoError(t, s.Deregister(t.Context(), space, goes.RefID))
	eventually(t, s, space, stays.RefID)
	require.NoError(t, s.Deregister(t.Context(), space, goes.RefID), "absent by now")
	require.NoError(t, s.Deregister(t.Context(), other, stays.RefID), "not below this path")
	eventually(t, s, space, stays.RefID)
}

func spacesApart(t *testing.T, s NodeStore) {
	here, there := newNode(), newNode()
	require.NoError(t, s.Register(t.Context(), space, here))
	require.NoError(t, s.Register(t.Context(), other, there))
	eventually(t, s, space, here.RefID)
	eventually(t, s, other, there.RefID)
}

func unusableNodes(t *testing.T, s NodeStore) {
	for name, spoil := range map[string]func(*discovery.Node){
		"no ref id":      func(n *discovery.Node) { n.RefID = "" },
		"no address":     func(n *discovery.Node) { n.Address = "" },
		"injected ref":   func(n *discovery.Node) { n.RefID += ";mac=0" },
		"injected pair":  func(n *discovery.Node) { n.Attributes["a"] = "b;c=d" },
		"injected field": func(n *discovery.Node) { n.Version = "1;a=b" },
		"NUL":            func(n *discovery.Node) { n.RefID += "\x00" },
	} {
		n := newNode()
		spoil(&n)
		require.ErrorIs(t, s.Register(t.Context(), space, n), discovery.ErrInvalid, name)
	}
	nodes, err := s.Find(t.Context(), space)
	require.NoError(t, err)
	require.Empty(t, nodes)
}

func registerTogether(t *testing.T, s NodeStore) {
	const count = 10
	var wg sync.WaitGroup
	faults := make([]error, count)
	for i := range count {
		wg.Go(func() { faults[i] = s.Register(t.Context(), space, newNode()) })
	}
	wg.Wait()
	for _, err := range faults {
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool {
		nodes, err := s.Find(t.Context(), space)
		return err == nil && len(nodes) == count
	}, patience, 5*time.Millisecond)
}

func nodesObeyContext(t *testing.T, s NodeStore) {
	ctx := cancelled(t)
	require.ErrorIs(t, s.Register(ctx, space, newNode()), context.Canceled)
	require.ErrorIs(t, s.Deregister(ctx, space, "x"), context.Canceled)
	_, err := s.Find(ctx, space)
	require.ErrorIs(t, err, context.Canceled)
}
