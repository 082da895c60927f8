// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"roundhouse/conf"
	"roundhouse/discovery"
	"roundhouse/discovery/zookeeper"
	"roundhouse/engine"
	"roundhouse/internal/process"
	"roundhouse/internal/secret"
	"roundhouse/internal/version"
)

// records is the store of a gateway: its own, or that of several gateways.
type records struct {
	stores
	followers
	discovery.Locker
	io.Closer
}

// stores keep the records of each kind.
type stores interface {
	discovery.SessionStore
	discovery.EngineStore
	discovery.TokenStore
	discovery.DisabledStore
}

// followers hear of what other gateways write, but for engines.
type followers interface {
	discovery.SessionFollower
	discovery.TokenFollower
	discovery.DisabledFollower
}

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
	p.store, p.cluster, p.peers.all = records{store, store, store, store}, store, store.Gateways
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
		Owner: s.peers.self, Address: s.address, REST: s.restAddress, Version: version.Get().Number, Config: s.config, Since: s.since,
	}
}

// configurationDigits are enough to tell the configurations of a few gateways apart.
const configurationDigits = 12

// configuration tells the configuration of engines from that of other gateways: 12 hex
// digits of the settings for them, of all users, and of what an engine without wishes would be
// launched with when this gateway starts. Gateways with the same cluster secret agree; it is
// keyed, so that nobody can try secrets in it.
func configuration(c *conf.Conf, fingerprint func(engine.Spec) (string, error), key string) string {
	usual, _ := fingerprint(engine.Spec{ShareLevel: engine.Server}) // "" where nothing could be launched
	return secret.MAC(key, usual, c.EngineText())[:configurationDigits]
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

const (
	// absentElsewhere is how long the node of a gateway on another machine may be gone
	// before it counts as dead: an outage of ZooKeeper takes nodes that come back.
	absentElsewhere = 30 * time.Second
	// absentHere is the same for one whose process is seen: it may be stopped.
	absentHere = time.Minute
	// lookInterval is how often peers looks who is back.
	lookInterval = 5 * time.Second
)

// peers tells which gateways live. Make it with newPeers.
type peers struct {
	self discovery.Owner
	// all are those that the store knows; nil where this gateway is alone.
	all func() []discovery.Gateway

	mu sync.Mutex
	// absent is since when a gateway that was asked for has had no node.
	absent map[string]time.Time
}

func newPeers(self discovery.Owner) *peers {
	return &peers{self: self, absent: map[string]time.Time{}}
}

// alive says whether a gateway lives: by its process where that can be seen, and by
// its node.
func (p *peers) alive(o discovery.Owner) bool {
	if o.Gateway == p.self.Gateway {
		return true
	}
	if p.all == nil || o.Gateway == "" || p.dead(o) {
		return false
	}
	limit := absentElsewhere
	if o.Place == p.self.Place {
		limit = absentHere
	}
	return p.missing(o.Gateway) < limit
}

// missing is for how long a gateway has had no node.
func (p *peers) missing(id string) time.Duration {
	_, known := p.named(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	if known {
		delete(p.absent, id)
		return 0
	}
	since, asked := p.absent[id]
	if !asked {
		since = time.Now()
		p.absent[id] = since
	}
	return time.Since(since)
}

// Run forgets absences that are over, until ctx ends: the next one counts anew.
func (p *peers) Run(ctx context.Context) error {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			p.forgetReturned()
		}
	}
}

// forgetReturned forgets the absences of gateways that are there.
func (p *peers) forgetReturned() {
	known := p.all()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range known {
		delete(p.absent, g.Gateway)
	}
}

// dead says whether a gateway has certainly ended: its process could be seen here.
func (p *peers) dead(o discovery.Owner) bool {
	if o.Place != p.self.Place || o.PID == 0 {
		return false
	}
	found, err := process.Inspect(o.PID)
	return errors.Is(err, process.ErrNone) || err == nil && (found.Ended || found.Start != o.Start)
}

// lives is alive for a gateway of which only the id is known.
func (p *peers) lives(id string) bool {
	if id == p.self.Gateway {
		return true
	}
	if g, known := p.named(id); known {
		return p.alive(g.Owner)
	}
	return p.all != nil && p.missing(id) < absentElsewhere
}

// named finds a gateway by its id.
func (p *peers) named(id string) (discovery.Gateway, bool) {
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
func (p *peers) others() (n int) {
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
