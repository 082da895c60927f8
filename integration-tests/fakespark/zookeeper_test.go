// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
	"roundhouse/discovery/zookeeper"
	"roundhouse/engine/control"
	"roundhouse/integration-tests/env"
	"roundhouse/internal/secret"
)

// zooWorld is a ZooKeeper with a gateway in it.
type zooWorld struct {
	*env.ZooKeeper
	gateway *zookeeper.Store
}

func newZooWorld(t *testing.T) *zooWorld {
	t.Helper()
	w := &zooWorld{ZooKeeper: env.StartZooKeeper(t, 1)}
	var err error
	w.gateway, err = zookeeper.Open(t.Context(), zookeeper.Options{
		Addresses: strings.Split(w.Addresses(), ","), Namespace: "kyuubi", Secrets: [][]byte{[]byte("cluster")},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.gateway.Close()) })
	return w
}

func (w *zooWorld) props(more map[string]string) map[string]string {
	all := map[string]string{
		"spark.kyuubi.ha.addresses":                          w.Addresses(),
		"spark.kyuubi.ha.zookeeper.acl.gateways":             w.gateway.ACLText(),
		"spark.kyuubi.ha.zookeeper.session.timeout":          "4000",
		"spark.kyuubi.ha.zookeeper.connection.timeout":       "4000",
		"spark.kyuubi.engine.config.fingerprint":             "f1",
		"spark.kyuubi.session.engine.initialize.timeout":     "60000",
		"spark.kyuubi.session.engine.spark.max.initial.wait": "0",
		"spark.kyuubi.session.engine.spark.max.heap.percent": "90",
		"spark.kyuubi.session.engine.check.interval":         "250",
		"spark.kyuubi.ha.zookeeper.ssl.enabled":              "false",
		"spark.kyuubi.ha.zookeeper.ssl.truststore.path":      "",
	}
	for k, v := range more {
		all[k] = v
	}
	return all
}

// start starts an engine and lets it into its space.
func (w *zooWorld) start(t *testing.T, more map[string]string) (*running, discovery.Node) {
	t.Helper()
	r := start(t, "", w.props(more))
	w.admit(t, r)
	return r, w.await(t, 1)[0]
}

func (w *zooWorld) admit(t *testing.T, r *running) {
	t.Helper()
	who := discovery.Credential{RefID: r.refID, Key: r.keys.zoo}
	require.NoError(t, w.gateway.OpenSpace(t.Context(), testPath, []discovery.Credential{who}))
}

func (w *zooWorld) await(t *testing.T, count int) (nodes []discovery.Node) {
	t.Helper()
	env.Eventually(t, waitLimit, "the nodes of engines", func() bool {
		var err error
		nodes, err = w.gateway.Find(t.Context(), testPath)
		return err == nil && len(nodes) == count
	})
	return nodes
}

func (w *zooWorld) deleteNode(t *testing.T, r *running) {
	t.Helper()
	_, err := w.gateway.SweepSpace(t.Context(), testPath, func(n discovery.Node) bool { return n.RefID != r.refID })
	require.NoError(t, err)
}

func TestRegistersInZooKeeper(t *testing.T) {
	w := newZooWorld(t)
	r, n := w.start(t, nil)
	require.Equal(t, r.refID, n.RefID)
	require.Equal(t, "f1", n.Attributes["config"])
	mac := secret.MAC(r.keys.register, "roundhouse-registration-v1", testPath, n.Address, n.Attributes["control"], "", r.refID)
	require.Equal(t, mac, n.Attributes["mac"])
	r.open(t, n)

	c := r.control(t, n)
	require.NoError(t, c.Order(t.Context(), control.OrderWarmUp, ""))
	require.NoError(t, c.Order(t.Context(), control.OrderWarmUp, ""), "harmless twice")
	require.NoError(t, c.Order(t.Context(), control.OrderStop, "admin"))
	require.Equal(t, exitOrderly, r.exitCode(t), r.log.String())
	w.await(t, 0)
	require.NotContains(t, r.log.String(), r.keys.zoo)
}

