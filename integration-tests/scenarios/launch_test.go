// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

// goClient is a client of the stubs, as a Go program is one.
type goClient struct {
	pb.SparkConnectServiceClient
	session string
	user    string
}

func newGoClient(t *testing.T, g *env.Gateway, user string) goClient {
	t.Helper()
	conn, err := grpc.NewClient(g.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return goClient{pb.NewSparkConnectServiceClient(conn), uuid.NewString(), user}
}

// version asks for Spark's version: the cheapest call that opens a session.
func (c goClient) version(ctx context.Context) error {
	_, err := c.AnalyzePlan(ctx, &pb.AnalyzePlanRequest{
		SessionId: c.session, UserContext: &pb.UserContext{UserId: c.user},
		Analyze: &pb.AnalyzePlanRequest_SparkVersion_{SparkVersion: &pb.AnalyzePlanRequest_SparkVersion{}},
	})
	return err
}

func (c goClient) release(ctx context.Context) error {
	_, err := c.ReleaseSession(ctx, &pb.ReleaseSessionRequest{SessionId: c.session, UserContext: &pb.UserContext{UserId: c.user}})
	return err
}

// TestFiftyColdSessionsOfOneUserShareOneEngine on real Spark.
func TestFiftyColdSessionsOfOneUserShareOneEngine(t *testing.T) {
	g := env.Start(t, nil)
	c := env.StartClient(t, "4.3", "many.py", "--remote", g.Remote(), "50")
	all := c.Next("all", 5*time.Minute)
	require.EqualValues(t, 50, all["sessions"])
	require.Len(t, all["engines"], 1)
	require.EqualValues(t, 1, g.Metric(launches))
	code, _ := c.Wait(time.Minute)
	require.Zero(t, code)
}

// TestLaunchThatNobodyWaitsFor is cancelled after the linger time, and nothing
// is left of it.
func TestLaunchThatNobodyWaitsFor(t *testing.T) {
	g := env.Start(t, env.FakeSpark(t, "spark.fake.start.delay.ms", "60000", "kyuubi.session.engine.launch.linger", "PT2S"))
	c := newGoClient(t, g, "alice")
	leave(t, g, c)
	pid := g.Engines()[0].PID
	env.Eventually(t, 10*time.Second, "the launch is cancelled", func() bool { return len(g.Engines()) == 0 && !env.Alive(pid) })
}

// leave begins a call on a cold gateway and gives it up.
func leave(t *testing.T, g *env.Gateway, c goClient) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() { got <- c.version(ctx) }()
	env.Eventually(t, 10*time.Second, "the launch begins", func() bool { return len(g.Engines()) == 1 && g.Engines()[0].PID != 0 })
	cancel()
	require.Equal(t, codes.Canceled, status.Code(<-got))
}

// TestReturnWithinTheLingerIsTheSameLaunch: a client that loses its connection
// while it waits finds its engine.
func TestReturnWithinTheLingerIsTheSameLaunch(t *testing.T) {
	g := env.Start(t, env.FakeSpark(t, "spark.fake.start.delay.ms", "3000", "kyuubi.session.engine.launch.linger", "PT1M"))
	c := newGoClient(t, g, "alice")
	leave(t, g, c)
	ref := g.Engines()[0].RefID
	require.NoError(t, c.version(t.Context()))
	require.Equal(t, ref, g.OnlyEngine().RefID)
	require.EqualValues(t, 1, g.Metric(launches))
}

// TestReleaseCancelsTheLaunchAtOnce, whatever the linger time.
func TestReleaseCancelsTheLaunchAtOnce(t *testing.T) {
	g := env.Start(t, env.FakeSpark(t, "spark.fake.start.delay.ms", "60000"))
	c := newGoClient(t, g, "alice")
	got := make(chan error, 1)
	go func() { got <- c.version(t.Context()) }()
	env.Eventually(t, 10*time.Second, "the launch begins", func() bool { return len(g.Engines()) == 1 && g.Engines()[0].PID != 0 })
	pid := g.Engines()[0].PID
	require.NoError(t, c.release(t.Context()))
	require.ErrorContains(t, <-got, "SESSION_CLOSED")
	env.Eventually(t, 10*time.Second, "the launch is cancelled", func() bool { return len(g.Engines()) == 0 && !env.Alive(pid) })
}

