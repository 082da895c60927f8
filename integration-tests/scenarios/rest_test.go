// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// openByREST opens a session ahead of its client and returns its id and its
// connection string.
func openByREST(t *testing.T, g *env.Gateway, user, configs string) (id, remote string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+g.REST+"/api/v1/sessions", strings.NewReader(`{"configs":`+configs+`}`))
	require.NoError(t, err)
	req.SetBasicAuth(user, "")
	req.Header.Set("Content-Type", "application/json")
	r, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = r.Body.Close() }()
	var handle struct{ Identifier, Remote string }
	require.NoError(t, json.NewDecoder(r.Body).Decode(&handle))
	require.NotEmpty(t, handle.Identifier, r.Status)
	return handle.Identifier, handle.Remote
}

// TestSessionOpenedByREST: its engine is launched at once, with the options
// asked for, and the client that comes with the returned line finds it.
func TestSessionOpenedByREST(t *testing.T) {
	g := env.Start(t, env.FakeSpark(t))
	id, remote := openByREST(t, g, "alice", `{"spark.driver.memory":"700m"}`)
	require.Contains(t, remote, "sc://"+g.GRPC)
	require.Contains(t, remote, id)
	require.Equal(t, "700m", g.OnlyEngine().Attributes["spark.driver.memory"])
	c := newGoClient(t, g, "alice")
	c.session = id
	require.NoError(t, c.version(t.Context()))
	require.EqualValues(t, 1, g.Metric(launches))

	code, _ := g.Call(http.MethodGet, "/api/v1/sessions/"+id, "bob")
	require.Equal(t, http.StatusOK, code, "without authentication everybody is an administrator, as in Kyuubi")
	code, _ = g.Call(http.MethodDelete, "/api/v1/sessions/"+id, "alice")
	require.Equal(t, http.StatusOK, code)
	require.ErrorContains(t, c.version(t.Context()), "SESSION_CHANGED")
}

// TestFailedLaunchOfASessionOpenedByREST is told to the client that comes later.
func TestFailedLaunchOfASessionOpenedByREST(t *testing.T) {
	g := env.Start(t, env.FakeSpark(t, "spark.fake.exit.code", "1", "spark.fake.stderr", "java.lang.OutOfMemoryError: none left"))
	id, _ := openByREST(t, g, "alice", `{}`)
	env.Eventually(t, 20*time.Second, "the launch fails", func() bool { return len(g.Sessions()) == 0 })
	c := newGoClient(t, g, "alice")
	c.session = id
	require.ErrorContains(t, c.version(t.Context()), "none left")
	require.EqualValues(t, 1, g.Metric(launches))
}

// TestQuickstart is the first thing that a user does.
func TestQuickstart(t *testing.T) {
	env.SparkHome(t)
	cmd := exec.Command("make", "quickstart", fmt.Sprintf("PORT=%d", env.FreePort(t)), fmt.Sprintf("REST_PORT=%d", env.FreePort(t)))
	cmd.Dir = env.Root(t)
	cmd.Env = append(os.Environ(), "SPARK_HOME=", "KEEP=", "MAKEFLAGS=")
	out := env.Run(t, cmd)
	require.Contains(t, out, "local-", "the application id of the engine that served it")
	require.NotContains(t, out, "SPARK_REMOTE=", "nobody answers there any more")
	for _, place := range []string{"make quickstart KEEP=1", "docs/settings.md", "log"} {
		require.Contains(t, out, place)
	}
}
