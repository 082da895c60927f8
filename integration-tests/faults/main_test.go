// SPDX-License-Identifier: Apache-2.0

// Package faults breaks what is around the gateway: links to clients and
// engines, disks, descriptors, and asks whether rows are complete, errors clear,
// and nothing is left behind. README.md lists the traps in which other
// gateways were seen, and the test of each. `make test` runs the tests scaled
// down, `make test-long` in full.
package faults

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/engine/enginetest"
	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // they wait more than they work
		panic(err)
	}
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// fake returns the settings of a gateway with fake engines, and the given ones.
func fake(t *testing.T, pairs ...string) map[string]string {
	t.Helper()
	conf := map[string]string{"kyuubi.engineEnv.SPARK_HOME": enginetest.BuildFakeSparkHome(t)}
	for i := 0; i < len(pairs); i += 2 {
		conf[pairs[i]] = pairs[i+1]
	}
	return conf
}

// hops is a gateway with fake engines and a link on each of its sides, one to
// its clients and one to alice's engine.
type hops struct {
	*env.Gateway
	client, engine *env.Link
}

func newHops(t *testing.T, pairs ...string) hops {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", env.FreePort(t))
	engine := env.NewLink(t, address)
	conf := fake(t, pairs...)
	conf["___alice___.spark.fake.connect.address"], conf["___alice___.spark.fake.registered.address"] = address, engine.Addr
	g := env.Start(t, conf)
	return hops{g, env.NewLink(t, g.GRPC), engine}
}

// rowCheck proves that the rows of the fake engine are complete, and calls at
// once when it has seen so many of them.
type rowCheck struct {
	enginetest.RowCheck
	after int64
	then  func()
	last  time.Time
	gap   time.Duration // the longest wait for a response after that
}

func (c *rowCheck) add(r *pb.ExecutePlanResponse) error {
	if err := c.RowCheck.Add(r); err != nil {
		return err
	}
	now := time.Now()
	if !c.last.IsZero() {
		c.gap = max(c.gap, now.Sub(c.last))
	}
	c.last = now
	if c.then != nil && c.Rows >= c.after {
		c.then()
		c.then, c.last = nil, time.Now()
	}
	return nil
}

// slowRows is a query for the fake engine: so many batches of 100 rows, one each pause.
func slowRows(batches int, pause time.Duration) (sql string, rows int64) {
	rows = int64(batches) * 100
	return fmt.Sprintf("SELECT rows(%d, 800, %d)", rows, pause.Milliseconds()), rows
}

// eventually is require.Eventually with one way to wait.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, within, 50*time.Millisecond, what)
}

// metric is a figure of the gateway.
func metric(t *testing.T, g *env.Gateway, name string) float64 {
	t.Helper()
	code, body := g.Call(http.MethodGet, "/metrics", "")
	require.Equal(t, http.StatusOK, code)
	for line := range strings.SplitSeq(string(body), "\n") {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			value, err := strconv.ParseFloat(text, 64)
			require.NoError(t, err)
			return value
		}
	}
	require.FailNow(t, "no such metric", name)
	return 0
}

// descriptors counts the open descriptors of a process.
func descriptors(t *testing.T, pid int) int {
	t.Helper()
	open, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	require.NoError(t, err)
	return len(open)
}

// oneEngine is the only engine of a gateway.
func oneEngine(t *testing.T, g *env.Gateway) env.Engine {
	t.Helper()
	all := g.Engines()
	require.Len(t, all, 1)
	return all[0]
}
