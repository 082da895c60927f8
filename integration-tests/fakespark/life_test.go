// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/engine/control"
	"roundhouse/engine/enginetest"
	"roundhouse/internal/secret"
	connect "roundhouse/proto/gen/spark/connect"
)

func TestRegisters(t *testing.T) {
	g := newGateway(t, welcoming)
	r := start(t, g.URL, nil)
	puts := g.await(t, http.MethodPut, 2)
	r.signed(t, puts[0])
	r.signed(t, puts[1])
	n := node(t, puts[0])
	require.Equal(t, r.refID, n.RefID)
	require.Equal(t, "2g", n.Attributes["spark.driver.memory"])
	mac := secret.MAC(r.keys.register, "roundhouse-registration-v1", testPath, n.Address, n.Attributes["control"], "", r.refID)
	require.Equal(t, mac, n.Attributes["mac"])
	require.NoFileExists(t, filepath.Join(r.dir, "engine.key"))
	require.Contains(t, r.log.String(), "INFO SparkConnectServer: Spark Connect server started at: "+n.Address)
	for _, key := range []string{r.keys.rpc, r.keys.register, r.keys.control} {
		require.NotContains(t, r.log.String(), key)
	}
}

func TestConnectPortNeedsItsKey(t *testing.T) {
	g := newGateway(t, welcoming)
	r := start(t, g.URL, nil)
	n := node(t, g.await(t, http.MethodPut, 1)[0])
	r.open(t, n)
	stub, ctx := r.stub(t, n, "another")
	_, err := stub.Config(ctx, &connect.ConfigRequest{})
	require.Equal(t, codes.Unauthenticated, status.Code(err))
}

func TestControlEndpoint(t *testing.T) {
	g := newGateway(t, welcoming)
	r := start(t, g.URL, nil)
	n := node(t, g.await(t, http.MethodPut, 1)[0])
	id := r.open(t, n)
	s, err := r.control(t, n).Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, r.refID, s.RefID)
	require.Equal(t, "running", s.State)
	require.Len(t, s.Sessions, 1)
	require.Equal(t, "alice", s.Sessions[0].User)
	require.Equal(t, id, s.Sessions[0].SessionID)

	stranger := control.New(n.Attributes["control"], "another key")
	t.Cleanup(stranger.Close)
	_, err = stranger.Status(t.Context())
	require.ErrorIs(t, err, control.ErrUnauthorized)
}

func TestControlEndpointRefuses(t *testing.T) {
	g := newGateway(t, welcoming)
	r := start(t, g.URL, nil)
	n := node(t, g.await(t, http.MethodPut, 1)[0])
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, c := range []struct {
		method, path string
		bytes, code  int
	}{
		{http.MethodGet, "/v1/nothing", 0, http.StatusNotFound},
		{http.MethodPost, "/v1/status", 0, http.StatusMethodNotAllowed},
		{http.MethodGet, "/v1/stop", 0, http.StatusMethodNotAllowed},
		{http.MethodPost, "/v1/drain", maxBody + 1, http.StatusRequestEntityTooLarge},
		{http.MethodGet, "/v1/hold", 0, http.StatusMethodNotAllowed},
		{http.MethodPost, "/v1/hold", 0, http.StatusBadRequest},
		{http.MethodGet, "/v1/events?after=x", 0, http.StatusBadRequest},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+n.Attributes["control"]+c.path, zeros(c.bytes))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+r.keys.control)
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, c.code, resp.StatusCode, c.path)
	}
}

func TestIdleSessionThenIdleEngine(t *testing.T) {
	g := newGateway(t, func(method string, n int) (int, string) {
		if method == http.MethodDelete && n == 1 {
			return http.StatusConflict, "" // a session was just routed here
		}
		return welcoming(method, n)
	})
	r := start(t, g.URL, map[string]string{
		"spark.kyuubi.session.idle.timeout": "400", "spark.kyuubi.session.engine.idle.timeout": "400",
	})
	n := node(t, g.await(t, http.MethodPut, 1)[0])
	id := r.open(t, n)
	c := r.control(t, n)
	opened, err := c.Events(t.Context(), 0, 10*time.Second)
	require.NoError(t, err)
	require.Equal(t, control.SessionOpened, opened.Events[0].Type)
	closed, err := c.Events(t.Context(), opened.Last, 10*time.Second)
	require.NoError(t, err)
	require.Equal(t, control.SessionClosed, closed.Events[0].Type)
	require.Equal(t, "idle", closed.Events[0].Reason)
	require.Equal(t, id, closed.Events[0].SessionID)

	deletes := g.await(t, http.MethodDelete, 2)
	r.signed(t, deletes[0])
	require.Equal(t, "idle", deletes[1].field(t, "reason"))
	require.Equal(t, exitOrderly, r.exitCode(t))
}

func TestReleasedSession(t *testing.T) {
	g := newGateway(t, welcoming)
	r := start(t, g.URL, nil)
	n := node(t, g.await(t, http.MethodPut, 1)[0])
	id := r.open(t, n)
	stub, ctx := r.stub(t, n, r.keys.rpc)
	_, err := stub.ReleaseSession(ctx, &connect.ReleaseSessionRequest{SessionId: id, UserContext: &connect.UserContext{UserId: "alice"}})
	require.NoError(t, err)
	c := r.control(t, n)
	var last control.Event
	require.Eventually(t, func() bool {
		e, err := c.Events(t.Context(), 0, 0)
		if err == nil && len(e.Events) == 2 {
			last = e.Events[1]
		}
		return last.Seq == 2
	}, waitLimit, pollEvery)
	require.Equal(t, "released", last.Reason)
}

