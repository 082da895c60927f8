// SPDX-License-Identifier: Apache-2.0

//go:build linux

package relay

import (
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

// TestSessionsOfAnotherPlace: what was opened at one gateway is used at the other one, by way of the relay,
// which ends the session and the engine as well.
func TestSessionsOfAnotherPlace(t *testing.T) {
	c, near, far := start(t, fakes(t))
	there := c.Client(0, "alice")
	require.NoError(t, there.Version(t.Context()))
	e := theEngine(t, near, far)

	here := c.Client(1, "alice")
	here.Session = there.Session
	_, err := query(t, here, 500_000, ignore)
	require.NoError(t, err)
	require.NoError(t, c.Client(1, "alice").Version(t.Context()), "a session that opens here")
	require.Len(t, near.Engines(), 1)
	env.Eventually(t, settled, "both know both sessions", func() bool { return len(near.Sessions()) == 2 && len(far.Sessions()) == 2 })
	require.NoError(t, here.Release(t.Context()))
	env.Eventually(t, settled, "the end is known", func() bool { return len(near.Sessions()) == 1 })

	far.KillEngine(e.RefID)
	awaitEnd(t, far, e)
	awaitEnd(t, near, e)
}

// TestGatewayBesideTheEngineDies in a query: the client goes on at the other gateway, which also stops the engine
// then.
func TestGatewayBesideTheEngineDies(t *testing.T) {
	c, near, far := start(t, fakes(t))
	client := c.Client(0, "alice")
	require.NoError(t, client.Version(t.Context()))
	e := theEngine(t, near, far)
	var once sync.Once
	story, err := query(t, client, 2_500_000, func(rows int64) {
		if rows > 1_000_000 {
			once.Do(func() { near.Signal(syscall.SIGKILL) })
		}
	})
	require.NoError(t, err)
	require.NotZero(t, story.Retried, "the kill hit the query")
	require.Equal(t, e.RefID, far.OnlyEngine().RefID)
	far.KillEngine(e.RefID)
	awaitEnd(t, far, e)
	near.Start()
	require.Empty(t, near.Engines())
}

// TestEngineOfAnotherPlaceDies: with nobody at its place to see it, too.
func TestEngineOfAnotherPlaceDies(t *testing.T) {
	for name, alone := range map[string]bool{"with its gateway": true, "beside its gateway": false} {
		t.Run(name, func(t *testing.T) {
			c, near, far := start(t, fakes(t))
			client := c.Client(1, "alice")
			require.NoError(t, c.Client(0, "alice").Version(t.Context()))
			e := theEngine(t, near, far)
			require.NoError(t, client.Version(t.Context()))
			if alone {
				near.Signal(syscall.SIGKILL)
			}
			killed := time.Now()
			require.NoError(t, syscall.Kill(e.PID, syscall.SIGKILL))
			awaitEnd(t, far, e)
			t.Logf("noticed after %v", time.Since(killed).Round(time.Millisecond))
			require.ErrorContains(t, client.Version(t.Context()), "SESSION_CHANGED")
		})
	}
}

// TestNoRelay: the other gateway refuses the session and logs why.
func TestNoRelay(t *testing.T) {
	c, _, far := start(t, fakes(t, "kyuubi.engine.spark.connect.relay", "false"))
	there := c.Client(0, "alice")
	require.NoError(t, there.Version(t.Context()))
	here := c.Client(1, "alice")
	here.Session = there.Session
	err := here.Version(t.Context())
	require.ErrorContains(t, err, "ENGINE_ELSEWHERE")
	require.ErrorContains(t, err, "kyuubi.engine.spark.connect.relay")
	require.Contains(t, far.Log(), "offers no relay")
}

// TestSparkOfAnotherPlace is a session with real Spark, which finds an address for its relay by itself.
func TestSparkOfAnotherPlace(t *testing.T) {
	reachable(t)
	c, near, far := start(t, map[string]string{"spark.driver.memory": "700m"})
	there := c.Client(0, "alice")
	require.NoError(t, there.Version(t.Context()))
	e := theEngine(t, near, far)
	here := c.Client(1, "alice")
	here.Session = there.Session
	sum := func() error {
		_, err := here.Query(t.Context(), "SELECT sum(id) FROM range(1000000)", func(*pb.ExecutePlanResponse) error { return nil })
		return err
	}
	require.NoError(t, sum())
	near.Signal(syscall.SIGKILL)
	require.NoError(t, sum())
	far.KillEngine(e.RefID)
	awaitEnd(t, far, e)
	near.Start()
}
