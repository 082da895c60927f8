// SPDX-License-Identifier: Apache-2.0

// Package discoverytest holds every implementation of the interfaces of
// package discovery to the same behaviour. Each suite takes a function that
// opens a fresh, empty store whose resources the test's cleanup releases.
package discoverytest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
)

const (
	space = "/kyuubi_1_USER_SPARK_CONNECT/alice/default"
	other = "/kyuubi_1_USER_SPARK_CONNECT/alice/default2" // has space as its prefix
	// patience bounds each wait for the outside world.
	patience = 10 * time.Second
	// heldFor is how long a lock is tried that must not be had.
	heldFor = 50 * time.Millisecond
)

// Registrar makes and removes nodes in an engine's place.
type Registrar interface {
	// Register creates or replaces the node of n.RefID below path.
	Register(ctx context.Context, path string, n discovery.Node) error
	// Deregister removes the node; removing an absent node is no error.
	Deregister(ctx context.Context, path, refID string) error
}

// NodeStore is what the suite Nodes runs on.
type NodeStore interface {
	Registrar
	discovery.Finder
}

// WatchStore is what the suite Watch runs on.
type WatchStore interface {
	Registrar
	discovery.Watcher
}

func newNode(attributes ...string) discovery.Node {
	n := discovery.Node{Address: "127.0.0.1:41123", Version: "1", RefID: uuid.NewString(), Attributes: map[string]string{}}
	for i := 0; i < len(attributes); i += 2 {
		n.Attributes[attributes[i]] = attributes[i+1]
	}
	return n
}

// refs are the ref ids of nodes in their order.
func refs(nodes []discovery.Node) []string {
	ids := []string{}
	for _, n := range nodes {
		ids = append(ids, n.RefID)
	}
	return ids
}

// eventually waits until the nodes below path have the given ref ids, in
// order, and returns them.
func eventually(t *testing.T, s discovery.Finder, path string, want ...string) []discovery.Node {
	t.Helper()
	var nodes []discovery.Node
	if want == nil {
		want = []string{}
	}
	found := func() bool {
		var err error
		nodes, err = s.Find(t.Context(), path)
		return err == nil && slices.Equal(refs(nodes), want)
	}
	if !found() {
		require.Eventually(t, found, patience, 20*time.Millisecond, "want %v below %s", want, path)
	}
	return nodes
}

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
