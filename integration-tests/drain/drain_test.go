// SPDX-License-Identifier: Apache-2.0

// Package drain stops gateways in an orderly way while clients use them: nobody
// sees an error that Spark's clients do not retry, engines live on, and the
// gateway is gone in time.
package drain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/engine/enginetest"
	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), // of http.DefaultClient in env
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// drainTime is kyuubi.server.graceful.shutdown.timeout in these tests.
const drainTime = 8 * time.Second

// requireGoElsewhere says that err makes Spark's clients try again, elsewhere or a
// moment later.
func requireGoElsewhere(t *testing.T, err error) {
	t.Helper()
	s := status.Convert(err)
	require.Equal(t, codes.Unavailable, s.Code(), "%v", err)
	require.Contains(t, s.Message(), "GATEWAY.SHUTTING_DOWN")
	retry := false
	for _, d := range s.Details() {
		_, is := d.(*errdetails.RetryInfo)
		retry = retry || is
	}
	require.True(t, retry, "%v", err)
}

// stream runs SQL and returns when its first response has come; its end goes to the
// channel, which holds it.
func stream(t *testing.T, c *env.SparkClient, sql string) <-chan error {
	t.Helper()
	operation := uuid.NewString()
	s, err := c.ExecutePlan(t.Context(), &pb.ExecutePlanRequest{
		SessionId: c.Session, UserContext: c.UserContext(), OperationId: &operation,
		Plan: &pb.Plan{OpType: &pb.Plan_Root{Root: &pb.Relation{RelType: &pb.Relation_Sql{Sql: &pb.SQL{Query: sql}}}}},
		RequestOptions: []*pb.ExecutePlanRequest_RequestOption{{
			RequestOption: &pb.ExecutePlanRequest_RequestOption_ReattachOptions{ReattachOptions: &pb.ReattachOptions{Reattachable: true}},
		}},
	})
	require.NoError(t, err)
	_, err = s.Recv()
	require.NoError(t, err)
	end := make(chan error, 1)
	go func() { end <- read(s) }() // ends with the stream, that is with the test at the latest
	return end
}

