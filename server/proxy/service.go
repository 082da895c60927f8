// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"roundhouse/internal/errs"
)

// The methods of the service by shape. Methods that Spark adds later are
// carried by the unknown-service handler.
var (
	unaryMethods = []string{
		"AnalyzePlan", "Config", "ArtifactStatus", "Interrupt", "ReleaseExecute",
		"ReleaseSession", "FetchErrorDetails", "CloneSession", "GetStatus",
	}
	serverStreams = []string{"ExecutePlan", "ReattachExecute"}
	clientStreams = []string{"AddArtifacts"}
)

// firstMessageTime is how long the first message of a call may take to be
// complete, as that of a later message of an upload by default: until then the
// gateway holds what came of it, and nobody hears of the call.
const firstMessageTime = 2 * time.Minute

// Proxy carries calls as its Director decides.
type Proxy struct {
	director Director
	patience time.Duration // firstMessageTime
}

// New returns a proxy that asks d about each call.
func New(d Director) *Proxy { return &Proxy{director: d, patience: firstMessageTime} }

// Register adds the Connect service to s, which must use Codec, and returns
// nothing else: unknown methods go through UnknownHandler.
func (p *Proxy) Register(s *grpc.Server) {
	desc := &grpc.ServiceDesc{ServiceName: Service}
	for _, m := range unaryMethods {
		desc.Methods = append(desc.Methods, grpc.MethodDesc{MethodName: m, Handler: p.unaryHandler(m)})
	}
	for _, m := range serverStreams {
		desc.Streams = append(desc.Streams, grpc.StreamDesc{StreamName: m, ServerStreams: true, Handler: p.streamHandler(m)})
	}
	for _, m := range clientStreams {
		desc.Streams = append(desc.Streams, grpc.StreamDesc{StreamName: m, ClientStreams: true, Handler: p.duplexHandler(m)})
	}
	s.RegisterService(desc, nil)
}

// UnknownHandler serves what no registered service knows: later methods of the
// Connect service are forwarded under the director's rule, anything else is
// refused.
func (p *Proxy) UnknownHandler(_ any, s grpc.ServerStream) error {
	full, _ := grpc.MethodFromServerStream(s)
	method, ok := strings.CutPrefix(full, "/"+Service+"/")
	if !ok {
		return errs.Status(errs.New(errs.UnsupportedMethod, "This gateway serves %s and grpc.health.v1.Health, not %q.", Service, full)).Err()
	}
	return p.duplexHandler(method)(nil, s)
}

// secureInfo is the credentials.AuthInfo of a connection over TLS.
type secureInfo interface {
	// Certificate is the client's that is good now; nil without one.
	Certificate() *x509.Certificate
}

// NewCall is what is known of a call to a gRPC server before its first message
// is read.
func NewCall(ctx context.Context, method string) *Call {
	c := &Call{Method: method}
	c.Header, _ = metadata.FromIncomingContext(ctx)
	if pr, ok := peer.FromContext(ctx); ok {
		c.Peer = pr.Addr
		if info, ok := pr.AuthInfo.(secureInfo); ok {
			c.Secure, c.Certificate = true, info.Certificate()
		}
	}
	return c
}

// first receives the first message of a call.
func (p *Proxy) first(method string, receive func(any) error) ([]byte, error) {
	var in Frame
	late, err := Within(p.patience, func() error { return receive(&in) })
	switch {
	case late:
		return nil, errs.Status(errs.New(errs.LimitExceeded, "The request message of the %s call was not complete within %v and the call was ended. "+
			"Try again; large local data travels better as a file.", method, p.patience)).Err()
	case errors.Is(err, io.EOF):
		return nil, errs.Status(errs.New(errs.InvalidRequest, "The %s call ended without a request message.", method)).Err()
	case err != nil:
		return nil, err
	}
	return in.Bytes(), nil
}

// route scans the first message and asks the director.
func (p *Proxy) route(ctx context.Context, c *Call, raw []byte) (*Route, Request, error) {
	req, err := Scan(raw)
	if err != nil {
		return nil, req, malformed(c.Method, err)
	}
	r, err := p.director.Route(ctx, c, req)
	if err != nil {
		return nil, req, err
	}
	if r.Message != nil {
		if req, err = Scan(r.Message); err != nil {
			r.done(err)
			return nil, req, errs.Status(errs.New(errs.Internal, "The rewritten %s request cannot be read: %v.", c.Method, err)).Err()
		}
	}
	return r, req, nil
}

// upstream is the context of the engine side of a call: the client's deadline
// and cancellation, and only the metadata that the director let through.
func (r *Route) upstream(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	if r.Life != nil {
		ctx = r.Life
	}
	ctx = metadata.NewOutgoingContext(ctx, r.Header)
	if r.Timeout <= 0 {
		return context.WithCancelCause(ctx)
	}
	timed, stop := context.WithTimeout(ctx, r.Timeout)
	up, cancel := context.WithCancelCause(timed)
	return up, func(cause error) { cancel(cause); stop() }
}

func malformed(method string, err error) error {
	return errs.Status(errs.New(errs.InvalidRequest, "The %s request cannot be read: %v.", method, err)).Err()
}

// passTrailer is what goes on of the engine's trailer. The details of a status
// travel inside the error, from which grpc writes them again; a second copy
// would contradict an error that was translated.
func passTrailer(md metadata.MD) metadata.MD {
	md.Delete("grpc-status-details-bin")
	return md
}
