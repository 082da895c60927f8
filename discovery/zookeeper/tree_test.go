// SPDX-License-Identifier: Apache-2.0

package zookeeper

import (
	"testing"

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
