// SPDX-License-Identifier: Apache-2.0

// Package soak has many clients work on two gateways while something breaks all the
// time, and asks whether any of them saw what it should not, and whether anything piles up or is
// left behind.
package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"roundhouse/integration-tests/env"
)

func TestMain(m *testing.M) { env.Main(m) }

// site is what the clients work on.
type site struct {
	*env.Cluster
	zoo    *env.ZooKeeper
	links  []*env.Link // one to each gateway
	random *rand.Rand  // of the faults
	until  time.Time   // of the last fault
	began  time.Time
	idle   holdings // of the gateway that is measured, before there was a client
}

func newSite(t *testing.T, conf map[string]string) *site {
	t.Helper()
	s := &site{zoo: env.StartZooKeeper(t, 3), random: env.Randomness(t)}
	conf["kyuubi.server.graceful.shutdown.timeout"] = "PT4S" // a rolling restart goes on meanwhile
	conf["kyuubi.ha.zookeeper.session.timeout"] = fmt.Sprintf("PT%dS", int(zooSession().Seconds()))
	s.Cluster = env.StartGateways(t, s.zoo, 2, conf)
	for _, g := range s.Gateways {
		s.links = append(s.links, env.NewLink(t, g.GRPC))
	}
	s.idle = s.holdings(t, 0)
	return s
}

// zooSession is kyuubi.ha.zookeeper.session.timeout: its default in a long run.
func zooSession() time.Duration { return env.Duration(10*time.Second, time.Minute) }

// TestSoak with fake engines: a fault every few seconds, and clients that obey Spark's retry rules.
// None sees an error but for the one that says why its engine is gone; no row is
// wrong; nothing piles up; nothing is left.
func TestSoak(t *testing.T) {
	s := newSite(t, env.FakeSpark(t,
		"kyuubi.server.limit.engine.startup", "8", "spark.connect.execute.reattachable.senderMaxStreamDuration", "1s"))
	rows := fakeRows(12_000, 3200, 40)
	clients := s.startClients(t, 3, rows)
	soak(t, s, clients, env.Duration(30*time.Second, 5*time.Minute), env.Duration(4*time.Second, 5*time.Second))
}

// TestSoakOfSpark is the same with engines that are real.
func TestSoakOfSpark(t *testing.T) {
	s := newSite(t, map[string]string{"spark.driver.memory": "600m", "kyuubi.server.limit.engine.startup": "2"})
	clients := s.startClients(t, 1, sparkRows)
	soak(t, s, clients, env.Duration(time.Minute, 20*time.Minute), env.Duration(12*time.Second, 20*time.Second))
}

func soak(t *testing.T, s *site, clients *crowd, lasts, pause time.Duration) {
	t.Helper()
	s.began = time.Now()
	s.until = s.began.Add(lasts)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	watched := s.measure(ctx, t)
	for first := true; time.Now().Add(pause).Before(s.until); first = false {
		<-time.After(pause)
		what := ""
		if first { // one fault, at least, that clients feel
			what = s.killGateway(t)
		} else {
			what = s.breakSomething(t, clients)
		}
		t.Logf("%5.0f s  %s", time.Since(s.began).Seconds(), what)
		clients.requireWell(t)
	}
	<-time.After(pause)
	clients.finish(t)
	stop()
	watched.requireFlat(t)
	s.requireNothingLeft(t)
	s.requireCalm(t)
}
