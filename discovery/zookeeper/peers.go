// SPDX-License-Identifier: Apache-2.0

package zookeeper

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"roundhouse/discovery"
)

// Attributes of the node of a gateway.
const (
	keyREST    = "rest"
	keyGateway = "gateway"
	keyPlace   = "place"
	keyConfig  = "config"
	keyPID     = "pid"
	keyStart   = "start"
	keySince   = "since" // milliseconds since 1970
	selfKey    = "self"  // of the node of this gateway among chores
)

// peers are the gateways.
type peers struct {
	*branch
	s *Store

	mu  sync.Mutex
	all []discovery.Gateway
	own string // id of this gateway while it is joined
}

func newPeers(s *Store) *peers {
	p := &peers{s: s}
	p.branch = &branch{root: s.serversRoot(), levels: 1, named: p.takeIn}
	return p
}

// takeIn is called by the tree. A node of ours that somebody deleted is made again: without
// it this gateway counts as dead.
func (p *peers) takeIn(names []string) {
	var all []discovery.Gateway
	for _, name := range names {
		if g, ok := parseGateway(name); ok {
			all = append(all, g)
		}
	}
	slices.SortFunc(all, func(a, b discovery.Gateway) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Gateway, b.Gateway))
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = all
	if p.own != "" && !slices.ContainsFunc(all, func(g discovery.Gateway) bool { return g.Gateway == p.own }) {
		p.s.chores.lost(selfKey)
		p.s.tree.stir()
	}
}

func parseGateway(name string) (g discovery.Gateway, ok bool) {
	n, err := discovery.ParseNode(name)
	if err != nil || n.Attributes[keyGateway] == "" {
		return g, false
	}
	pid, pidErr := strconv.Atoi(n.Attributes[keyPID])
	start, startErr := strconv.ParseUint(n.Attributes[keyStart], 10, 64)
	since, sinceErr := strconv.ParseInt(n.Attributes[keySince], 10, 64)
	if errors.Join(pidErr, startErr, sinceErr) != nil {
		return g, false
	}
	return discovery.Gateway{
		Owner:   discovery.Owner{Gateway: n.Attributes[keyGateway], Place: n.Attributes[keyPlace], PID: pid, Start: start},
		Address: n.Address, REST: n.Attributes[keyREST], Version: n.Version, Config: n.Attributes[keyConfig], Since: time.UnixMilli(since).UTC(),
	}, true
}

func gatewayNode(g discovery.Gateway) discovery.Node {
	return discovery.Node{Address: g.Address, Version: g.Version, Attributes: map[string]string{
		keyREST: g.REST, keyGateway: g.Gateway, keyConfig: g.Config, keyPlace: g.Place, keyPID: strconv.Itoa(g.PID),
		keyStart: strconv.FormatUint(g.Start, 10), keySince: strconv.FormatInt(g.Since.UnixMilli(), 10),
	}}
}

// prefix is the name of a node but for the number that ZooKeeper appends.
func prefix(n discovery.Node) string { return strings.TrimSuffix(n.String(), "0000000000") }

// Join makes the node of this gateway. It comes back when it was lost, while Run runs.
func (s *Store) Join(ctx context.Context, g discovery.Gateway) error {
	n := gatewayNode(g)
	if err := errors.Join(discovery.CheckKey(g.Gateway), n.Check()); err != nil {
		return err
	}
	if err := s.present(ctx, selfKey, &ephemeral{folder: s.peers.root, prefix: prefix(n), data: g.Address}); err != nil {
		return err
	}
	s.peers.joined(g.Gateway)
	return s.tree.refresh(ctx)
}

// Leave removes the node of this gateway if there is one.
func (s *Store) Leave(ctx context.Context) error {
	s.peers.joined("")
	if err := s.absent(ctx, selfKey); err != nil {
		return err
	}
	return s.tree.refresh(ctx)
}

func (p *peers) joined(own string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.own = own
}

// Gateways are those whose node is there, as far as is known here.
func (s *Store) Gateways() []discovery.Gateway {
	s.peers.mu.Lock()
	defer s.peers.mu.Unlock()
	return slices.Clone(s.peers.all)
}

// lost has an ephemeral made again.
func (c chores) lost(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.keep[key]; e != nil {
		e.session = 0
	}
}
