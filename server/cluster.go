// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/google/uuid"

	"roundhouse/conf"
	"roundhouse/discovery"
	"roundhouse/discovery/embedded"
	"roundhouse/discovery/zookeeper"
	"roundhouse/internal/process"
	"roundhouse/internal/secret"
	"roundhouse/internal/version"
)

// records is the store of a gateway: its own, or that of several gateways.
type records struct {
	discovery.SessionStore
	discovery.SessionFollower
	discovery.EngineStore
	discovery.TokenStore
	discovery.TokenFollower
	discovery.DisabledStore
	discovery.DisabledFollower
	discovery.Locker
	io.Closer
}

func ownRecords(s *embedded.Store) records { return records{s, s, s, s, s, s, s, s, s} }

func sharedRecords(s *zookeeper.Store) records { return records{s, s, s, s, s, s, s, s, s} }

// joinCluster connects to the store of several gateways.
func (p *parts) joinCluster() error {
	z := p.c.ZooKeeper()
	secrets, err := secret.Load(p.c.ClusterSecretFile())
	if err != nil {
		return err
	}
	o := zookeeper.Options{
		Addresses: z.Addresses, Chroot: z.Chroot, Namespace: z.Namespace, Secrets: secrets, Digest: z.Digest,
		SessionTimeout: z.SessionTimeout, ConnectionTimeout: z.ConnectTimeout, Log: p.log, Self: p.peers.self, Dead: p.peers.dead,
	}
	if z.TLS != nil {
		if o.TLS, err = z.TLS.Config(); err != nil {
			return fmt.Errorf("TLS to ZooKeeper: %w", err)
		}
	}
	store, err := zookeeper.Open(context.Background(), o)
	if err != nil {
		return fmt.Errorf("%w (%s)", err, conf.HAAddresses.Key)
	}
	p.store, p.cluster, p.peers.all = sharedRecords(store), store, store.Gateways
	p.leave = store.Leave
	return nil
}

// engineStore are the properties with which engines reach the store.
func (p *parts) engineStore() map[string]string {
	z := p.c.ZooKeeper()
	const prefix = "spark.kyuubi.ha."
	all := map[string]string{
		prefix + "addresses":                    z.Connect(),
		prefix + "zookeeper.session.timeout":    strconv.FormatInt(z.SessionTimeout.Milliseconds(), 10),
		prefix + "zookeeper.connection.timeout": strconv.FormatInt(z.ConnectTimeout.Milliseconds(), 10),
		prefix + "zookeeper.acl.gateways":       p.cluster.ACLText(),
	}
	if z.TLS != nil {
		all[prefix+"zookeeper.ssl.enabled"] = "true"
		if z.TLS.Authorities != "" {
			all[prefix+"zookeeper.ssl.truststore.path"] = z.TLS.Authorities
		}
	}
	return all
}

// join tells the other gateways that this one serves.
func (s *Server) join(ctx context.Context) error {
	if s.cluster == nil {
		return nil
	}
	if err := s.cluster.Join(ctx, s.gateway()); err != nil {
		return fmt.Errorf("the other gateways cannot be told of this one: %w", err)
	}
	return nil
}

// gateway is this one as others see it.
func (s *Server) gateway() discovery.Gateway {
	return discovery.Gateway{
		Owner: s.peers.self, Address: s.address, REST: s.restAddress, Version: version.Get().Number, Since: s.since,
	}
}

// thisProcess names this gateway among those that share a store.
func thisProcess() (discovery.Owner, error) {
	place, err := process.Place()
	if err != nil {
		return discovery.Owner{}, err
	}
	info, err := process.Inspect(os.Getpid())
	if err != nil {
		return discovery.Owner{}, fmt.Errorf("finding out when this process started: %w", err)
	}
	return discovery.Owner{Gateway: uuid.NewString(), Place: place, PID: os.Getpid(), Start: info.Start}, nil
}

// peers tells which gateways live.
type peers struct {
	self discovery.Owner
	// all are those that the store knows; nil where this gateway is alone.
	all func() []discovery.Gateway
}

// alive says whether a gateway lives: by its process where that can be seen, else by
// its node.
func (p peers) alive(o discovery.Owner) bool {
	if o.Gateway == p.self.Gateway {
		return true
	}
	if p.all == nil || o.Gateway == "" {
		return false
	}
	if o.Place == p.self.Place {
		return !p.dead(o)
	}
	_, known := p.named(o.Gateway)
	return known
}

// dead says whether a gateway has certainly ended: its process could be seen here.
func (p peers) dead(o discovery.Owner) bool {
	if o.Place != p.self.Place || o.PID == 0 {
		return false
	}
	found, err := process.Inspect(o.PID)
	return errors.Is(err, process.ErrNone) || err == nil && (found.Ended || found.Start != o.Start)
}

// lives is alive for a gateway of which only the id is known.
func (p peers) lives(id string) bool {
	if id == p.self.Gateway {
		return true
	}
	g, known := p.named(id)
	return known && p.alive(g.Owner)
}

// named finds a gateway by its id.
func (p peers) named(id string) (discovery.Gateway, bool) {
	if p.all == nil {
		return discovery.Gateway{}, false
	}
	for _, g := range p.all() {
		if g.Gateway == id {
			return g, true
		}
	}
	return discovery.Gateway{}, false
}

// others is how many other gateways live.
func (p peers) others() (n int) {
	if p.all == nil {
		return 0
	}
	for _, g := range p.all() {
		if g.Gateway != p.self.Gateway && p.alive(g.Owner) {
			n++
		}
	}
	return n
}
