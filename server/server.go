// SPDX-License-Identifier: Apache-2.0

// Package server puts the gateway together: wire.go builds the parts in order,
// this file runs and ends them.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"

	"golang.org/x/sync/errgroup"

	"roundhouse/auth"
	"roundhouse/conf"
	"roundhouse/discovery/embedded"
	"roundhouse/engine"
	"roundhouse/server/frontend"
	"roundhouse/server/rest"
	"roundhouse/session"
)

// Server is one gateway.
type Server struct {
	store    *embedded.Store
	engines  *engine.Manager
	sessions *session.Manager
	auth     auth.Authenticator
	front    *frontend.Server
	rest     *rest.Server
	log      *slog.Logger
	ready    chan struct{}
	address  string
}

// New builds a gateway of a configuration and binds its ports; nothing is served
// before Run. Errors name the setting to change.
func New(c *conf.Conf, log *slog.Logger) (*Server, error) {
	if !conf.ConnectEnabled.Get(c) {
		return nil, errors.New("nothing to serve: set " + conf.ConnectEnabled.Key + "=true")
	}
	return build(c, log)
}

// Ready is closed once clients are served.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// ConnectAddr is the host:port that Spark Connect clients dial.
func (s *Server) ConnectAddr() string { return s.address }

// RESTAddr is the host:port of the REST API.
func (s *Server) RESTAddr() string { return s.rest.Addr().String() }

// Run serves until ctx ends. The doors close first: the Connect frontend lets
// its calls end for the shutdown time while engines can still register; then
// sessions and engines are let go, and the store is closed last.
func (s *Server) Run(ctx context.Context) error {
	inner, stopInner := context.WithCancel(context.WithoutCancel(ctx))
	defer stopInner()
	var parts errgroup.Group
	parts.Go(func() error { return s.engines.Run(inner) })
	if err := s.sessions.Restore(ctx); err != nil {
		stopInner()
		return errors.Join(err, parts.Wait(), s.store.Close())
	}
	parts.Go(func() error { return s.sessions.Run(inner) })
	if a, ok := s.auth.(runner); ok {
		parts.Go(func() error { return a.Run(inner) })
	}
	doors, doorsCtx := errgroup.WithContext(ctx)
	doors.Go(func() error { return s.rest.Run(doorsCtx) })
	doors.Go(func() error { return s.front.Run(doorsCtx) })
	close(s.ready)
	err := doors.Wait()
	stopInner()
	return errors.Join(err, parts.Wait(), s.store.Close())
}

// runner is what long-lived parts are.
type runner interface {
	Run(ctx context.Context) error
}

// readyErr says why the gateway takes no sessions now.
func (s *Server) readyErr() error {
	select {
	case <-s.ready:
		return nil
	default:
		return errors.New("the gateway is starting")
	}
}

// dialable is the address that a local process or client can dial for a bound
// one: the wildcard address becomes the loopback one.
func dialable(bound net.Addr) string {
	tcp, ok := bound.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return bound.String()
	}
	return (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: tcp.Port}).String()
}
