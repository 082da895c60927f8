// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// TestEngineKilledInTheMiddleOfAQuery: one clear error within two seconds, and
// the next getOrCreate() works on a new engine.
func TestEngineKilledInTheMiddleOfAQuery(t *testing.T) {
	g := env.Start(t, nil)
	for _, client := range []string{"4.3", "4.0"} {
		t.Run(client, func(t *testing.T) {
			c := env.StartClient(t, client, "kill_query.py", "--remote", g.Remote())
			before := c.Next("engine", 3*time.Minute)
			c.Next("running", time.Minute)
			victim := g.OnlyEngine()
			killed := time.Now()
			kill9(t, victim)
			ended := c.Next("ended", 10*time.Second)
			require.Less(t, time.Since(killed), 2*time.Second)
			requireSessionChanged(t, ended, victim.RefID)
			require.EqualValues(t, 1, c.Next("recovered", 3*time.Minute)["one"])
			after := c.Next("engine_after", time.Minute)
			require.NotEqual(t, before["application_id"], after["application_id"])
			code, _ := c.Wait(30 * time.Second)
			require.Zero(t, code)
		})
	}
}

func requireSessionChanged(t *testing.T, line map[string]any, refID string) {
	t.Helper()
	require.Contains(t, text(line, "text"), "INVALID_HANDLE.SESSION_CHANGED")
	require.Contains(t, text(line, "text"), refID, "the text names the engine")
}

// TestEngineKilledByAnAdministrator: the client is told who did it.
func TestEngineKilledByAnAdministrator(t *testing.T) {
	g := env.Start(t, nil)
	c := env.StartClient(t, "4.3", "kill_query.py", "--remote", g.Remote())
	c.Next("running", 3*time.Minute)
	victim := g.OnlyEngine()
	killed := time.Now()
	g.KillEngine(victim.RefID)
	ended := c.Next("ended", 10*time.Second)
	require.Less(t, time.Since(killed), 2*time.Second)
	requireSessionChanged(t, ended, victim.RefID)
	require.Contains(t, text(ended, "text"), "killed it over REST")
	require.EqualValues(t, 1, c.Next("recovered", 3*time.Minute)["one"])
	code, _ := c.Wait(30 * time.Second)
	require.Zero(t, code)
	require.False(t, env.Alive(victim.PID))
}

// TestProgramsEndWithinASecond: leaving launches no engine, whatever became of
// the old one.
func TestProgramsEndWithinASecond(t *testing.T) {
	t.Run("without having done anything", func(t *testing.T) {
		g := env.Start(t, nil)
		c := env.StartClient(t, "4.3", "exit_only.py", "--remote", g.Remote())
		c.Next("created", time.Minute)
		requireQuickEnd(t, c)
		require.Empty(t, g.Engines())
		require.EqualValues(t, 0, g.Metric(launches))
	})
	t.Run("after the engine was killed", func(t *testing.T) {
		g := env.Start(t, nil)
		exitAfter(t, g, func(e env.Engine) { kill9(t, e) })
	})
	t.Run("after an administrator killed it", func(t *testing.T) {
		g := env.Start(t, nil)
		exitAfter(t, g, func(e env.Engine) { g.KillEngine(e.RefID) })
	})
	t.Run("after the idle stop", func(t *testing.T) {
		g := env.Start(t, map[string]string{
			"kyuubi.session.idle.timeout": "PT3S", "kyuubi.session.engine.idle.timeout": "PT2S", "kyuubi.session.engine.check.interval": "PT1S",
		})
		exitAfter(t, g, func(env.Engine) {
			env.Eventually(t, time.Minute, "the engine stops", func() bool { return len(g.Engines()) == 0 })
		})
	})
}

// exitAfter ends the engine of a client that then exits.
func exitAfter(t *testing.T, g *env.Gateway, end func(env.Engine)) {
	t.Helper()
	c := env.StartClient(t, "4.3", "exit_after.py", "--remote", g.Remote())
	c.Next("ready", 3*time.Minute)
	e := g.OnlyEngine()
	end(e)
	env.Eventually(t, 30*time.Second, "the engine is gone", func() bool { return len(g.Engines()) == 0 })
	c.Say("exit")
	requireQuickEnd(t, c)
	require.Empty(t, g.Engines(), "no engine is launched by leaving")
	require.EqualValues(t, 1, g.Metric(launches))
}

// requireQuickEnd waits for the end of a program that is leaving: its exit
// handlers and the whole process each take less than a second.
func requireQuickEnd(t *testing.T, c *env.Client) {
	t.Helper()
	c.Next("exiting", time.Minute)
	leaving := time.Now()
	require.Less(t, number(c.Next("exited", time.Minute), "seconds"), 1.0)
	code, _ := c.Wait(10 * time.Second)
	require.Zero(t, code)
	took := time.Since(leaving)
	t.Logf("the program ended %v after its last line", took)
	require.Less(t, took, time.Second)
}
