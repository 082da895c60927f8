// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // compressed requests are read before they are stamped
	"google.golang.org/grpc/keepalive"

	"roundhouse/internal/door"
	"roundhouse/internal/errs"
	"roundhouse/internal/tlsx"
	"roundhouse/server/proxy"
)

// Limits of the transport. Sources: facts on client keepalive (PySpark 4.3
// pings every 60 s, also without calls), message sizes and attacks.
const (
	framingSlack     = 64 << 10
	maxStreams       = 1000
	maxHeaderBytes   = 64 << 10
	handshakeTimeout = 10 * time.Second
	streamWindow     = 1 << 20
	connWindow       = 4 << 20
	pingMinTime      = 10 * time.Second
	pingTime         = 60 * time.Second
	pingTimeout      = 20 * time.Second
	// longestRest bounds what is left of the drain time after the calls were cut,
	// for their answers to leave, and again for the rest of the gateway to end.
	longestRest = 5 * time.Second
)

// Conductor decides about calls and ends them; it is a Director.
type Conductor interface {
	proxy.Director
	// LetGo ends the calls that wait, now and later.
	LetGo(why error)
	// CutAll ends the calls under way, of which there are so many, with why for an answer.
	CutAll(why error) int
	// Calls is how many calls are under way.
	Calls() int
}

// ServerOptions are the settings of a Server.
type ServerOptions struct {
	// Address is host:port to listen on.
	Address string
	// TLS is nil for plaintext.
	TLS *tlsx.Server
	// MaxMessage is the largest message in bytes, both ways.
	MaxMessage int
	// Strangers is how many connections of one address may be open on which no
	// call was authenticated; 0 means any number.
	Strangers int
	// DrainTimeout bounds the end of the whole gateway: calls that are still under way
	// shortly before are cut.
	DrainTimeout time.Duration
	Director     Conductor
	// Tokens is served beside the Connect service. Optional.
	Tokens *TokenDoor
	Log    *slog.Logger
}

// Server is the gRPC listener of the gateway.
type Server struct {
	opts   ServerOptions
	listen net.Listener
	grpc   *grpc.Server
	health *health
}

// Listen binds the address, so that a taken port is known before anything else
// starts.
func Listen(o ServerOptions) (*Server, error) {
	l, err := net.Listen("tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("the Spark Connect frontend cannot listen on %s (kyuubi.frontend.spark.connect.bind.host and kyuubi.frontend.spark.connect.bind.port): %w", o.Address, err)
	}
	p := proxy.New(o.Director)
	g := grpc.NewServer(grpcOptions(o, p)...)
	p.Register(g)
	if o.Tokens != nil {
		o.Tokens.register(g)
	}
	h := &health{}
	h.register(g)
	return &Server{opts: o, listen: door.New(l, o.Strangers), grpc: g, health: h}, nil
}

// Addr is the bound address.
func (s *Server) Addr() net.Addr { return s.listen.Addr() }

// Run serves until ctx ends, then sends clients elsewhere: no connection and no
// session is taken any more, calls that wait for engines get UNAVAILABLE, connections
// GOAWAY. Streams end by the engine's own rule, or with UNAVAILABLE when the drain
// time is nearly over, after which clients reattach.
func (s *Server) Run(ctx context.Context) error {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { s.drain(); close(stopped) })
	err := s.grpc.Serve(s.listen)
	if stop() {
		return fmt.Errorf("Spark Connect frontend: %w", err)
	}
	<-stopped
	return nil
}

// Calls is how many calls are under way.
func (s *Server) Calls() int { return s.opts.Director.Calls() }

func (s *Server) drain() {
	s.opts.Director.LetGo(errs.New(errs.ShuttingDown, "This gateway is ending and launches no engine any more. The client tries again by itself."))
	s.health.draining.Store(true)
	rest := min(s.opts.DrainTimeout/10, longestRest)
	cut := time.AfterFunc(s.opts.DrainTimeout-2*rest, s.cutAll)
	defer cut.Stop()
	stop := time.AfterFunc(s.opts.DrainTimeout-rest, s.grpc.Stop) // for clients that do not read
	defer stop.Stop()
	s.grpc.GracefulStop()
}

func (s *Server) cutAll() {
	cut := s.opts.Director.CutAll(errs.New(errs.ShuttingDown, "This gateway is ending and the call was still under way after %v. "+
		"Its query goes on; the client asks for the rest by itself.", s.opts.DrainTimeout))
	s.opts.Log.Warn("calls were cut, because the gateway has to end", "calls", cut, "timeout", s.opts.DrainTimeout)
}

func grpcOptions(o ServerOptions, p *proxy.Proxy) []grpc.ServerOption {
	opts := []grpc.ServerOption{
		grpc.ForceServerCodecV2(proxy.Codec()),
		grpc.UnknownServiceHandler(p.UnknownHandler),
		grpc.MaxRecvMsgSize(o.MaxMessage + framingSlack),
		grpc.MaxSendMsgSize(o.MaxMessage + framingSlack),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingMinTime, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingTime, Timeout: pingTimeout}),
	}
	security := insecure.NewCredentials()
	if o.TLS != nil {
		security = newHandshaker(o.TLS)
	}
	return append(opts, grpc.Creds(newPacer(security, o.Log)))
}

// Close releases the port of a server that was never run.
func (s *Server) Close() { s.grpc.Stop(); _ = s.listen.Close() }
