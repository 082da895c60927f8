// SPDX-License-Identifier: Apache-2.0

package zookeeper_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/discovery"
	"roundhouse/discovery/discoverytest"
	"roundhouse/discovery/zookeeper"
	"roundhouse/integration-tests/env"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var clusterSecret = []byte("the secret of all gateways of this test")

// lab is an ensemble in which each cluster has a namespace of its own.
type lab struct {
	*env.ZooKeeper
	clusters atomic.Int32
}

func (l *lab) servers() []string { return strings.Split(l.Addresses(), ",") }

// silent is a logger of the library.
type silent struct{}

func (silent) Printf(string, ...any) {}

func startLab(t *testing.T, nodes int) *lab { return &lab{ZooKeeper: env.StartZooKeeper(t, nodes)} }

// options are those of the gateways of a new cluster.
func (l *lab) options() zookeeper.Options {
	return zookeeper.Options{
		Addresses: l.servers(), Namespace: fmt.Sprintf("kyuubi%d", l.clusters.Add(1)), Secrets: [][]byte{clusterSecret},
		SessionTimeout: 2 * time.Second, ConnectionTimeout: 20 * time.Second,
	}
}

// open opens a store that runs until the end of the test.
func open(t *testing.T, o zookeeper.Options) *zookeeper.Store {
	t.Helper()
	s, err := zookeeper.Open(t.Context(), o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }() // the cleanup waits for it
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-over)
		require.NoError(t, s.Close())
	})
	return s
}

// stranger is a plain client without any rights.
func (l *lab) stranger(t *testing.T) *zk.Conn {
	t.Helper()
	c, events, err := zk.Connect(l.servers(), 2*time.Second, zk.WithLogger(silent{}))
	require.NoError(t, err)
	for e := range events {
		if e.State == zk.StateHasSession {
			break
		}
	}
	t.Cleanup(func() {
		c.Close()
		for range events {
		}
	})
	return c
}

func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	env.Eventually(t, 20*time.Second, what, ok)
}

func TestOneServer(t *testing.T) {
	z := startLab(t, 1)
	for name, test := range map[string]func(*testing.T, *lab){
		"conformance":                   testConformance,
		"an expired session comes back": testExpiredSession,
		"locks of the dead":             testLocksOfTheDead,
		"locks of those who have ended": testBrokenLocks,
		"lost answers":                  testLostAnswers,
		"late requests":                 testLateRequests,
		"restore goes on":               testRestoreGoesOn,
		"strangers may do nothing":      testStrangersMayDoNothing,
		"roots of others":               testRootsOfOthers,
		"secrets":                       testSecrets,
		"digest":                        testDigest,
		"engines":                       testEngines,
		"foreign names":                 testForeignNames,
		"limits":                        testLimits,
		"disabled users":                testUnreadableDisabled,
		"hidden records":                testHiddenRecords,
		"crowded spaces":                testCrowdedSpaces,
		"nodes in nodes":                testNodesInNodes,
		"spaces are heard again":        testSpacesAreHeardAgain,
		"spaces are opened for all":     testSpacesAreOpenedForAll,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, z)
		})
	}
}

// The suites run on the default namespace, so each gets an ensemble path of its own.
func testConformance(t *testing.T, z *lab) {
	admin := z.stranger(t)
	fresh := func(t *testing.T) zookeeper.Options {
		o := z.options()
		o.Chroot, o.Namespace = "/"+o.Namespace, "kyuubi"
		_, err := admin.Create(o.Chroot, nil, 0, zk.WorldACL(zk.PermAll))
		require.NoError(t, err)
		return o
	}
	one := func(t *testing.T) *zookeeper.Store { return open(t, fresh(t)) }
	t.Run("Nodes", func(t *testing.T) {
		discoverytest.Nodes(t, func(t *testing.T) discoverytest.NodeStore { return one(t) })
	})
	t.Run("Watch", func(t *testing.T) {
		discoverytest.Watch(t, func(t *testing.T) discoverytest.WatchStore { return one(t) })
	})
	t.Run("Lock", func(t *testing.T) {
		discoverytest.Lock(t, func(t *testing.T) discovery.Locker { return one(t) })
	})
	t.Run("Sessions", func(t *testing.T) {
		discoverytest.Sessions(t, func(t *testing.T) discovery.SessionStore { return one(t) })
	})
	t.Run("Engines", func(t *testing.T) {
		discoverytest.Engines(t, func(t *testing.T) discovery.EngineStore { return one(t) })
	})
	t.Run("Tokens", func(t *testing.T) {
		discoverytest.Tokens(t, func(t *testing.T) discovery.TokenStore { return one(t) })
	})
	t.Run("Disabled", func(t *testing.T) {
		discoverytest.Disabled(t, func(t *testing.T) discovery.DisabledStore { return one(t) })
	})
	t.Run("Cluster", func(t *testing.T) {
		discoverytest.Cluster(t, func(t *testing.T) func() discoverytest.Member {
			o := fresh(t)
			return func() discoverytest.Member {
				s := open(t, o)
				return discoverytest.Member{
					Locker: s, SessionStore: s, SessionFollower: s, EngineStore: s, EngineFollower: s, TokenStore: s, TokenFollower: s,
					DisabledStore: s, DisabledFollower: s, Peers: s, Registrar: s, Watcher: s, Finder: s, Spaces: s,
					Expire: func(t *testing.T) { z.expire(t, s.Conn()) },
				}
			}
		})
	})
}
