// SPDX-License-Identifier: Apache-2.0

// Package hazk takes ZooKeeper away from several gateways, freezes it and empties it,
// forges nodes in it, and looks at what they and their engines keep there.
// ZooKeeper is real, engines are fakes unless the name of a test says Spark.
package hazk

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", fmt.Sprint(env.Count(6, 3))); err != nil { // they wait more than they work
		panic(err)
	}
	env.Main(m)
}

// digest is a ZooKeeper user of the administrator, who may see and change what gateways keep.
const digest = "operator:of the tests"

// cluster is an ensemble with two gateways on it.
type cluster struct {
	*env.ZooKeeper
	*env.Cluster
	a, b *env.Gateway
}

// start starts an ensemble and two gateways on it.
func start(t *testing.T, servers int, conf map[string]string) cluster {
	t.Helper()
	c := prepare(t, env.StartZooKeeper(t, servers), conf)
	c.Start()
	return c
}

// prepare prepares two gateways on an ensemble.
func prepare(t *testing.T, zoo *env.ZooKeeper, conf map[string]string) cluster {
	t.Helper()
	all := maps.Clone(conf)
	maps.Copy(all, map[string]string{"kyuubi.ha.zookeeper.auth.type": "DIGEST", "kyuubi.ha.zookeeper.auth.digest": digest})
	gateways := env.PrepareGateways(t, zoo, 2, all)
	return cluster{zoo, gateways, gateways.Gateways[0], gateways.Gateways[1]}
}

// fakes are settings with fake engines; ZooKeeper is asked for sessions of so many
// seconds, because tests wait for their end.
func fakes(t *testing.T, session time.Duration, pairs ...string) map[string]string {
	t.Helper()
	conf := env.FakeSpark(t, pairs...)
	conf["kyuubi.ha.zookeeper.session.timeout"] = fmt.Sprintf("PT%dS", session/time.Second)
	conf["kyuubi.server.limit.engine.startup"] = "8"
	conf["spark.sql.warehouse.dir"] = t.TempDir() // of both gateways: their engines have one configuration
	return conf
}

// running are the processes of the engines that a gateway has.
func running(g *env.Gateway) (pids []int) {
	for _, e := range g.Engines() {
		if e.State == "running" {
			pids = append(pids, e.PID)
		}
	}
	slices.Sort(pids)
	return pids
}

// engine is the running engine of a user.
func engine(t *testing.T, g *env.Gateway, user string) env.Engine {
	t.Helper()
	all := slices.DeleteFunc(g.Engines(), func(e env.Engine) bool { return e.User != user || e.State != "running" })
	require.Len(t, all, 1, "engines of %s", user)
	return all[0]
}

// eventually is env.Eventually with what is there in the end.
func eventually(t *testing.T, within time.Duration, ok func() bool, what string, now func() any) {
	t.Helper()
	require.Eventually(t, ok, within, 50*time.Millisecond, "%s\n%v", what, env.Lazily(now))
}

// grep are the lines of a gateway's log with a text.
func grep(g *env.Gateway, text string) (lines []string) {
	for line := range strings.SplitSeq(g.Log(), "\n") {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

// refusal is what a gateway says that does not start with an argument.
func refusal(t *testing.T, g *env.Gateway, conf string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, g.Binary, "run", "--conf", conf)
	cmd.Env = g.Env()
	said, err := cmd.CombinedOutput()
	require.Error(t, err, "it starts: %s", said)
	require.NoError(t, ctx.Err(), "it does not end: %s", said)
	return string(said)
}
