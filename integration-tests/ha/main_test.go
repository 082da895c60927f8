// SPDX-License-Identifier: Apache-2.0

// Package ha shows several gateways on one real ZooKeeper: any of them serves any
// session, one may die or be restarted at any moment, and there is never a second engine where there
// should be one. Engines are fakes but for the tests that have Spark in their name.
package ha

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", fmt.Sprint(env.Count(4, 2))); err != nil { // clients wait more than they work
		panic(err)
	}
	env.Main(m)
}

// settled is how long after the death of a gateway what it left may take to be adopted or cleaned up.
const settled = 30 * time.Second

// with is the same client with the session of another one.
func with(c *env.SparkClient, session string) *env.SparkClient {
	next := *c
	next.Session = session
	return &next
}

// folders are those of all engines of a user, or of all users ("*"), that were ever prepared: each launch makes
// one, and the log in it outlives the engine.
func folders(t *testing.T, c *env.Cluster, user string) (all []string) {
	t.Helper()
	for _, g := range c.Gateways {
		some, err := filepath.Glob(filepath.Join(g.Home, "work", user, "*"))
		require.NoError(t, err)
		all = append(all, some...)
	}
	return all
}

// leftovers are files in the folders of engines, except for logs.
func leftovers(t *testing.T, c *env.Cluster) (files []string) {
	t.Helper()
	for _, folder := range folders(t, c, "*") {
		entries, err := os.ReadDir(folder)
		require.NoError(t, err)
		for _, entry := range entries {
			if entry.Name() != "engine.log" {
				files = append(files, filepath.Join(folder, entry.Name()))
			}
		}
	}
	return files
}

// spaceOf is the space of the one engine, which has its node there.
func spaceOf(t *testing.T, c *env.Cluster, g *env.Gateway) string {
	t.Helper()
	space := g.OnlyEngine().Namespace
	nodes, err := c.Store().Find(t.Context(), space)
	require.NoError(t, err)
	require.Len(t, nodes, 1, space)
	return space
}

// requireNothingLeft waits until there is no engine: no process, no file but logs, and
// neither a record nor a node in its space in ZooKeeper.
func requireNothingLeft(t *testing.T, c *env.Cluster, g *env.Gateway, space string) {
	t.Helper()
	store := c.Store()
	left := func() []any {
		records, err := store.Engines(t.Context())
		require.NoError(t, err)
		nodes, err := store.Find(t.Context(), space)
		require.NoError(t, err)
		return []any{g.Engines(), records, nodes, env.Drivers(c.Gateways...), leftovers(t, c)}
	}
	require.Eventually(t, func() bool { return fmt.Sprint(left()) == "[[] [] [] [] []]" },
		settled, 50*time.Millisecond, "something is left: %v", env.Lazily(func() any { return left() }))
}

// percentile is the value that a share of all does not exceed.
func percentile(all []time.Duration, share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))].Round(time.Millisecond)
}