func read(s grpc.ServerStreamingClient[pb.ExecutePlanResponse]) error {
	for {
		if _, err := s.Recv(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// soon takes what must come within a time.
func soon(t *testing.T, what string, within time.Duration, from <-chan error) error {
	t.Helper()
	select {
	case err := <-from:
		return err
	case <-time.After(within):
		require.FailNow(t, "it did not come: "+what)
		return nil
	}
}

// stop runs a command of the gateway's program; the channel gets what it said and
// whether it failed.
func stop(t *testing.T, g *env.Gateway, args ...string) (said *strings.Builder, over <-chan error) {
	t.Helper()
	said = &strings.Builder{}
	cmd := exec.Command(g.Binary, append([]string{"stop"}, args...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = g.Env(), said, said
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the gateway
	return said, ended
}

// TestStop with a call that waits for its engine, one that ends in time and two that
// do not.
func TestStop(t *testing.T) {
	g := env.Start(t, env.FakeSpark(t, "kyuubi.server.graceful.shutdown.timeout", fmt.Sprintf("PT%dS", drainTime/time.Second),
		"___bob___.spark.fake.start.delay.ms", "9000"))
	alice, bob := env.NewSparkClient(t, g.GRPC, "alice"), env.NewSparkClient(t, g.GRPC, "bob")
	require.NoError(t, alice.Version(t.Context()))
	e := g.OnlyEngine()
	held := make(chan error, 1)
	go func() { held <- bob.Version(t.Context()) }() // answered below
	env.Eventually(t, 20*time.Second, "bob's engine starts", func() bool { return len(g.Engines()) == 2 })
	short := stream(t, alice, "SELECT java_method('java.lang.Thread', 'sleep', 2500L)")
	long := stream(t, alice, "SELECT java_method('java.lang.Thread', 'sleep', 60000L)")
	const rows = 1000 // in batches of 10, each after 100 ms
	rest := query(t.Context(), alice, fmt.Sprintf("SELECT * FROM rows(%d, 80, 100)", rows))
	sessions := len(g.Sessions())

	began := time.Now()
	said, stopped := stop(t, g)
	requireGoElsewhere(t, soon(t, "the answer to the call that waits", 3*time.Second, held))
	requireNoNewClients(t, g, alice)
	require.Len(t, g.Sessions(), sessions, "no session was opened")
	require.NoError(t, soon(t, "the end of the short query", drainTime, short))
	require.Less(t, time.Since(began), drainTime-3*time.Second, "it was not cut")
	requireGoElsewhere(t, soon(t, "the cut of the long query", drainTime, long))
	require.NoError(t, soon(t, "the end of stop", drainTime, stopped), said)
	<-g.Over()
	took := time.Since(began)
	t.Logf("stopped after %v:\n%s", took.Round(time.Millisecond), said)
	require.Less(t, took, drainTime)
	require.Zero(t, g.ExitCode(), g.Log())
	require.Contains(t, said.String(), "It waits for ")
	require.True(t, env.Alive(e.PID), "engines live on")

	g.Start()
	got := <-rest
	require.NoError(t, got.err)
	require.EqualValues(t, rows, got.rows)
	require.NotZero(t, got.story.Retried, "it was cut")
	require.NoError(t, alice.Version(t.Context()))
	require.NoError(t, bob.Version(t.Context()), "its launch was taken over")
	require.Len(t, g.Engines(), 2)
}

// TestStopUnderPySpark with real Spark: a stop while the engine starts, and one in
// the middle of a query, are nothing that a program would notice.
func TestStopUnderPySpark(t *testing.T) {
	g := env.Start(t, map[string]string{"kyuubi.server.graceful.shutdown.timeout": "PT3S", "spark.driver.memory": "700m"})
	var clients []*env.Client
	for _, version := range []string{"4.3", "4.0"} {
		clients = append(clients, env.StartClient(t, version, "cut_off.py", "--remote", g.Remote("user_id=alice"), "--seconds", "8"))
	}
	restart := func() {
		said, stopped := stop(t, g)
		require.NoError(t, soon(t, "the end of stop", time.Minute, stopped), said)
		<-g.Over()
		require.Zero(t, g.ExitCode(), g.Log())
		g.Start()
	}
	env.Eventually(t, 2*time.Minute, "both clients wait for the engine", func() bool {
		all := g.Engines()
		return len(all) == 1 && all[0].Sessions == len(clients)
	})
	restart()
	for _, c := range clients {
		c.Next("running", 4*time.Minute)
	}
	pid := g.OnlyEngine().PID
	restart()
	for _, c := range clients {
		rows := c.Next("rows", 3*time.Minute)
		require.Equal(t, true, rows["complete"], rows)
		code, _ := c.Wait(time.Minute)
		require.Zero(t, code)
	}
	require.Equal(t, pid, g.OnlyEngine().PID)
}

// requireNoNewClients: a gateway that ends takes neither a call on the connection of
// c nor a session over REST, and says so to balancers.
func requireNoNewClients(t *testing.T, g *env.Gateway, c *env.SparkClient) {
	t.Helper()
	fresh := &env.SparkClient{SparkConnectServiceClient: c.SparkConnectServiceClient, Session: uuid.NewString(), User: "alice"}
	require.Equal(t, codes.Unavailable, status.Code(fresh.Version(t.Context())))
	for _, what := range [][2]string{{http.MethodGet, "/readyz"}, {http.MethodPost, "/api/v1/sessions"}} {
		code, body := g.Call(what[0], what[1], "alice")
		require.Equal(t, http.StatusServiceUnavailable, code, "%v: %s", what, body)
	}
	code, body := g.Call(http.MethodGet, "/api/v1/admin/server", "root")
	require.Equal(t, http.StatusOK, code, string(body))
	require.Contains(t, string(body), `"Draining"`)
}

// outcome is how a query went.
type outcome struct {
	rows  int64
	story env.Story
	err   error
}

// query runs SQL as Spark's clients do, whatever happens to the gateway.
func query(ctx context.Context, c *env.SparkClient, sql string) <-chan outcome {
	over := make(chan outcome, 1)
	go func() { // the test waits for the outcome
		var check enginetest.RowCheck
		story, err := c.Query(ctx, sql, check.Add)
		over <- outcome{check.Rows, story, err}
	}()
	return over
}

// TestStopNow does not wait for streams; engines and queries go on.
func TestStopNow(t *testing.T) {
	g := env.Start(t, env.FakeSpark(t))
	c := env.NewSparkClient(t, g.GRPC, "alice")
	require.NoError(t, c.Version(t.Context()))
	e := g.OnlyEngine()
	cut := stream(t, c, "SELECT java_method('java.lang.Thread', 'sleep', 60000L)")
	const rows = 300
	rest := query(t.Context(), c, fmt.Sprintf("SELECT * FROM rows(%d, 80, 100)", rows))
	began := time.Now()
	said, stopped := stop(t, g, "--now")
	require.NoError(t, soon(t, "the end of stop --now", 5*time.Second, stopped), said)
	t.Logf("stopped after %v", time.Since(began).Round(time.Millisecond))
	<-g.Over()
	require.Equal(t, codes.Unavailable, status.Code(soon(t, "the end of the stream", time.Second, cut)))
	require.True(t, env.Alive(e.PID))
	g.Start()
	got := <-rest
	require.NoError(t, got.err)
	require.EqualValues(t, rows, got.rows)
	require.Equal(t, e.PID, g.OnlyEngine().PID)
}
