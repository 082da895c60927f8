// SPDX-License-Identifier: Apache-2.0

package hazk

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

// slowly is a query of Spark that returns so many rows, ten in a second.
func slowly(rows int) string {
	return fmt.Sprintf("SELECT id, java_method('java.lang.Thread', 'sleep', 100L) FROM range(0, %d, 1, %d)", rows, max(1, rows/5))
}

// nodeOf is the path of the one node of an engine, "" without one.
func (k keeper) nodeOf(ref string) (found string) {
	k.t.Helper()
	for path, node := range k.engines() {
		if node.RefID == ref {
			require.Empty(k.t, found, "a second node of %s", ref)
			found = path
		}
	}
	return found
}

// TestNodeOfSpark: the node of an engine comes back when its ZooKeeper session expired;
// when an administrator deletes it the engine serves its sessions and ends; so does an engine
// that is idle.
func TestNodeOfSpark(t *testing.T) {
	c := start(t, 1, map[string]string{"kyuubi.ha.zookeeper.session.timeout": "PT3S", "spark.driver.memory": "600m",
		"kyuubi.session.engine.idle.timeout": "PT4S", "kyuubi.session.engine.check.interval": "PT1S"})
	k := visit(t, c.ZooKeeper, digest)
	alice := env.NewSparkClient(t, c.a.GRPC, "alice")
	require.NoError(t, opens(t.Context(), alice))
	first := c.a.OnlyEngine()
	before := k.nodeOf(first.RefID)
	require.NotEmpty(t, before)

	env.Freeze(t, first.PID)
	env.Eventually(t, 15*time.Second, "the ZooKeeper session of the engine expires", func() bool { return k.nodeOf(first.RefID) == "" })
	require.NoError(t, syscall.Kill(first.PID, syscall.SIGCONT))
	began := time.Now()
	env.Eventually(t, back, "its node comes back", func() bool { return k.nodeOf(first.RefID) != "" })
	t.Logf("node back %v after the engine goes on", time.Since(began).Round(time.Millisecond))
	require.NotEqual(t, before, k.nodeOf(first.RefID), "another number")
	require.NoError(t, opens(t.Context(), alice), "the session is there")

	done := make(chan error, 1)
	go func() { // answered below
		_, err := alice.Query(t.Context(), slowly(150), func(*pb.ExecutePlanResponse) error { return nil })
		done <- err
	}()
	require.NoError(t, k.Delete(k.nodeOf(first.RefID), -1), "the administrator")
	env.Eventually(t, 10*time.Second, "the engine drains", func() bool { return state(c.a, first.RefID) == "draining" && state(c.b, first.RefID) == "draining" })
	require.NoError(t, opens(t.Context(), env.NewSparkClient(t, c.b.GRPC, "alice")), "the next session")
	second := c.b.OnlyEngine()
	require.NotEqual(t, first.RefID, second.RefID, "a new engine")
	select {
	case err := <-done:
		require.NoError(t, err, "the query on the draining engine")
	case <-time.After(time.Minute):
		require.FailNow(t, "the query does not end")
	}
	require.NoError(t, opens(t.Context(), alice), "its session goes on")
	require.NoError(t, alice.Release(t.Context()))
	env.Eventually(t, 30*time.Second, "the drained engine ends", func() bool { return !env.Alive(first.PID) })
	require.True(t, env.Alive(second.PID))
	for _, s := range c.b.Sessions() {
		code, body := c.b.Call(http.MethodDelete, "/api/v1/sessions/"+s.Identifier, "alice")
		require.Equal(t, http.StatusOK, code, string(body))
	}
	env.Eventually(t, 30*time.Second, "the idle engine ends", func() bool { return !env.Alive(second.PID) })
	env.Eventually(t, back, "its node is gone", func() bool { return len(k.engines()) == 0 && len(c.a.Engines()) == 0 })
}

// state is that of an engine as a gateway shows it.
func state(g *env.Gateway, ref string) string {
	for _, e := range g.Engines() {
		if e.RefID == ref {
			return e.State
		}
	}
	return ""
}

// TestDrainAndReplace: the settings change, the gateways are restarted one after the other, and the
// engines of before are replaced without breaking a session.
func TestDrainAndReplace(t *testing.T) {
	t.Parallel()
	c := start(t, 1, fakes(t, time.Minute))
	k := visit(t, c.ZooKeeper, digest)
	l := begin(t, c, 2, "alice", "bob")
	old := refsOf(c.a)
	require.Len(t, old, 2)
	require.Empty(t, refresh(t, c.a, ""), "nothing has changed")

	for _, g := range c.Gateways {
		g.Signal(syscall.SIGTERM)
		require.Zero(t, g.ExitCode(), g.Log())
		change(t, g, "spark.sql.shuffle.partitions=2", "spark.sql.shuffle.partitions=7")
		g.Start()
		if g == c.a {
			var body []byte
			env.Eventually(t, back, "what is new for one of them is old for the other, once it has heard", func() bool {
				var code int
				code, body = c.b.Call(http.MethodPost, "/api/v1/admin/engines/refresh", "root")
				return code == http.StatusConflict
			})
			require.Contains(t, string(body), c.a.GRPC+" has ")
			require.Contains(t, string(body), c.b.GRPC+" has ")
			require.Empty(t, refresh(t, c.b, "force=true"), "its own configuration counts")
			require.Equal(t, old, refresh(t, c.a, "force=true&dryRun=true"))
		}
	}
	require.Equal(t, old, refsOf(c.b), "engines outlive gateways")
	require.Equal(t, old, refresh(t, c.b, "dryRun=true"))
	require.Equal(t, old, refsRunning(c.a), "nothing was done")
	require.Equal(t, old, refresh(t, c.b, ""))
	for _, g := range c.Gateways {
		env.Eventually(t, back, "both gateways know that the engines drain", func() bool { return len(running(g)) == 0 })
	}
	for _, user := range []string{"alice", "bob"} {
		require.NoError(t, opens(t.Context(), env.NewSparkClient(t, c.a.GRPC, user)))
		fresh := engine(t, c.a, user)
		require.NotContains(t, old, fresh.RefID)
	}
	require.Empty(t, refresh(t, c.a, ""), "the new ones are of today")
	pids := env.Drivers(c.Gateways...)
	require.Len(t, pids, 4, "the old ones serve on")
	queries := l.count()
	env.Eventually(t, 20*time.Second, "clients work on the old ones", func() bool { return l.count() > queries+4 })
	l.stop()
	l.work.Wait()
	require.Empty(t, l.faults)
	for _, client := range l.clients {
		require.NoError(t, client.Release(t.Context()))
	}
	env.Eventually(t, 30*time.Second, "the old ones end with their last session", func() bool { return len(env.Drivers(c.Gateways...)) == 2 })
	eventually(t, back, func() bool {
		return !slices.ContainsFunc(k.refs(), func(ref string) bool { return slices.Contains(old, ref) })
	},
		"their nodes are gone", func() any { return k.refs() })
}

