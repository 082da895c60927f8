// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// TestOldEngine takes no new session, keeps the one it has, and stops with it;
// the next session gets a fresh engine.
func TestOldEngine(t *testing.T) {
	g := start(t, map[string]string{
		"kyuubi.session.engine.spark.max.lifetime": "PT2S", "kyuubi.session.engine.check.interval": "PT0.5S",
		"kyuubi.session.engine.idle.timeout": "PT1H",
	})
	growOld(t, g, 20*time.Second)
}

// TestOldEngineOfRealSpark is the same with the plugin in a real driver.
func TestOldEngineOfRealSpark(t *testing.T) {
	g := env.Start(t, map[string]string{
		"kyuubi.session.engine.spark.max.lifetime": "PT8S", "kyuubi.session.engine.check.interval": "PT1S",
		"kyuubi.session.engine.idle.timeout": "PT1H",
	})
	growOld(t, g, 3*time.Minute)
}

func growOld(t *testing.T, g *env.Gateway, patience time.Duration) {
	t.Helper()
	first := env.NewSparkClient(t, g.GRPC, "alice")
	require.NoError(t, first.Version(t.Context()))
	old := enginesOf(g, "alice")[0]
	env.Eventually(t, patience, "the engine grows old", func() bool {
		all := enginesOf(g, "alice")
		return len(all) == 1 && all[0].State == "draining"
	})
	require.NoError(t, first.Version(t.Context()), "its session goes on")

	second := first.Another()
	require.NoError(t, second.Version(t.Context()))
	all := enginesOf(g, "alice")
	require.Len(t, all, 2)
	for _, s := range g.Sessions() {
		if s.Identifier == first.Session {
			require.Equal(t, old.RefID, s.EngineRef)
		} else {
			require.NotEqual(t, old.RefID, s.EngineRef, "a new session gets a fresh engine")
		}
	}
	require.True(t, env.Alive(old.PID))
	require.NoError(t, first.Version(t.Context()), "also beside the fresh one")

	require.NoError(t, first.Release(t.Context()))
	env.Eventually(t, patience, "the old engine stops with its last session", func() bool { return !env.Alive(old.PID) })
	env.Eventually(t, 10*time.Second, "and is forgotten", func() bool { return len(enginesOf(g, "alice")) == 1 })
	require.NoError(t, second.Version(t.Context()))
}