func TestADeletedNodeDrains(t *testing.T) {
	w := newZooWorld(t)
	r, n := w.start(t, map[string]string{"spark.kyuubi.session.idle.timeout": "1500"})
	id := r.open(t, n)
	w.deleteNode(t, r)
	c := r.control(t, n)
	env.Eventually(t, waitLimit, "the engine drains", func() bool {
		s, err := c.Status(t.Context())
		return err == nil && s.State == "draining" && len(s.Sessions) == 1
	})
	e, err := c.Events(t.Context(), 0, 0)
	require.NoError(t, err)
	drained := e.Events[len(e.Events)-1]
	require.Equal(t, control.Draining, drained.Type)
	require.Equal(t, "deregistered", drained.Reason)
	require.Equal(t, exitOrderly, r.exitCode(t), "its session %s became idle", id)
	w.await(t, 0)
}

// TestASessionOnTheWayIsServed has a gateway send a session to an engine whose node is gone.
func TestASessionOnTheWayIsServed(t *testing.T) {
	w := newZooWorld(t)
	r, n := w.start(t, map[string]string{
		"spark.kyuubi.session.engine.idle.timeout": "500", "spark.kyuubi.session.idle.timeout": "4000",
	})
	w.await(t, 0)
	r.open(t, n)
	c := r.control(t, n)
	begin := time.Now()
	s, err := c.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, "draining", s.State)
	require.Equal(t, exitOrderly, r.exitCode(t))
	require.Greater(t, time.Since(begin), 3500*time.Millisecond, "it waited for the session's end")
}

func TestSIGTERMRemovesTheNode(t *testing.T) {
	w := newZooWorld(t)
	r, _ := w.start(t, nil)
	r.stop()
	require.Equal(t, exitSignal, r.exitCode(t))
	w.await(t, 0)
}

func TestNobodyWaitsForTheEngine(t *testing.T) {
	w := newZooWorld(t)
	r := start(t, "", w.props(map[string]string{"spark.kyuubi.session.engine.initialize.timeout": "1500"}))
	require.Equal(t, exitFailure, r.exitCode(t))
	require.Contains(t, r.log.String(), "could not register in ZooKeeper")

	r = start(t, "", w.props(nil))
	require.NoError(t, w.gateway.OpenSpace(t.Context(), testPath, nil))
	w.admit(t, r)
	w.await(t, 1)
	r.stop()
	require.Equal(t, exitSignal, r.exitCode(t))
}

func TestOutlivesZooKeeper(t *testing.T) {
	w := newZooWorld(t)
	r, n := w.start(t, nil)
	w.Kill(0)
	r.open(t, n)
	w.Restart(0)
	w.AwaitServing(waitLimit)
	w.await(t, 1)
	require.Empty(t, r.exit)
	w.deleteNode(t, r)
	env.Eventually(t, waitLimit, "the deletion is seen", func() bool {
		s, err := r.control(t, n).Status(t.Context())
		return err == nil && s.State == "draining"
	})
}

func TestZooKeeperNeedsItsKey(t *testing.T) {
	g := newGateway(t, welcoming)
	file := filepath.Join(t.TempDir(), "engine.key")
	require.NoError(t, os.WriteFile(file, []byte("rpc=a\nregister=b\ncontrol=c\n"), 0o600))
	r := start(t, g.URL, map[string]string{
		"spark.kyuubi.ha.addresses": "127.0.0.1:1", "spark.kyuubi.ha.zookeeper.acl.gateways": "digest:a:b",
		"spark.kyuubi.engine.key.file": file,
	})
	require.Equal(t, exitFailure, r.exitCode(t))
	require.Contains(t, r.log.String(), "lacks a key")
	require.Empty(t, g.seen(http.MethodPut))
}