// TestStopWithEngines of one of two gateways: the engines go on with the other one.
func TestStopWithEngines(t *testing.T) {
	t.Parallel()
	c := start(t, 1, fakes(t, time.Minute))
	require.NoError(t, env.NewSparkClient(t, c.a.GRPC, "alice").Version(t.Context()))
	pid := engine(t, c.a, "alice").PID
	c.a.Signal(syscall.SIGUSR2)
	require.Equal(t, 4, c.a.ExitCode(), c.a.Log())
	require.Contains(t, c.a.Log(), "the engines go on, because another gateway serves them")
	require.True(t, env.Alive(pid))
	c.b.Signal(syscall.SIGUSR2)
	require.Zero(t, c.b.ExitCode(), c.b.Log())
	env.Eventually(t, back, "the last gateway ends them", func() bool { return !env.Alive(pid) })
}

// change changes a line of a gateway's settings.
func change(t *testing.T, g *env.Gateway, line, to string) {
	t.Helper()
	path := filepath.Join(g.Home, "conf", "kyuubi-defaults.conf")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), line)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(text), line, to, 1)), 0o600))
}

// refsRunning are the ref ids of the running engines of a gateway.
func refsRunning(g *env.Gateway) (refs []string) {
	for _, e := range g.Engines() {
		if e.State == "running" {
			refs = append(refs, e.RefID)
		}
	}
	slices.Sort(refs)
	return refs
}

// refresh replaces engines and returns their ref ids.
func refresh(t *testing.T, g *env.Gateway, query string) (refs []string) {
	t.Helper()
	code, body := g.Call(http.MethodPost, "/api/v1/admin/engines/refresh?"+query, "root")
	require.Equal(t, http.StatusOK, code, string(body))
	var all []env.Engine
	require.NoError(t, json.Unmarshal(body, &all))
	for _, e := range all {
		refs = append(refs, e.RefID)
	}
	slices.Sort(refs)
	return refs
}

// TestEngineOverItsAge takes no new session and ends with its last one.
func TestEngineOverItsAge(t *testing.T) {
	t.Parallel()
	c := start(t, 1, fakes(t, time.Minute, "kyuubi.session.engine.spark.max.lifetime", "PT3S", "kyuubi.session.engine.check.interval", "PT1S"))
	k := visit(t, c.ZooKeeper, digest)
	alice := env.NewSparkClient(t, c.a.GRPC, "alice")
	require.NoError(t, alice.Version(t.Context()))
	old := c.a.OnlyEngine()
	for _, g := range c.Gateways {
		env.Eventually(t, 15*time.Second, "it drains", func() bool { return state(g, old.RefID) == "draining" })
	}
	require.NoError(t, env.NewSparkClient(t, c.b.GRPC, "alice").Version(t.Context()))
	require.NoError(t, alice.Version(t.Context()), "its session goes on")
	require.NotEqual(t, old.RefID, refOfNewest(c.b))
	require.NoError(t, alice.Release(t.Context()))
	env.Eventually(t, 30*time.Second, "it ends", func() bool { return !env.Alive(old.PID) && k.nodeOf(old.RefID) == "" })
}

// refOfNewest is the engine of the session that was opened last.
func refOfNewest(g *env.Gateway) string {
	all := g.Sessions()
	return all[len(all)-1].EngineRef
}

// TestAdministratorDeletesANode of a fake engine: it drains at both gateways, whichever
// launched it.
func TestAdministratorDeletesANode(t *testing.T) {
	t.Parallel()
	c := start(t, 1, fakes(t, time.Minute))
	k := visit(t, c.ZooKeeper, digest)
	alice := env.NewSparkClient(t, c.b.GRPC, "alice")
	require.NoError(t, alice.Version(t.Context()))
	old := c.b.OnlyEngine()
	require.NoError(t, k.Delete(k.nodeOf(old.RefID), -1))
	for _, g := range c.Gateways {
		env.Eventually(t, back, "it drains", func() bool { return state(g, old.RefID) == "draining" })
	}
	require.NoError(t, env.NewSparkClient(t, c.a.GRPC, "alice").Version(t.Context()))
	require.Len(t, env.Drivers(c.Gateways...), 2)
	require.NoError(t, alice.Version(t.Context()))
	require.NoError(t, alice.Release(t.Context()))
	env.Eventually(t, 20*time.Second, "it ends", func() bool { return !env.Alive(old.PID) })
	require.True(t, strings.HasPrefix(k.nodeOf(c.a.OnlyEngine().RefID), users+"/alice/default/"))
}
