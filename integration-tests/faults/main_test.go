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
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/engine/enginetest"
	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// They wait more than they work; a long run waits ten minutes, at best once.
	if err := flag.Set("test.parallel", fmt.Sprint(env.Count(8, 16))); err != nil {
		panic(err)
	}
	env.Main(m)
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
	conf := env.FakeSpark(t, pairs...)
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

// underway is a query that runs beside a test.
type underway struct {
	rows  int64
	check rowCheck
	done  chan error
}

// begin starts a query of so many batches of 100 rows, one each pause.
func begin(t *testing.T, c *env.SparkClient, batches int, pause time.Duration) *underway {
	t.Helper()
	q := &underway{done: make(chan error, 1)}
	var sql string
	sql, q.rows = slowRows(batches, pause)
	go func() { // waited for by requireRows
		_, err := c.Query(t.Context(), sql, q.check.add)
		q.done <- err
	}()
	return q
}

// requireRunning wants the query to go on: what was done met it.
func (q *underway) requireRunning(t *testing.T) {
	t.Helper()
	select {
	case err := <-q.done:
		require.FailNow(t, "the query was over too soon to tell", "error: %v", err)
	default:
	}
}

// requireRows waits for the end of the query and wants all rows.
func (q *underway) requireRows(t *testing.T) {
	t.Helper()
	select {
	case err := <-q.done:
		require.NoError(t, err, "the query was carried on")
	case <-time.After(3 * time.Minute):
		require.FailNow(t, "the query does not end")
	}
	require.Equal(t, q.rows, q.check.Rows)
}

// descriptors counts the open descriptors of a process.
func descriptors(t *testing.T, pid int) int {
	t.Helper()
	open, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	require.NoError(t, err)
	return len(open)
}
