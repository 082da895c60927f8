// SPDX-License-Identifier: Apache-2.0

package restart

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
	"roundhouse/internal/failpoint"
	pb "roundhouse/proto/gen/spark/connect"
)

// settled is how long after the start of its process a gateway may take to have
// adopted or cleaned up what a crash left.
const settled = 30 * time.Second

// variable names the failpoint to a gateway that has them.
const variable = "ROUNDHOUSE_FAILPOINT"

// points are where a launch is cut off.
var points = []string{failpoint.BeforeSpawn, failpoint.Spawned, failpoint.Recorded, failpoint.Registered}

// TestOrdinaryGatewayHasNoFailpoints, not even their names.
func TestOrdinaryGatewayHasNoFailpoints(t *testing.T) {
	for path, want := range map[string]bool{env.Binary(t): false, env.WithFailpoints(t): true} {
		program, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, text := range append([]string{variable}, points...) {
			require.Equalf(t, want, bytes.Contains(program, []byte(text)), "%s in %s", text, path)
		}
	}
}

// TestGatewayKilledInALaunch: the client, which tries again, gets its engine
// from the next gateway, and no second one is ever launched.
func TestGatewayKilledInALaunch(t *testing.T) {
	binary := env.WithFailpoints(t)
	for _, point := range points {
		for _, level := range []string{"USER", "CONNECTION"} {
			t.Run(point+"/"+level, func(t *testing.T) {
				t.Parallel() // clients wait most of the time
				for range env.Count(1, 5) {
					conf := env.FakeSpark(t, "spark.fake.start.delay.ms", "200", "kyuubi.engine.share.level", level)
					killInALaunch(t, cutOff(t, binary, point, conf))
				}
			})
		}
	}
}

// TestGatewayKilledInALaunchOfSpark is the same with real Spark.
// A short run has one point; TestGatewayKilledInAQueryOfSpark has another.
func TestGatewayKilledInALaunchOfSpark(t *testing.T) {
	binary := env.WithFailpoints(t)
	of := points
	if !env.Long() {
		of = []string{failpoint.Recorded}
	}
	for _, point := range of {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			for trial := range env.Count(1, 10) {
				t.Run(fmt.Sprint(trial), func(t *testing.T) { killInALaunch(t, cutOff(t, binary, point, nil)) }) // its gateway ends with it
			}
		})
	}
}

// TestNobodyComesBackToALaunch that a crash cut off: nothing is left of it.
func TestNobodyComesBackToALaunch(t *testing.T) {
	binary := env.WithFailpoints(t)
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			for range env.Count(1, 10) {
				l := cutOff(t, binary, point, env.FakeSpark(t, "spark.fake.start.delay.ms", "200",
					"kyuubi.session.engine.launch.linger", "PT1S", "kyuubi.session.engine.spark.max.initial.wait", "PT2S"))
				l.giveUp()
				<-l.answered
				restarted := time.Now()
				l.Gateway.Start()
				requireNothingLeft(t, l.Gateway, time.Until(restarted.Add(settled)))
				require.LessOrEqual(t, len(folders(t, l.Gateway)), 1, "no second engine")
			}
		})
	}
}

// cutLaunch is a launch whose gateway has killed itself.
type cutLaunch struct {
	*env.Gateway
	client   *env.SparkClient
	answered <-chan error // of the query that the client began before
	giveUp   context.CancelFunc
}

// cutOff starts a query, and so a launch, and waits until the gateway dies at a
// point of it.
func cutOff(t *testing.T, binary, point string, conf map[string]string) cutLaunch {
	t.Helper()
	g := env.Prepare(t, maps.Clone(conf))
	g.Binary, g.Environ = binary, []string{variable + "=" + point}
	g.StartUntilCleanup()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	answered := make(chan error, 1)
	c := env.NewSparkClient(t, g.GRPC, "alice")
	go func() { // waited for by whoever reads answered
		_, err := c.Query(ctx, "SELECT 1", func(*pb.ExecutePlanResponse) error { return nil })
		answered <- err
	}()
	awaitEnd(t, g)
	g.Environ = nil
	return cutLaunch{g, c, answered, cancel}
}

// killInALaunch starts the next gateway and requires that all is well.
func killInALaunch(t *testing.T, l cutLaunch) {
	t.Helper()
	restarted := time.Now()
	l.Gateway.Start()
	env.Eventually(t, time.Until(restarted.Add(settled)), "the gateway knows every driver that there is", func() bool {
		return slices.Equal(l.Gateway.Known(), env.Drivers(l.Gateway))
	})
	adopted := time.Since(restarted)
	select {
	case err := <-l.answered:
		require.NoError(t, err)
	case <-time.After(3 * time.Minute):
		require.FailNow(t, "the client gets no answer", l.Log())
	}
	answered := time.Since(restarted)
	e := l.OnlyEngine()
	require.Equal(t, []int{e.PID}, env.Drivers(l.Gateway))
	require.Len(t, folders(t, l.Gateway), 1, "one engine was ever launched")
	require.Len(t, l.Sessions(), 1)
	for _, file := range leftovers(t, l.Gateway) {
		require.NotContains(t, []string{"spark.properties", "engine.key"}, filepath.Base(file))
	}
	_, err := l.client.Query(t.Context(), "SELECT 1", func(*pb.ExecutePlanResponse) error { return nil })
	require.NoError(t, err)
	t.Logf("adopted or cleaned up %v after the start of the gateway, its client answered after %v",
		adopted.Round(time.Millisecond), answered.Round(time.Millisecond))
	l.KillEngine(e.RefID)
	requireNothingLeft(t, l.Gateway, settled)
}

// TestGatewayKilledWhilePySparkWaits for its first answer: the program goes on
// by itself, whatever its first call is.
func TestGatewayKilledWhilePySparkWaits(t *testing.T) {
	binary := env.WithFailpoints(t)
	for _, version := range []string{"4.3", "4.0"} {
		for _, first := range []string{"execute", "analyze", "config", "artifact"}[:env.Count(1, 4)] {
			t.Run(version+"/"+first, func(t *testing.T) {
				t.Parallel()
				g := env.Prepare(t, env.FakeSpark(t, "spark.fake.start.delay.ms", "200"))
				g.Binary, g.Environ = binary, []string{variable + "=" + failpoint.Recorded}
				g.StartUntilCleanup()
				c := env.StartClient(t, version, "hold.py", "--remote", g.Remote("user_id=alice"), "--first", first)
				awaitEnd(t, g)
				g.Environ = nil
				g.Start()
				c.Next("answered", time.Minute)
				require.Len(t, folders(t, g), 1, "one engine was ever launched")
				require.Equal(t, g.Known(), env.Drivers(g))
			})
		}
	}
}

// awaitEnd waits until the gateway has killed itself.
func awaitEnd(t *testing.T, g *env.Gateway) {
	t.Helper()
	select {
	case <-g.Over():
	case <-time.After(time.Minute):
		require.FailNow(t, "the gateway did not pass the failpoint", g.Log())
	}
}
