// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"roundhouse/discovery"
	"roundhouse/discovery/zookeeper"
)

const (
	// zooLastRetry bounds the pause before the engine tries again to make its node.
	zooLastRetry = 2 * time.Second
	// zooSettle is for how long sessions may come after the node is gone.
	zooSettle = 3 * time.Second
)

// zooSettings are the properties of an engine that registers in ZooKeeper.
type zooSettings struct {
	addresses, gateways, truststore string
	session, connection             time.Duration
	tls                             bool
}

func (r *reader) zooKeeper() *zooSettings {
	const p = "spark.kyuubi.ha."
	if r.props[p+"addresses"] == "" {
		return nil
	}
	const z = p + "zookeeper."
	return &zooSettings{
		addresses: r.props[p+"addresses"], gateways: r.required(z + "acl.gateways"),
		session: r.millis(z+"session.timeout", time.Minute), connection: r.millis(z+"connection.timeout", 15*time.Second),
		tls: r.props[z+"ssl.enabled"] == "true", truststore: r.props[z+"ssl.truststore.path"],
	}
}

// config is that of the client's TLS; nil without.
func (z zooSettings) config() (*tls.Config, error) {
	if !z.tls || z.truststore == "" {
		return map[bool]*tls.Config{true: {}}[z.tls], nil
	}
	text, err := os.ReadFile(z.truststore)
	if err != nil {
		return nil, fmt.Errorf("truststore: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("truststore: %s has no certificate", z.truststore)
	}
	return &tls.Config{RootCAs: roots}, nil
}

// zooRegistrar keeps the engine's node in ZooKeeper.
type zooRegistrar struct {
	options  zookeeper.EngineOptions
	giveUpAt time.Time
	listener

	leave chan struct{} // closed when the node is to go
	once  sync.Once
	left  chan struct{} // closed when it is gone
}

func newZooRegistrar(s settings, k keys, node string, l listener) (*zooRegistrar, error) {
	n, err := discovery.ParseNode(node)
	if err != nil {
		return nil, err
	}
	config, err := s.zoo.config()
	if err != nil {
		return nil, err
	}
	servers, chroot, below := strings.Cut(s.zoo.addresses, "/")
	if below {
		chroot = "/" + chroot
	}
	return &zooRegistrar{
		options: zookeeper.EngineOptions{
			Addresses: strings.Split(servers, ","), Chroot: chroot, TLS: config,
			SessionTimeout: s.zoo.session, ConnectionTimeout: s.zoo.connection,
			Path: s.path, Node: n, Key: k.zoo, Gateways: s.zoo.gateways,
		},
		giveUpAt: s.giveUpAt, listener: l, leave: make(chan struct{}), left: make(chan struct{}),
	}, nil
}

// Run keeps the node until ctx ends, deregister is called or somebody deletes it.
func (r *zooRegistrar) Run(ctx context.Context) {
	defer close(r.left)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { // ends with ctx
		defer stop()
		select {
		case <-r.leave:
		case <-ctx.Done():
		}
	}()
	engine, err := r.register(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.ended(failure("the engine could not register in ZooKeeper within the initialize timeout: " + err.Error()))
		}
		return
	}
	r.registered(welcome{})
	err = engine.Run(ctx)
	engine.Close()
	if errors.Is(err, zookeeper.ErrDeleted) {
		r.deregistered()
	}
}

// register tries until it has made the node, or until the initialize timeout.
func (r *zooRegistrar) register(ctx context.Context) (*zookeeper.Engine, error) {
	limited, cancel := context.WithDeadline(ctx, r.giveUpAt)
	defer cancel()
	var last error
	for retry := firstRetry; ; retry = min(2*retry, zooLastRetry) {
		engine, err := zookeeper.NewEngine(limited, r.options)
		if err == nil {
			return engine, nil
		}
		if limited.Err() == nil {
			last = err
		}
		if !wait(limited, retry) {
			return nil, errors.Join(last, limited.Err())
		}
	}
}

// deregister removes the node; without ZooKeeper it goes with the session timeout.
func (r *zooRegistrar) deregister(ctx context.Context, _ verdict, limit time.Duration) answerKind {
	r.once.Do(func() { close(r.leave) })
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-r.left:
		return answerOK
	case <-ctx.Done():
		return answerNone
	}
}

// settle implements registration.
func (r *zooRegistrar) settle() time.Duration { return zooSettle }
