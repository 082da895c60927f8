// SPDX-License-Identifier: Apache-2.0

package discoverytest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
)

// Watch is the suite of discovery.Watcher.
func Watch(t *testing.T, open func(t *testing.T) WatchStore) {
	for name, test := range map[string]func(*testing.T, WatchStore){
		"a list comes at once":                firstList,
		"each change brings the new list":     changes,
		"a slow receiver sees the newest":     slowReceiver,
		"other spaces do not matter":          foreignSpace,
		"the end of the context ends a watch": watchEnds,
		"an ended context starts no watch":    watchObeysContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func watch(t *testing.T, s WatchStore) <-chan []discovery.Node {
	t.Helper()
	lists, err := s.Watch(t.Context(), space)
	require.NoError(t, err)
	return lists
}

// next receives lists until one has the given ref ids.
func next(t *testing.T, lists <-chan []discovery.Node, want ...string) {
	t.Helper()
	deadline := time.After(patience)
	last := []string{"nothing"}
	for !slices.Equal(last, want) {
		select {
		case nodes, ok := <-lists:
			require.True(t, ok, "the watch ended, want %v", want)
			last = refs(nodes)
		case <-deadline:
			require.FailNow(t, "no such list", "want %v, last was %v", want, last)
		}
	}
}

func firstList(t *testing.T, s WatchStore) {
	next(t, watch(t, s))
	n := newNode()
	require.NoError(t, s.Register(t.Context(), space, n))
	next(t, watch(t, s), n.RefID)
}

func changes(t *testing.T, s WatchStore) {
	one, two := watch(t, s), watch(t, s)
	next(t, one)
	first, second := newNode(), newNode()
	require.NoError(t, s.Register(t.Context(), space, first))
	next(t, one, first.RefID)
	require.NoError(t, s.Register(t.Context(), space, second))
	next(t, one, first.RefID, second.RefID)
	require.NoError(t, s.Deregister(t.Context(), space, first.RefID))
	next(t, one, second.RefID)
	next(t, two, second.RefID)
}

// slowReceiver also shows that a receiver who never reads holds up nobody.
func slowReceiver(t *testing.T, s WatchStore) {
	slow := watch(t, s)
	const count = 12
	for range count {
		require.NoError(t, s.Register(t.Context(), space, newNode()))
	}
	last := newNode()
	require.NoError(t, s.Register(t.Context(), space, last))
	seen := 0
	deadline := time.After(patience)
	for {
		select {
		case nodes := <-slow:
			seen++
			if len(nodes) == count+1 {
				require.Equal(t, last.RefID, nodes[count].RefID)
				require.Less(t, seen, count, "every list was kept for a slow receiver")
				return
			}
		case <-deadline:
			require.FailNow(t, "the newest list never came")
		}
	}
}

func foreignSpace(t *testing.T, s WatchStore) {
	lists := watch(t, s)
	next(t, lists)
	require.NoError(t, s.Register(t.Context(), other, newNode()))
	n := newNode()
	require.NoError(t, s.Register(t.Context(), space, n))
	next(t, lists, n.RefID)
}

func watchEnds(t *testing.T, s WatchStore) {
	for _, read := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		lists, err := s.Watch(ctx, space)
		require.NoError(t, err)
		if read {
			next(t, lists)
		}
		cancel()
		require.Eventually(t, func() bool {
			select {
			case _, open := <-lists:
				return !open
			default:
				return false
			}
		}, patience, time.Millisecond)
	}
}

func watchObeysContext(t *testing.T, s WatchStore) {
	_, err := s.Watch(cancelled(t), space)
	require.ErrorIs(t, err, context.Canceled)
}
