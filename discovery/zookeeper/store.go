// SPDX-License-Identifier: Apache-2.0

// Package zookeeper is the discovery of several gateways: records, engine nodes, locks and the
// gateways themselves in ZooKeeper (3.5.3 or later). Records are read once and followed by
// watches, so that reading asks nobody. What engines may write is read over a second connection. docs/decisions/0009-several-gateways.md has the layout
// and the rights.
package zookeeper

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"roundhouse/discovery"
)

// retryAfter is the pause after work in the background that failed.
const retryAfter = 500 * time.Millisecond

// Options say where the ensemble is, who the gateways are for it, and how much they keep. A zero
// limit means its default.
type Options struct {
	// Addresses are host:port of the servers, IPv6 hosts in brackets; Chroot is the path,
	// which exists, below which everything is, or "".
	Addresses []string
	Chroot    string
	// Namespace is kyuubi.ha.namespace.
	Namespace string
	// Secrets are the cluster secrets; gateways are known by each.
	Secrets [][]byte
	// Digest is a further user:password with all rights, or "".
	Digest string
	// SessionTimeout is asked for; the servers have bounds of their own (default 60 s).
	SessionTimeout time.Duration
	// ConnectionTimeout is how long Open tries to connect (default 15 s).
	ConnectionTimeout time.Duration
	// TLS is nil for connections without.
	TLS *tls.Config
	// Self is this gateway. Dead says of another one that it has certainly ended, though its
	// ZooKeeper session lives: its locks are broken. Optional.
	Self discovery.Owner
	Dead func(discovery.Owner) bool
	// MaxSessions bounds the session records (default 100000).
	MaxSessions int
	// MaxEngines bounds the engine records (default 10000).
	MaxEngines int
	// MaxTokens bounds the token records (default 100000).
	MaxTokens int
	Log       *slog.Logger
}

func (o Options) withDefaults() Options {
	fill := func(limit *int, value int) {
		if *limit == 0 {
			*limit = value
		}
	}
	fill(&o.MaxSessions, 100_000)
	fill(&o.MaxEngines, 10_000)
	fill(&o.MaxTokens, 100_000)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dead == nil {
		o.Dead = func(discovery.Owner) bool { return false }
	}
	return o
}

// connection is what a link needs to know.
type connection struct {
	Addresses                         []string
	SessionTimeout, ConnectionTimeout time.Duration
	TLS                               *tls.Config
	Log                               *slog.Logger
	identities                        []identity
	maxPacket                         int // bytes
}

func (c connection) withDefaults() connection {
	if c.SessionTimeout == 0 {
		c.SessionTimeout = time.Minute
	}
	if c.ConnectionTimeout == 0 {
		c.ConnectionTimeout = 15 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Store implements every interface of package discovery. It is safe for concurrent use.
type Store struct {
	options Options
	link    *link
	who     []identity
	tree    *tree
	spaces  *spaces
	chores  chores
	peers   *peers

	sessions *records[discovery.SessionRecord]
	engines  *records[discovery.EngineRecord]
	tokens   *records[discovery.TokenRecord]
	disabled *records[discovery.DisabledUser]

	watching sync.WaitGroup
	rooted   sync.Map // roots of engine spaces and locks that are known to be ours
	made     int64    // when the tree was made, by ZooKeeper's clock; of whoever refreshes tree
}

// Open connects, makes what is missing of the layout, and reads all records. It fails, with
// a text for the administrator, if what is there belongs to somebody else.
func Open(ctx context.Context, o Options) (*Store, error) {
	o = o.withDefaults()
	if len(o.Addresses) == 0 || len(o.Secrets) == 0 || o.Namespace == "" {
		return nil, errors.New("ZooKeeper: addresses, a namespace and a cluster secret are needed")
	}
	s := &Store{options: o, who: gateways(o.Secrets, o.Digest)}
	s.chores = newChores()
	s.tree = newTree(s.sameTree)
	s.peers = newPeers(s)
	s.makeRecords()
	s.spaces = newSpaces(s.kept())
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) connect(ctx context.Context) (err error) {
	c := connection{Addresses: s.options.Addresses, SessionTimeout: s.options.SessionTimeout, ConnectionTimeout: s.options.ConnectionTimeout,
		TLS: s.options.TLS, Log: s.options.Log, identities: s.who, maxPacket: maxPacket}.withDefaults()
	if s.link, err = connect(ctx, c, s.tree.event); err != nil {
		return err
	}
	c.maxPacket = maxSpacePacket
	if s.spaces.link, err = connect(ctx, c, s.spaces.event); err != nil {
		s.link.close()
		return err
	}
	s.tree.link, s.spaces.tree.link = s.link, s.spaces.link
	return nil
}

// prepare makes the layout and reads it.
func (s *Store) prepare(ctx context.Context) error {
	if err := s.makeLayout(ctx); err != nil {
		return err
	}
	if len(s.options.Secrets) > 1 {
		if err := s.renewRights(ctx); err != nil {
			return err
		}
	}
	for _, b := range []*branch{s.sessions.branch, s.engines.branch, s.tokens.branch, s.disabled.branch, s.peers.branch} {
		s.tree.follow(b)
	}
	return s.tend(ctx)
}

// Run keeps what is known of ZooKeeper, and the nodes of this gateway in it, up to date until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	var both sync.WaitGroup
	defer both.Wait()
	both.Go(func() { s.spaces.run(ctx) })
	last := ""
	for {
		err := s.tend(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var again <-chan time.Time
		if err != nil {
			again = time.After(retryAfter)
		}
		last = s.tell(last, err)
		select {
		case <-ctx.Done():
			return nil
		case <-s.tree.wake:
		case <-again:
		}
	}
}

// tell logs what has changed since the fault last, and returns the present one.
func (s *Store) tell(last string, err error) string {
	now := ""
	switch {
	case errors.Is(err, discovery.ErrAway):
		now = "away"
	case err != nil:
		now = err.Error()
	}
	switch {
	case now == last:
	case now == "":
		s.options.Log.Info("ZooKeeper can be used again")
	case now == "away":
		s.options.Log.Warn("without ZooKeeper, known sessions and engines go on, and no engine is launched", "err", err)
	default:
		s.options.Log.Warn("what is in ZooKeeper cannot be read or written", "err", err)
	}
	return now
}

func (s *Store) tend(ctx context.Context) error {
	err := errors.Join(s.tree.refresh(ctx), s.tidy(ctx))
	if errors.Is(err, zk.ErrNoNode) {
		err = errors.Join(s.remake(ctx), s.tree.refresh(ctx), s.tidy(ctx))
	}
	return err
}

// Close ends the watches and the ZooKeeper sessions, with the nodes of this gateway. Calling it again is
// no error.
func (s *Store) Close() error {
	s.link.end()
	s.watching.Wait()
	s.spaces.link.close()
	s.link.close()
	return nil
}

// do sends a request that has no result but its error.
func (s *Store) do(ctx context.Context, request func(c *zk.Conn) error) error {
	_, err := ask(ctx, s.link, func(c *zk.Conn, _ bool) (struct{}, error) { return struct{}{}, request(c) })
	return err
}
