// SPDX-License-Identifier: Apache-2.0

package zookeeper

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"

	"roundhouse/discovery"
)

// ErrDeleted says that somebody, who can only be a gateway, deleted the node of an engine: it is to
// stop gracefully.
var ErrDeleted = errors.New("ZooKeeper: the node of the engine was deleted")

// EngineOptions are what an engine needs to know to register itself.
type EngineOptions struct {
	Addresses                         []string
	Chroot                            string
	SessionTimeout, ConnectionTimeout time.Duration
	TLS                               *tls.Config
	Log                               *slog.Logger
	// Path is the engine space.
	Path string
	Node discovery.Node
	// Key is that of the engine's discovery.Credential.
	Key string
	// Gateways is Store.ACLText.
	Gateways string
}

// Engine keeps the node of one engine, as an engine may: with no right but to create it.
type Engine struct {
	link    *link
	acl     []zk.ACL
	folder  string
	prefix  string
	address string
	path    string
	session int64
}

// NewEngine connects and makes the node.
func NewEngine(ctx context.Context, o EngineOptions) (*Engine, error) {
	self := engine(discovery.Credential{RefID: o.Node.RefID, Key: o.Key})
	n := o.Node
	n.Sequence = 0
	acl, err := parseACL(o.Gateways)
	if err := errors.Join(err, n.Check()); err != nil {
		return nil, err
	}
	e := &Engine{acl: append(acl, may(zk.PermRead, self)...), folder: o.Chroot + o.Path, prefix: prefix(n), address: n.Address}
	e.link, err = connect(ctx, connection{Addresses: o.Addresses, SessionTimeout: o.SessionTimeout, ConnectionTimeout: o.ConnectionTimeout,
		TLS: o.TLS, Log: o.Log, identities: []identity{self}, maxPacket: maxPacket}.withDefaults(), func(zk.Event) {})
	if err != nil {
		return nil, err
	}
	if err := e.create(ctx); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// parseACL reads Store.ACLText.
func parseACL(text string) (acl []zk.ACL, err error) {
	for who := range strings.SplitSeq(text, ",") {
		id, ok := strings.CutPrefix(who, digest+":")
		if !ok {
			return nil, fmt.Errorf("ZooKeeper: %.40q names no gateway", who)
		}
		acl = append(acl, zk.ACL{Perms: zk.PermAll, Scheme: digest, ID: id})
	}
	return acl, nil
}

// create makes the node. After a lost answer there may be two until the session ends: an engine may not look for the
// first one.
func (e *Engine) create(ctx context.Context) error {
	path, err := ask(ctx, e.link, func(c *zk.Conn, _ bool) (string, error) {
		return c.Create(e.folder+"/"+e.prefix, []byte(e.address), zk.FlagEphemeralSequential, e.acl)
	})
	if err == nil {
		e.path, e.session = path, e.link.conn.SessionID()
	}
	return err
}

// Run keeps the node until ctx ends, which is nil, or until somebody deletes it, which is ErrDeleted. It looks
// twice a second.
func (e *Engine) Run(ctx context.Context) error {
	look := time.NewTicker(retryAfter)
	defer look.Stop()
	for {
		_, err := readData(ctx, e.link, e.path, false)
		if errors.Is(err, zk.ErrNoNode) {
			err = e.restore(ctx)
		}
		if errors.Is(err, ErrDeleted) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			e.link.log.Debug("ZooKeeper: the engine's node cannot be kept yet", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
}

// restore makes the node again if it went with its ZooKeeper session. Only a request that the leader
// decides shows that the session lives, and with it a node that nobody deleted.
func (e *Engine) restore(ctx context.Context) error {
	_, err := ask(ctx, e.link, func(c *zk.Conn, _ bool) ([]zk.MultiResponse, error) {
		return c.Multi(&zk.CheckVersionRequest{Path: e.path, Version: -1})
	})
	if err == nil || !errors.Is(err, zk.ErrNoNode) && !errors.Is(err, zk.ErrNoAuth) {
		return err
	}
	if e.link.conn.SessionID() == e.session {
		return ErrDeleted
	}
	return e.create(ctx)
}

// Close ends the ZooKeeper session, and with it the node.
func (e *Engine) Close() { e.link.close() }
