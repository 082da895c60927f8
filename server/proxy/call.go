// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// Service is the gRPC service that the proxy carries.
const Service = "spark.connect.SparkConnectService"

// Call is what is known of a call before its first message is read.
type Call struct {
	// Method is the last part of the path: "ExecutePlan". It may be unknown.
	Method string
	// Header is the client's metadata, lower-case keys.
	Header metadata.MD
	// Peer is the address of the direct peer.
	Peer net.Addr
	// Secure says that the call came over TLS.
	Secure bool
	// Certificate is the client's, verified by TLS; nil without one.
	Certificate *x509.Certificate
	// Admitted is what Director.Admit left for Director.Route.
	Admitted any
	// Left, if Admit set it, is called once when the call is over, on every path.
	Left func()

	sendHeader func() error
}

// SendHeader sends the response headers now, before the engine has spoken, so
// that balancers and clients see life while a call is held.
func (c *Call) SendHeader() {
	if c.sendHeader != nil {
		_ = c.sendHeader() // a client that is gone is noticed by its context
		c.sendHeader = nil
	}
}

func (c *Call) leave() {
	if c.Left != nil {
		c.Left()
	}
}

// Director decides about calls. Errors of both methods are sent to the client
// as they are.
type Director interface {
	// Admit authenticates on the headers alone, for every path under Service.
	Admit(ctx context.Context, c *Call) error
	// Route decides by the first message; it may wait as long as ctx lives.
	Route(ctx context.Context, c *Call, first Request) (*Route, error)
}

// Route is where a call goes: to Conn, or answered by Reply.
type Route struct {
	// Conn leads to the engine; nil when the gateway answers itself.
	Conn grpc.ClientConnInterface
	// Life, if not nil, is what the call lives in, derived from its context: its
	// end ends the call, with the cause for an answer.
	Life context.Context
	// Stamp goes onto every message of the call.
	Stamp Stamp
	// Header is the metadata for the engine.
	Header metadata.MD
	// Message, if not nil, is sent in place of the first message (and stamped).
	Message []byte
	// Reply are the gateway's own response messages, used when Conn is nil, and
	// by unary calls when Fail finds that nothing failed.
	Reply []proto.Message
	// Timeout bounds the call; 0 means the client's deadline alone.
	Timeout time.Duration
	// Further, if not nil, is asked about each message after the first one. Its
	// error, INVALID_ARGUMENT or RESOURCE_EXHAUSTED, ends the call. It runs in
	// another goroutine than Done.
	Further func(Request) error
	// Idle, if not 0, is how long each further message of a client may take to be
	// complete; then the call ends with Idled, of code RESOURCE_EXHAUSTED.
	Idle  time.Duration
	Idled error
	// Sent, if not nil, is told that the client has sent its last message, before
	// the engine is. It runs in another goroutine than Done.
	Sent func()
	// Edit, if not nil, may change the reply of a unary call.
	Edit func(reply []byte) ([]byte, error)
	// Fail translates an error of the engine hop into what the client gets; nil
	// means Reply, where there is one.
	Fail func(ctx context.Context, err error) error
	// Done, if not nil, hears the outcome once, after the last byte, also when the
	// call panics.
	Done func(err error)
}

func (r *Route) fail(ctx context.Context, err error) error {
	if err != nil && r.Life != nil && r.Life.Err() != nil && ctx.Err() == nil {
		return context.Cause(r.Life)
	}
	if err == nil || r.Fail == nil {
		return err
	}
	return r.Fail(ctx, err)
}

func (r *Route) sent() {
	if r.Sent != nil {
		r.Sent()
	}
}

// errUnfinished is the outcome of a call that panics.
var errUnfinished = errors.New("the call did not finish")

// run carries the call and tells Done its outcome on every path.
func (r *Route) run(carry func() error) (err error) {
	err = errUnfinished
	defer func() { r.done(err) }()
	err = carry()
	return err
}

func (r *Route) done(err error) {
	if r.Done != nil {
		r.Done(err)
	}
}
