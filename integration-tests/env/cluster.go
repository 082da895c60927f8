// SPDX-License-Identifier: Apache-2.0

package env

import (
	"context"
	"maps"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"roundhouse/discovery/zookeeper"
	"roundhouse/internal/secret"
)

// Cluster are gateways that share sessions and engines. Each has a home of its own;
// they have one ensemble, namespace and cluster secret.
type Cluster struct {
	Gateways []*Gateway
	// SecretFile has the cluster secret.
	SecretFile string

	t   testing.TB
	zoo *ZooKeeper
}

// StartGateways starts gateways on an ensemble, with the settings of Start, and waits
// until they are ready. At the end of the test they are stopped, and no engine process may
// be left.
func StartGateways(t testing.TB, zoo *ZooKeeper, gateways int, conf map[string]string) *Cluster {
	t.Helper()
	c := PrepareGateways(t, zoo, gateways, conf)
	c.Start()
	return c
}

// PrepareGateways is StartGateways without the start; the end of the test is cared for.
func PrepareGateways(t testing.TB, zoo *ZooKeeper, gateways int, conf map[string]string) *Cluster {
	t.Helper()
	c := &Cluster{SecretFile: filepath.Join(t.TempDir(), "cluster.secret"), t: t, zoo: zoo}
	_, err := secret.LoadOrCreate(c.SecretFile, true)
	require.NoError(t, err)
	for range gateways {
		shared := map[string]string{"kyuubi.ha.addresses": zoo.Addresses(), "kyuubi.server.cluster.secret.file": c.SecretFile}
		maps.Copy(shared, conf)
		c.Gateways = append(c.Gateways, Prepare(t, shared))
	}
	t.Cleanup(c.cleanup)
	return c
}

// Start starts all gateways of the cluster.
func (c *Cluster) Start() {
	c.t.Helper()
	for _, g := range c.Gateways {
		g.Start()
	}
}

// Store is what the gateways keep in ZooKeeper, seen by one more of them. It is closed with
// the test.
func (c *Cluster) Store() *zookeeper.Store {
	c.t.Helper()
	keys, err := secret.Load(c.SecretFile)
	require.NoError(c.t, err)
	namespace := c.Gateways[0].conf["kyuubi.ha.namespace"]
	if namespace == "" {
		namespace = "kyuubi"
	}
	s, err := zookeeper.Open(c.t.Context(), zookeeper.Options{
		Addresses: []string{c.zoo.Address(0)}, Namespace: namespace, Secrets: keys,
	})
	require.NoError(c.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { _ = s.Run(ctx); close(over) }() // the end of the test waits for it
	c.t.Cleanup(func() {
		cancel()
		<-over
		_ = s.Close()
	})
	return s
}

// Client makes a client of all gateways: it uses the first one, in the order of the cluster
// beginning with gateway number first, that takes its connection, as Spark's clients do with several addresses
// (gRPC, pick_first).
func (c *Cluster) Client(first int, user string, more ...grpc.DialOption) *SparkClient {
	c.t.Helper()
	var state resolver.State
	for i := range c.Gateways {
		g := c.Gateways[(first+i)%len(c.Gateways)]
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: g.GRPC}}})
	}
	all := manual.NewBuilderWithScheme("cluster")
	all.InitialState(state)
	return newSparkClient(c.t, "cluster:///", user, append(more, grpc.WithResolvers(all))...)
}

// cleanup ends the engines by way of a gateway that runs, and then all gateways.
func (c *Cluster) cleanup() {
	for _, g := range c.Gateways {
		defer g.endLeft()
	}
	for _, g := range c.Gateways {
		defer g.end()
	}
	for _, g := range c.Gateways {
		if g.running() && g.ready() {
			g.endEngines()
		}
	}
}

// endEngines ends all engines that the gateway knows.
func (g *Gateway) endEngines() {
	for _, e := range g.Engines() {
		code, body := g.kill(e.RefID)
		// It may have ended by itself since it was listed.
		require.Contains(g.t, []int{http.StatusOK, http.StatusNotFound}, code, string(body))
	}
}
