// SPDX-License-Identifier: Apache-2.0

// Package server puts the gateway together: wire.go builds the parts in order,
// this file runs and ends them.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"roundhouse/auth"
	"roundhouse/conf"
	"roundhouse/discovery/zookeeper"
	"roundhouse/engine"
	"roundhouse/internal/errs"
	"roundhouse/internal/tlsx"
	"roundhouse/server/audit"
	"roundhouse/server/frontend"
	"roundhouse/server/rest"
	"roundhouse/session"
)

// Server is one gateway.
type Server struct {
	store records
	// cluster is the store where several gateways share it, else nil.
	cluster  *zookeeper.Store
	peers    *peers
	since    time.Time
	config   string // configuration, of this gateway
	engines  *engine.Manager
	sessions *session.Manager
	auth     auth.Authenticator
	access   *access
	people   runner
	audit    *audit.Log
	front    *frontend.Server
	rest     *rest.Server
	log      *slog.Logger
	ready    chan struct{}
	draining atomic.Bool
	// certificates are those of the doors, kept up to date.
	certificates []*tlsx.Server
	// address and restAddress are how people reach the two doors.
	address, restAddress string
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
func (s *Server) RESTAddr() string { return s.restAddress }

// Calls is how many calls of Spark Connect are under way.
func (s *Server) Calls() int { return s.front.Calls() }

// Run serves until ctx ends. Sessions are there before the first event of an
// engine is read, and what happened to them while no gateway ran is known before
// the first call, of engines that tell it within catchUpTime. At the end it is not
// ready any more and other gateways forget it; then the Connect frontend sends clients
// elsewhere and lets calls end for the shutdown time, while engines can still
// register; then the REST door, sessions and engines are
// let go, and the store is closed last. When withEngines is closed by the time
// that the doors are, the engines are stopped, too, unless other gateways serve them
// (*EnginesGoOnError); it may be nil. enginesTold says that they were told to stop.
func (s *Server) Run(ctx context.Context, withEngines <-chan struct{}) (enginesTold bool, err error) {
	inner, stopInner := context.WithCancel(context.WithoutCancel(ctx))
	defer stopInner()
	if err := s.sessions.Restore(ctx); err != nil {
		s.front.Close()
		return false, errors.Join(err, s.store.Close())
	}
	s.catchUp(ctx)
	var parts errgroup.Group
	for _, r := range s.runners() {
		parts.Go(func() error { return s.keep(inner, r) })
	}
	err = s.serve(ctx)
	select {
	case <-withEngines:
		goOn := s.endEngines(inner)
		enginesTold, err = goOn == nil, errors.Join(err, goOn)
	default:
	}
	stopInner()
	return enginesTold, errors.Join(err, parts.Wait(), s.store.Close(), s.audit.Close())
}

// runners are the parts that run as long as the gateway.
func (s *Server) runners() []runner {
	all := []runner{s.engines, s.sessions, s.access.rules, s.people}
	if s.cluster != nil {
		all = append(all, s.cluster, s.peers)
	}
	for _, c := range s.certificates {
		all = append(all, c)
	}
	if a, ok := s.auth.(runner); ok {
		all = append(all, a)
	}
	return all
}

// keep runs a part until ctx ends. One that ends before is told of at once: the gateway
// goes on without it.
func (s *Server) keep(ctx context.Context, r runner) error {
	err := r.Run(ctx)
	if err != nil && ctx.Err() == nil {
		s.log.Error("a part of the gateway has failed: restart the gateway", "err", err)
	}
	return err
}

// stopEngines asks all engines to stop and waits until they are gone, but not
// for ever: a process may be blocked in the kernel.
func (s *Server) stopEngines(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.engines.StopLimit())
	defer cancel()
	var all sync.WaitGroup
	for _, e := range s.engines.Engines() {
		all.Go(func() {
			err := s.engines.Stop(ctx, e.RefID, false, "the gateway is stopped together with its engines")
			if err != nil && !errs.Is(err, errs.NotFound) {
				s.log.Error("an engine was not stopped", "engine", e.RefID, "user", e.User, "pid", e.PID, "err", err)
			}
		})
	}
	all.Wait()
}

// catchUpTime is how long engines of an earlier gateway may take to tell of
// their sessions before calls are served all the same.
const catchUpTime = 1500 * time.Millisecond

func (s *Server) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, catchUpTime)
	defer cancel()
	s.engines.CatchUp(ctx)
}

// leaveTime bounds how long the other gateways may take to hear that this one ends.
const leaveTime = time.Second

// serve opens both doors until ctx ends or one of them fails.
func (s *Server) serve(ctx context.Context) error {
	doors, ended := errgroup.WithContext(ctx)
	frontCtx, closeFront := context.WithCancel(context.WithoutCancel(ctx))
	restCtx, closeREST := context.WithCancel(context.WithoutCancel(ctx))
	doors.Go(func() error { return s.rest.Run(restCtx) })
	doors.Go(func() error {
		defer closeREST()
		return s.front.Run(frontCtx)
	})
	doors.Go(func() error {
		<-ended.Done()
		s.goAway(ctx)
		closeFront()
		return nil
	})
	doors.Go(func() error {
		err := s.join(ended)
		if err == nil {
			close(s.ready)
		}
		return err
	})
	return doors.Wait()
}

// goAway keeps new clients from coming here.
func (s *Server) goAway(ctx context.Context) {
	s.draining.Store(true)
	s.log.Info("gateway is ending: new clients go elsewhere", "calls", s.Calls())
	if s.cluster == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	if err := s.cluster.Leave(ctx); err != nil {
		s.log.Warn("the other gateways were not told that this one ends", "err", err)
	}
}

// runner is what long-lived parts are.
type runner interface {
	Run(ctx context.Context) error
}

// readyErr says why the gateway takes no sessions now.
func (s *Server) readyErr() error {
	select {
	case <-s.ready:
	default:
		return errors.New("the gateway is starting")
	}
	if s.draining.Load() {
		return errors.New("the gateway is shutting down")
	}
	return nil
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

// reachable is an address that people can use for a bound one: the wildcard
// address becomes the name of this machine.
func reachable(bound net.Addr, name string) string {
	host, port, err := net.SplitHostPort(bound.String())
	if err != nil || !wildcard(host) || name == "" {
		return dialable(bound)
	}
	return net.JoinHostPort(name, port)
}

// wildcard says whether a host means all addresses.
func wildcard(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}
