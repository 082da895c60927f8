// SPDX-License-Identifier: Apache-2.0

// Package enginetest is a fake engine: a real gRPC server that speaks all of
// spark.connect.SparkConnectService as Spark 4.3 does, without Spark. Sessions,
// reattachable executions, tombstones and errors follow measurements of the
// real server, and conformance_test.go compares the two. What it does not do
// is compute: it understands ranges, a few SQL texts (see plan.go) and answers
// everything else with one small batch. Rows are a function of their number
// (see rows.go), so that a test can prove that none is lost or doubled.
package enginetest

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/proto"

	connect "roundhouse/proto/gen/spark/connect"
)

// Options configure an Engine. The zero value is an engine without a token on
// a free loopback port with the limits of Spark 4.3.
type Options struct {
	// Address to listen on; "" is 127.0.0.1:0.
	Address string
	// Token that calls must bear; "" accepts every call.
	Token string
	// SparkVersion is what AnalyzePlan says; "" is 4.3.0.
	SparkVersion string
	// Confs are the engine's own settings, visible in every session.
	Confs map[string]string

	// BatchRows is the number of rows of one Arrow batch of a range; 0 is 10000.
	BatchRows int64
	// RetryBuffer bounds the bytes of responses kept after they were sent; 0 is 10 MiB.
	RetryBuffer int64
	// MaxStreamDuration and MaxStreamSize end a reattachable stream that is older
	// or has sent more bytes; 0 is 2 min and 1 GiB.
	MaxStreamDuration time.Duration
	MaxStreamSize     int64
	// DetachedTimeout ends an operation that has had no stream for so long; 0 is 5 min.
	DetachedTimeout time.Duration
	// SessionTimeout closes a session without any access for so long; 0 is
	// 1 h, less is never.
	SessionTimeout time.Duration
	// MaintenanceInterval is how often the two timeouts are looked at; 0 is 30 s.
	MaintenanceInterval time.Duration

	// OnMessage, when set, sees every request message (each one of AddArtifacts)
	// before the engine does; the context carries the metadata. An error
	// ends the call with it.
	OnMessage func(ctx context.Context, method string, m proto.Message) error
	// Server are further options of the gRPC server, such as a codec that records.
	Server []grpc.ServerOption
	// OnSession, when set, hears of sessions opened and closed. It must not
	// call the engine.
	OnSession func(SessionEvent)
}

func (o Options) withDefaults() Options {
	setDefault(&o.Address, "127.0.0.1:0")
	setDefault(&o.SparkVersion, "4.3.0")
	setDefault(&o.BatchRows, 10000)
	setDefault(&o.RetryBuffer, 10<<20)
	setDefault(&o.MaxStreamDuration, 2*time.Minute)
	setDefault(&o.MaxStreamSize, 1<<30)
	setDefault(&o.DetachedTimeout, 5*time.Minute)
	setDefault(&o.SessionTimeout, time.Hour)
	setDefault(&o.MaintenanceInterval, 30*time.Second)
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Engine is a running fake engine.
type Engine struct {
	opts     Options
	server   *grpc.Server
	conns    *cutListener
	sessions *sessions
	stop     context.CancelFunc
	done     sync.WaitGroup // serving and maintenance
}

// New starts an engine; the error is that of listening.
func New(o Options) (*Engine, error) {
	o = o.withDefaults()
	lis, err := net.Listen("tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("fake engine: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	e := &Engine{opts: o, conns: newCutListener(lis), stop: stop, sessions: newSessions(ctx, o)}
	e.server = grpc.NewServer(serverOptions(o)...)
	connect.RegisterSparkConnectServiceServer(e.server, &service{opts: o, sessions: e.sessions})
	e.done.Go(func() { _ = e.server.Serve(e.conns) }) // Close waits
	e.done.Go(func() { e.sessions.maintain(ctx) })    // Close waits
	return e, nil
}

// serverOptions are the limits that a real engine shows to its peers: 128 MiB
// messages, 8 KiB of metadata, pings no more often than every 10 s.
func serverOptions(o Options) []grpc.ServerOption {
	return append([]grpc.ServerOption{
		grpc.MaxRecvMsgSize(128 << 20),
		grpc.MaxSendMsgSize(1<<31 - 1),
		grpc.MaxHeaderListSize(8192),
		grpc.InitialWindowSize(1 << 20),
		grpc.InitialConnWindowSize(1 << 20),
		grpc.SharedWriteBuffer(true),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.UnaryInterceptor(guard{o}.unary),
		grpc.StreamInterceptor(guard{o}.stream),
	}, o.Server...)
}

// Addr is the host:port to dial.
func (e *Engine) Addr() string { return e.conns.Addr().String() }

// Port is the TCP port of Addr.
func (e *Engine) Port() int { return e.conns.Addr().(*net.TCPAddr).Port }

// Close ends every stream and execution at once, as a killed driver would, and
// waits for its goroutines.
func (e *Engine) Close() {
	e.stop()
	e.server.Stop()
	e.sessions.closeAll()
	e.done.Wait()
	e.sessions.work.Wait()
}

// CutConnections breaks every connection with a TCP reset while executions go
// on and new connections are taken: a broken hop, not a dead engine.
func (e *Engine) CutConnections() { e.conns.cut() }

// Sessions lists the open sessions.
func (e *Engine) Sessions() []SessionInfo { return e.sessions.list() }

// CloseSession closes a session as the engine itself does after its timeout:
// later calls get SESSION_CLOSED. It reports whether the session was open.
func (e *Engine) CloseSession(user, id string) bool {
	return e.sessions.close(sessionKey{user, id}, false, ReasonClosed) != nil
}