func TestEngineEnds(t *testing.T) {
	for name, c := range map[string]struct {
		props  map[string]string
		do     func(*testing.T, *control.Client)
		reason string
	}{
		"unused":   {props: map[string]string{"spark.kyuubi.session.engine.spark.max.initial.wait": "300"}, reason: "unused"},
		"lifetime": {props: map[string]string{"spark.kyuubi.session.engine.spark.max.lifetime": "300"}, reason: "lifetime"},
		"stop": {do: func(t *testing.T, c *control.Client) {
			require.NoError(t, c.Order(t.Context(), control.OrderStop, "admin"))
		}, reason: "stopped"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, welcoming)
			r := start(t, g.URL, c.props)
			n := node(t, g.await(t, http.MethodPut, 1)[0])
			if c.do != nil {
				c.do(t, r.control(t, n))
			}
			require.Equal(t, exitOrderly, r.exitCode(t), r.log.String())
			require.Equal(t, c.reason, g.seen(http.MethodDelete)[0].field(t, "reason"))
		})
	}
}

func TestGatewayAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		code, exit int
	}{"refused": {http.StatusForbidden, exitFailure}, "unwanted": {http.StatusGone, exitOrderly}} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(string, int) (int, string) { return c.code, "" })
			require.Equal(t, c.exit, start(t, g.URL, nil).exitCode(t))
		})
	}
}

func TestRetriesWhileTheGatewayIsAway(t *testing.T) {
	g := newGateway(t, func(method string, n int) (int, string) {
		if n <= 2 {
			return http.StatusServiceUnavailable, ""
		}
		return welcoming(method, n)
	})
	r := start(t, g.URL, nil)
	g.await(t, http.MethodPut, 4)
	require.Contains(t, r.log.String(), "is registered at")
}

func TestGivesUpWhenNeverRegistered(t *testing.T) {
	g := newGateway(t, func(string, int) (int, string) { return http.StatusServiceUnavailable, "" })
	r := start(t, g.URL, map[string]string{"spark.kyuubi.session.engine.initialize.timeout": "500"})
	require.Equal(t, exitFailure, r.exitCode(t))
}

func TestLaunchFaults(t *testing.T) {
	g := newGateway(t, welcoming)
	r := start(t, g.URL, map[string]string{"spark.fake.exit.code": "7", "spark.fake.stderr": "no such master"})
	require.Equal(t, 7, r.exitCode(t))
	require.Contains(t, r.log.String(), "no such master")

	r = start(t, g.URL, map[string]string{"spark.kyuubi.engine.submit.time": "1000"})
	require.Equal(t, exitFailure, r.exitCode(t), "it started too late")

	r = start(t, g.URL, map[string]string{"spark.fake.hang": "true"})
	r.stop()
	require.Equal(t, exitSignal, r.exitCode(t))

	r = start(t, g.URL, map[string]string{"spark.fake.register": "false"})
	require.Eventually(t, func() bool { return len(r.log.String()) > 0 }, waitLimit, pollEvery)
	r.stop()
	require.Equal(t, exitSignal, r.exitCode(t))

	r = start(t, g.URL, map[string]string{"spark.fake.start.delay.ms": "soon"})
	require.Equal(t, exitFailure, r.exitCode(t))
	require.Contains(t, r.log.String(), `Exception in thread "main"`)
	require.Contains(t, r.log.String(), "spark.fake.start.delay.ms")

	require.Empty(t, g.seen(http.MethodPut))
	require.Equal(t, exitFailure, run(t.Context(), []string{"--conf", "a=b"}, &lockedBuffer{}), "an argument vector of another shape")
}

func TestRunningFault(t *testing.T) {
	g := newGateway(t, welcoming)
	r := start(t, g.URL, map[string]string{"spark.fake.run.exit.after.ms": "50"})
	require.Equal(t, exitFailure, r.exitCode(t))
	require.Contains(t, r.log.String(), "java.lang.OutOfMemoryError")
}

// TestProcess runs the built spark-submit: signals and SIGKILL need a process.
func TestProcess(t *testing.T) {
	submit := filepath.Join(enginetest.BuildFakeSparkHome(t), "bin", "spark-submit")
	launch := func(t *testing.T, props map[string]string) (*exec.Cmd, *gateway) {
		g := newGateway(t, welcoming)
		s := prepare(t, g.URL, props)
		cmd := exec.Command(submit, s.args...)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		return cmd, g
	}
	t.Run("SIGTERM", func(t *testing.T) {
		cmd, g := launch(t, nil)
		n := node(t, g.await(t, http.MethodPut, 1)[0])
		require.Equal(t, strconv.Itoa(cmd.Process.Pid), n.Attributes["pid"])
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.Error(t, cmd.Wait())
		require.Equal(t, exitSignal, cmd.ProcessState.ExitCode())
		require.Equal(t, "stopped", g.seen(http.MethodDelete)[0].field(t, "reason"))
	})
	for name, props := range map[string]map[string]string{
		"dies in its launch":          {"spark.fake.die.after.ms": "50", "spark.fake.start.delay.ms": "60000"},
		"dies after its registration": {"spark.fake.run.die.after.ms": "50"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, g := launch(t, props)
			require.Error(t, cmd.Wait())
			require.Equal(t, syscall.SIGKILL, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
			require.Empty(t, g.seen(http.MethodDelete))
		})
	}
}
