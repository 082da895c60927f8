// SPDX-License-Identifier: Apache-2.0

package zookeeper

import (
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"
)

// TestNodeThatGoesWhileItIsRead, so that its content is there and its name is not in the list,
// is told as gone last.
func TestNodeThatGoesWhileItIsRead(t *testing.T) {
	tree := newTree(nil)
	var told []bool
	tree.follow(&branch{root: "/r", levels: 1, changed: func(_ string, _ []byte, gone bool) { told = append(told, gone) }})
	list := &finding{path: "/r", entry: tree.mu.entries["/r"], names: []string{"n"}}
	tree.takeIn(list)
	node := &finding{path: "/r/n", entry: tree.mu.entries["/r/n"], data: []byte("v")}
	tree.takeIn(node)
	list.names = nil
	tree.takeIn(list)
	tree.takeIn(node)
	require.Equal(t, []bool{false, true}, told)
}

// TestTakeLeavesKnownEntries, which change while they are read, to the next refresh: others wait for this one.
func TestTakeLeavesKnownEntries(t *testing.T) {
	tree := newTree(nil)
	tree.follow(&branch{root: "/r", levels: 1, changed: func(string, []byte, bool) {}})
	work := tree.take(false)
	require.Len(t, work, 1)
	work[0].names = []string{"n"}
	tree.takeIn(work[0])
	tree.event(zk.Event{Type: zk.EventNodeChildrenChanged, Path: "/r"})
	work = tree.take(true)
	require.Len(t, work, 1, "what is new is read at once")
	require.Equal(t, "/r/n", work[0].path)
	require.Empty(t, tree.take(true))
	require.True(t, tree.more())
	work = tree.take(false)
	require.Len(t, work, 1)
	require.Equal(t, "/r", work[0].path)
	require.False(t, tree.more())
}
