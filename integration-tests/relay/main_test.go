// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package relay shows two gateways of different places on one ZooKeeper: the second one, in a PID
// namespace of its own, sees no process of the first one and reaches its engines only by way of their
// relays, as a gateway on another machine would. Engines are fakes but for the test of Spark.
package relay

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/engine/enginetest"
	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

func TestMain(m *testing.M) { env.Main(m) }

// settled is how long it may take until all gateways know what has happened.
const settled = 30 * time.Second

// elsewhere makes a process see no other processes than its own children.
var elsewhere = syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}

// wrapper gives a gateway a /proc of its own place.
const wrapper = `#!/bin/sh
mount --make-rprivate / && mount -t proc proc /proc && exec '%s' "$@"
`

// fakes are the settings of gateways whose engines are fakes, with an address for their relays.
func fakes(t *testing.T, pairs ...string) map[string]string {
	t.Helper()
	conf := env.FakeSpark(t, pairs...)
	conf["spark.driver.host"] = reachable(t)
	// An engine that nobody sees counts as lost when ZooKeeper has not heard of it for so long.
	conf["kyuubi.ha.zookeeper.session.timeout"] = "PT10S"
	return conf
}

// start starts two gateways of different places.
func start(t *testing.T, conf map[string]string) (c *env.Cluster, near, far *env.Gateway) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "gateway")
	env.WriteProgram(t, program, strings.NewReader(fmt.Sprintf(wrapper, env.Binary(t))))
	attr := elsewhere
	try := exec.Command(program, "version")
	try.SysProcAttr = &attr
	if out, err := try.CombinedOutput(); err != nil {
		t.Skipf("no process can be started in a PID namespace of its own, which needs root: %v %s", err, out)
	}
	c = env.PrepareGateways(t, env.StartZooKeeper(t, 1), 2, conf)
	near, far = c.Gateways[0], c.Gateways[1]
	far.Binary, far.Attr = program, &attr
	c.Start()
	return c, near, far
}

// reachable is an address of this machine that is no loopback address.
func reachable(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no address but loopback, and gateways dial no relay there")
	return ""
}

// theEngine waits until both gateways know the one engine, and returns it as the gateway beside it sees it: to the
// other one it has no process, but a relay.
func theEngine(t *testing.T, near, far *env.Gateway) env.Engine {
	t.Helper()
	here, there := near.OnlyEngine(), far.OnlyEngine()
	require.Equal(t, here.RefID, there.RefID)
	require.Zero(t, there.PID)
	require.Greater(t, here.PID, 1)
	require.NotEmpty(t, there.Attributes["relay"])
	return here
}

// awaitEnd waits until a gateway has no engine and no session, and nothing is left of the process.
func awaitEnd(t *testing.T, g *env.Gateway, e env.Engine) {
	t.Helper()
	env.Eventually(t, settled, "the end of the engine is known", func() bool { return len(g.Engines()) == 0 && len(g.Sessions()) == 0 })
	env.Eventually(t, settled, "its process has ended", func() bool { return !env.Alive(e.PID) })
}

// query has a client read so many rows, and calls at with the number of rows that it has after each response.
func query(t *testing.T, c *env.SparkClient, rows int64, at func(rows int64)) (env.Story, error) {
	t.Helper()
	check := enginetest.RowCheck{}
	story, err := c.Query(t.Context(), fmt.Sprintf("SELECT * FROM rows(%d, 200000, 10)", rows), func(r *pb.ExecutePlanResponse) error {
		err := check.Add(r)
		at(check.Rows)
		return err
	})
	if err == nil && check.Rows != rows {
		err = fmt.Errorf("%d rows of %d", check.Rows, rows)
	}
	return story, err
}

func ignore(int64) {}
