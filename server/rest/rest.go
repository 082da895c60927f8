// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"sync/atomic"
	"time"

	"roundhouse/auth"
	"roundhouse/internal/door"
	"roundhouse/internal/tlsx"
)

const (
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = time.Minute
	idleTimeout   = 2 * time.Minute
	// shutdownTimeout bounds how long calls under way may take at the end.
	shutdownTimeout = 2 * time.Second
	maxHeaderBytes  = 64 << 10
)

// Options are the parts that the REST server serves. All are required unless
// noted.
type Options struct {
	// Listener is where calls come in; Run closes it.
	Listener net.Listener
	// Strangers is how many connections of one address may be open on which no
	// call was authenticated; 0 means any number.
	Strangers int
	// TLS is nil for a port without; otherwise engines on this machine, and they
	// alone, are served in plain all the same.
	TLS           *tlsx.Server
	Authenticator auth.Authenticator
	Sessions      Sessions
	Engines       Engines
	Servers       Servers
	Registrar     Registrar
	Tokens        Tokens
	// Challenges are the schemes of credentials that the answer to a caller without
	// good ones names; none stands for Bearer.
	Challenges []string
	// Login is how people come by tokens.
	Login Login
	// Access decides who acts for whom and who is an operator; nil means nobody.
	Access Access
	People People
	// OnCall is told of calls that people want to know of later. Optional.
	OnCall func(Record)
	// Denied refuses users and addresses that may not use the gateway. Optional.
	Denied func(user, address string) error
	// Observer may be nil.
	Observer Observer
	// Metrics serves GET /metrics.
	Metrics http.Handler
	// Ready says why this gateway cannot take sessions now, or nil. The text is
	// public.
	Ready func() error
	// Remote is how clients reach the Spark Connect port.
	Remote Remote
	// CA is the file with the authority of the gateway's certificate, which need
	// not exist.
	CA string
	// Hosts are the host names, besides IP literals and localhost, that callers
	// may address this server by when nobody is authenticated.
	Hosts []string
	// Redaction matches keys and values of options that are not shown; nil is
	// Kyuubi's default pattern.
	Redaction *regexp.Regexp
	// Version is shown by GET /api/v1/version.
	Version string
	Log     *slog.Logger
}

// Server answers REST calls.
type Server struct {
	o       Options
	handler http.Handler
	// lastRefusal (epoch seconds) is when a refused call was last logged.
	lastRefusal atomic.Int64
}

// New checks the options and builds the server. Nothing is served before Run.
func New(o Options) (*Server, error) {
	for name, missing := range map[string]bool{
		"Listener": o.Listener == nil, "Authenticator": o.Authenticator == nil, "Sessions": o.Sessions == nil,
		"Engines": o.Engines == nil, "Servers": o.Servers == nil, "Registrar": o.Registrar == nil, "Tokens": o.Tokens == nil, "People": o.People == nil, "Metrics": o.Metrics == nil,
		"Ready": o.Ready == nil, "Log": o.Log == nil,
	} {
		if missing {
			return nil, fmt.Errorf("rest: %s is missing", name)
		}
	}
	if o.Redaction == nil {
		o.Redaction = defaultRedaction
	}
	if o.Denied == nil {
		o.Denied = func(string, string) error { return nil }
	}
	s := &Server{o: o}
	s.handler = s.protect(s.mux(routes()))
	return s, nil
}

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.o.Listener.Addr() }

// Handler answers calls without a listener.
func (s *Server) Handler() http.Handler { return s.handler }

// Run serves until ctx ends, then lets the calls under way finish for a short
// while. It returns nil after an orderly end.
func (s *Server) Run(ctx context.Context) error {
	handler := s.handler
	var listener net.Listener = door.New(s.o.Listener, s.o.Strangers)
	if s.o.TLS != nil {
		listener, handler = secureListener{listener, s.o.TLS, s.o.TLS.Config()}, secured(handler)
	}
	server := &http.Server{
		Handler:           handler,
		ConnContext:       withConn,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	// Run waits for this goroutine: Serve returns once Shutdown or Close was called.
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving REST on %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	err := shutDown(server)
	if serveErr := <-failed; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

func shutDown(server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return server.Close()
	}
	return nil
}
