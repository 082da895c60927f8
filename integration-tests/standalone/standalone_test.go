// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
	"roundhouse/internal/secret"
	pb "roundhouse/proto/gen/spark/connect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// only is the one engine of a gateway, once ok says that it is ready for more.
func only(t *testing.T, g *env.Gateway, ok func(env.Engine) bool) env.Engine {
	t.Helper()
	var found []env.Engine
	env.Eventually(t, time.Minute, "there is one such engine", func() bool {
		found = g.Engines()
		return len(found) == 1 && ok(found[0])
	})
	return found[0]
}

// TestLifeAtAMaster: a query runs on the cluster; its application is killed at
// the master, and the client hears of that and goes on; then the driver
// crashes, and the master has its core back.
func TestLifeAtAMaster(t *testing.T) {
	c := startMaster(t)
	c.addWorker()
	g := env.Start(t, c.settings())

	client := env.StartClient(t, "4.3", "kill_query.py", "--remote", g.Remote("user_id=alice"))
	client.Next("running", 3*time.Minute)
	first := only(t, g, func(e env.Engine) bool { return e.AppState == "RUNNING" })
	seen := c.eventually("the application runs", func(s state) bool { return len(s.Active) == 1 && s.CoresUsed == 1 })
	require.Equal(t, first.Attributes["kyuubi.engine.id"], seen.Active[0].ID)
	require.Contains(t, seen.Active[0].Name, first.RefID)
	requireNoKeys(t, c, g, first, seen.Active[0].ID)

	idle := env.NewSparkClient(t, g.GRPC, "alice") // shares the engine
	require.NoError(t, ask(t, idle))
	killed := time.Now()
	c.kill(seen.Active[0].ID)
	ended := client.Next("ended", 20*time.Second)
	t.Logf("the client heard of it after %v", time.Since(killed))
	require.Regexp(t, "INVALID_HANDLE.SESSION_CHANGED|stopped SparkContext|SparkContext was shut down", ended["text"],
		"a running query may hear of it from Spark itself")
	env.Eventually(t, 30*time.Second, "the driver has ended", func() bool { return !env.Alive(first.PID) })
	err := ask(t, idle)
	require.ErrorContains(t, err, "INVALID_HANDLE.SESSION_CHANGED")
	require.ErrorContains(t, err, "its application "+seen.Active[0].ID+" was ended by "+c.url()+", where it is KILLED now")
	require.NoError(t, ask(t, env.NewSparkClient(t, g.GRPC, "alice")), "the next session has a new engine on the cluster")

	second := only(t, g, func(e env.Engine) bool { return e.RefID != first.RefID && e.AppState == "RUNNING" })
	crashed := time.Now()
	require.NoError(t, syscall.Kill(second.PID, syscall.SIGKILL))
	s := c.eventually("the master has its core back", func(s state) bool { return len(s.Active) == 0 && s.CoresUsed == 0 })
	t.Logf("the master had its core back after %v", time.Since(crashed))
	for _, a := range s.Completed {
		require.Equal(t, strings.Contains(a.Name, second.RefID), a.State == "FINISHED", "%v", a)
	}
	env.Eventually(t, 10*time.Second, "the engine is gone", func() bool { return len(g.Engines()) == 0 })
}

// requireNoKeys looks for the engine's keys where the cluster keeps things: in
// the command lines of its executors and in the files of the worker.
func requireNoKeys(t *testing.T, c *cluster, g *env.Gateway, e env.Engine, appID string) {
	t.Helper()
	cluster, err := secret.LoadOrCreate(filepath.Join(g.Home, "data", "cluster.secret"), false)
	require.NoError(t, err)
	var places []string
	for _, pid := range env.Marked(appID) {
		for _, file := range []string{"cmdline", "environ"} {
			places = append(places, fmt.Sprintf("/proc/%d/%s", pid, file))
		}
	}
	require.NotEmpty(t, places, "the executor of %s is a process here", appID)
	require.NoError(t, filepath.WalkDir(c.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			places = append(places, path)
		}
		return err
	}))
	for _, label := range []string{secret.LabelRPC, secret.LabelRegister, secret.LabelControl} {
		key := secret.Derive(cluster, label, e.RefID)
		for _, place := range places {
			content, err := os.ReadFile(place)
			require.NoError(t, err)
			require.NotContains(t, string(content), key, "%s shows the key %s", place, label)
		}
	}
}

// TestWithoutResources: the held call says what it waits for, and so does REST.
// Once a worker comes the wait ends; the next engine finds no free core.
func TestWithoutResources(t *testing.T) {
	c := startMaster(t)
	g := env.Start(t, c.settings("kyuubi.frontend.spark.connect.max.hold.time", "PT3S"))
	client := env.NewSparkClient(t, g.GRPC, "alice")
	t.Log(hear(t, client, "waiting for resources at "+c.url()+": it has no worker that is alive"))
	waiting := g.Engines()[0]
	require.Equal(t, "starting", waiting.State)
	require.Equal(t, "WAITING", waiting.AppState)
	require.Contains(t, waiting.AppDiagnostic, "no worker that is alive")

	c.addWorker()
	g.OnlyEngine()
	require.NoError(t, ask(t, client))

	// A second engine finds no free core.
	hear(t, env.NewSparkClient(t, g.GRPC, "bob"), "waiting for resources at "+c.url()+": 0 of 1 cores free")
	for _, e := range g.Engines() {
		g.KillEngine(e.RefID)
	}
	c.eventually("both applications are gone", func(s state) bool { return len(s.Active) == 0 && s.CoresUsed == 0 })
}

// hear calls until a held call ends with the words, as Spark's clients do.
func hear(t *testing.T, client *env.SparkClient, words string) string {
	t.Helper()
	var last error
	require.Eventually(t, func() bool {
		last = ask(t, client)
		return status.Code(last) == codes.Unavailable && strings.Contains(last.Error(), words)
	}, time.Minute, 10*time.Millisecond, "the held call does not say %q: %v", words, &last)
	return last.Error()
}

// ask makes the first call of a session.
func ask(t *testing.T, client *env.SparkClient) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := client.Config(ctx, &pb.ConfigRequest{
		SessionId: client.Session, UserContext: &pb.UserContext{UserId: client.User},
		Operation: &pb.ConfigRequest_Operation{OpType: &pb.ConfigRequest_Operation_Get{Get: &pb.ConfigRequest_Get{Keys: []string{"spark.sql.ansi.enabled"}}}},
	})
	return err
}

// TestNoMaster: nothing is started, and the caller knows at once why.
func TestNoMaster(t *testing.T) {
	master := fmt.Sprintf("spark://127.0.0.1:%d", env.FreePort(t))
	g := env.Start(t, map[string]string{"spark.master": master})
	before := time.Now()
	err := ask(t, env.NewSparkClient(t, g.GRPC, "alice"))
	require.Equal(t, codes.FailedPrecondition, status.Code(err), "%v", err)
	require.ErrorContains(t, err, "no master of "+master+" can be reached")
	require.ErrorContains(t, err, "start it, or correct spark.master")
	require.Less(t, time.Since(before), 5*time.Second)
	code, _ := g.Call(http.MethodGet, "/readyz", "")
	require.Equal(t, http.StatusOK, code)
}