// TestLaunchesThatFailSayWhy: in seconds where the cause is known in seconds.
// What is not there at the start of the gateway is a start-up error already, so
// some things vanish after it.
func TestLaunchesThatFailSayWhy(t *testing.T) {
	dir := t.TempDir()
	for _, program := range []string{"one/bin/spark-submit", "two/bin/spark-submit", "no.jar"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, program)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, program), nil, 0o755))
	}
	for name, c := range map[string]struct {
		conf   map[string]string
		within time.Duration
		says   []string
		gone   string // below dir, after the start
	}{
		"spark-submit fails": {
			env.FakeSpark(t, "spark.fake.exit.code", "1", "spark.fake.stderr", "Exception in thread \"main\" org.apache.spark.SparkException: Master must start with yarn"),
			10 * time.Second, []string{"Master must start with yarn", "engine.log"}, "",
		},
		"spark-submit is missing": {
			env.With(nil, "kyuubi.engineEnv.SPARK_HOME", filepath.Join(dir, "one")), 5 * time.Second, []string{"bin/spark-submit", "SPARK_HOME"}, "one/bin",
		},
		"there is no such Spark": {
			env.With(nil, "kyuubi.engineEnv.SPARK_HOME", filepath.Join(dir, "two")), 5 * time.Second, []string{dir + "/two", "SPARK_HOME"}, "two",
		},
		"spark-submit hangs": {
			env.FakeSpark(t, "spark.fake.hang", "true", "kyuubi.session.engine.initialize.timeout", "PT3S"),
			15 * time.Second, []string{"kyuubi.session.engine.initialize.timeout"}, "",
		},
		"the plugin never registers": {
			env.FakeSpark(t, "spark.fake.register", "false", "kyuubi.session.engine.initialize.timeout", "PT3S"),
			15 * time.Second, []string{"kyuubi.session.engine.initialize.timeout"}, "",
		},
		"the engine dies during the launch": {
			env.FakeSpark(t, "spark.fake.start.delay.ms", "30000", "spark.fake.die.after.ms", "500"),
			10 * time.Second, []string{"engine.log"}, "",
		},
		"the plugin jar is missing": {
			env.FakeSpark(t, "kyuubi.session.engine.spark.main.resource", filepath.Join(dir, "no.jar")),
			5 * time.Second, []string{"no.jar", "kyuubi.session.engine.spark.main.resource"}, "no.jar",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := env.Start(t, c.conf)
			if c.gone != "" {
				require.NoError(t, os.RemoveAll(filepath.Join(dir, c.gone)))
			}
			started := time.Now()
			err := newGoClient(t, g, "alice").version(t.Context())
			require.Less(t, time.Since(started), c.within)
			require.Equal(t, codes.FailedPrecondition, status.Code(err), err)
			require.Contains(t, err.Error(), "[GATEWAY.ENGINE_LAUNCH_")
			for _, words := range c.says {
				require.Contains(t, err.Error(), words)
			}
			t.Log(status.Convert(err).Message())
			env.Eventually(t, 5*time.Second, "nothing is left", func() bool { return len(g.Engines()) == 0 })
		})
	}
}

// TestFailedLaunchInPySpark: the program reads one clear text, after one launch.
func TestFailedLaunchInPySpark(t *testing.T) {
	for _, client := range []string{"4.0", "4.3"} {
		t.Run(client, func(t *testing.T) {
			g := env.Start(t, env.FakeSpark(t, "spark.fake.exit.code", "1", "spark.fake.stderr", "Exception in thread \"main\" java.lang.OutOfMemoryError: none left"))
			c := env.StartClient(t, client, "hold.py", "--remote", g.Remote(), "--first", "execute")
			failed := c.Next("failed", time.Minute)
			require.Contains(t, text(failed, "text"), "[GATEWAY.ENGINE_LAUNCH_FAILED]")
			require.Contains(t, text(failed, "text"), "none left")
			require.EqualValues(t, 1, g.Metric(launches))
		})
	}
}

// TestSlowEngine: the first call is held until the engine is there, with any
// client.
func TestSlowEngine(t *testing.T) {
	delay := env.Duration(12*time.Second, 90*time.Second)
	for _, client := range []string{"4.0", "4.3"} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			g := env.Start(t, env.FakeSpark(t, "spark.fake.start.delay.ms", fmt.Sprint(delay.Milliseconds())))
			c := env.StartClient(t, client, "hold.py", "--remote", g.Remote(), "--first", "config")
			answered := c.Next("answered", delay+time.Minute)
			require.GreaterOrEqual(t, number(answered, "seconds"), delay.Seconds()-1)
			require.EqualValues(t, 1, g.Metric(launches))
		})
	}
}

// TestSlowEngineOutlastsTheHold: a call that cannot be held any longer is
// answered so that the client comes back by itself to the same launch.
func TestSlowEngineOutlastsTheHold(t *testing.T) {
	for _, client := range []string{"4.0", "4.3"} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			g := env.Start(t, env.FakeSpark(t, "spark.fake.start.delay.ms", "12000", "kyuubi.frontend.spark.connect.max.hold.time", "PT2S"))
			c := env.StartClient(t, client, "hold.py", "--remote", g.Remote(), "--first", "config")
			c.Next("answered", 2*time.Minute)
			require.EqualValues(t, 1, g.Metric(launches))
		})
	}
}

// TestHeldCallTellsWhatGoesOn when the client's deadline comes first.
func TestHeldCallTellsWhatGoesOn(t *testing.T) {
	g := env.Start(t, env.FakeSpark(t, "spark.fake.start.delay.ms", "60000"))
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	err := newGoClient(t, g, "alice").version(ctx)
	require.Equal(t, codes.Unavailable, status.Code(err), err)
	require.Contains(t, err.Error(), "[GATEWAY.ENGINE_STARTING]")
	require.Contains(t, err.Error(), g.Engines()[0].RefID)
}

// TestGoClientByTheURLForm: options as metadata, in lower case.
func TestGoClientByTheURLForm(t *testing.T) {
	g := env.Start(t, env.FakeSpark(t))
	c := newGoClient(t, g, "alice")
	_, err := c.Config(withOption(t.Context(), "spark.executor.memory", "2g"), &pb.ConfigRequest{
		SessionId: c.session, UserContext: &pb.UserContext{UserId: "alice"}, ClientType: proto.String("go"),
		Operation: &pb.ConfigRequest_Operation{OpType: &pb.ConfigRequest_Operation_GetAll{GetAll: &pb.ConfigRequest_GetAll{}}},
	})
	require.NoError(t, err)
	require.Equal(t, "2048m", g.OnlyEngine().Attributes["spark.executor.memory"])
}

// TestFilesOfAnEndedEngine: what is secret goes with the registration, all but
// the log with the end.
func TestFilesOfAnEndedEngine(t *testing.T) {
	g := env.Start(t, env.FakeSpark(t))
	require.NoError(t, newGoClient(t, g, "alice").version(t.Context()))
	e := g.OnlyEngine()
	dir := filepath.Dir(e.Log)
	for _, secret := range []string{"engine.key", "spark.properties"} {
		_, err := os.Stat(filepath.Join(dir, secret))
		require.ErrorIs(t, err, os.ErrNotExist, secret)
	}
	g.KillEngine(e.RefID)
	env.Eventually(t, 10*time.Second, "only the log is left", func() bool {
		left, _ := os.ReadDir(dir)
		return len(left) == 1 && left[0].Name() == "engine.log"
	})
}
