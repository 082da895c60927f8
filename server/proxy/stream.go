// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

// streamHandler carries a call with one request and many responses in one
// goroutine.
func (p *Proxy) streamHandler(method string) grpc.StreamHandler {
	return func(_ any, s grpc.ServerStream) error {
		return p.stream(s, method, false)
	}
}

// duplexHandler carries a call whose client may go on sending.
func (p *Proxy) duplexHandler(method string) grpc.StreamHandler {
	return func(_ any, s grpc.ServerStream) error {
		return p.stream(s, method, true)
	}
}

// stream admits a streaming call, reads its first message, routes and carries it.
func (p *Proxy) stream(s grpc.ServerStream, method string, duplex bool) error {
	c := NewCall(s.Context(), method)
	c.sendHeader = func() error { return s.SendHeader(nil) }
	defer c.leave()
	if err := p.director.Admit(s.Context(), c); err != nil {
		return err
	}
	raw, err := p.first(method, s.RecvMsg)
	if err != nil {
		return err
	}
	r, req, err := p.route(s.Context(), c, raw)
	if err != nil {
		return err
	}
	return r.run(func() error { return r.stream(s, c, req, duplex) })
}

func (r *Route) stream(s grpc.ServerStream, c *Call, req Request, duplex bool) error {
	if r.Conn == nil {
		return r.replyAll(s)
	}
	ctx, cancel := r.upstream(s.Context())
	defer cancel(nil)
	desc := &grpc.StreamDesc{StreamName: c.Method, ServerStreams: true, ClientStreams: duplex}
	up, err := r.Conn.NewStream(ctx, desc, path(c.Method), grpc.ForceCodecV2(codec{}))
	if err != nil {
		return r.fail(s.Context(), err)
	}
	if err := send(up, req.Stamped(r.Stamp)); err != nil {
		return r.fail(s.Context(), err)
	}
	if duplex {
		// Ends when the client half-closes or either stream's context ends,
		// which is when this function has returned at the latest.
		go r.pumpRequests(s, up, cancel)
	} else if err := up.CloseSend(); err != nil {
		return r.fail(s.Context(), err)
	}
	return r.pumpResponses(s, up, c)
}

func (r *Route) replyAll(s grpc.ServerStream) error {
	for _, m := range r.Reply {
		if err := s.SendMsg(m); err != nil {
			return err
		}
	}
	return nil
}

// pumpResponses passes engine messages on, by reference and one at a time:
// the next one is received when grpc has taken the last one.
func (r *Route) pumpResponses(s grpc.ServerStream, up grpc.ClientStream, c *Call) error {
	for first := true; ; first = false {
		var f Frame
		err := up.RecvMsg(&f)
		if first && c.sendHeader != nil {
			header, _ := up.Header()
			_ = s.SetHeader(header) // fails only when the client is gone
		}
		if err != nil {
			s.SetTrailer(passTrailer(up.Trailer()))
			return r.ended(s.Context(), up.Context(), err)
		}
		if err := s.SendMsg(&f); err != nil {
			return err // the client is gone: a detach, not a cancel of the query
		}
	}
}

// ended is the outcome of a call whose engine side gave err: a request message
// that could not be read counts before what the engine says.
func (r *Route) ended(ctx, up context.Context, err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	switch cause := context.Cause(up); status.Code(cause) {
	case codes.InvalidArgument, codes.ResourceExhausted: // malformed, or too large
		return cause
	}
	return r.fail(ctx, err)
}

// pumpRequests stamps and passes on every further request message. A message
// that cannot be read ends the call.
func (r *Route) pumpRequests(s grpc.ServerStream, up grpc.ClientStream, cancel context.CancelCauseFunc) {
	for {
		var f Frame
		if err := r.receive(s, &f, cancel); err != nil {
			if errors.Is(err, io.EOF) {
				r.sent()
				_ = up.CloseSend() // its error shows in RecvMsg
				return
			}
			cancel(err)
			return
		}
		req, err := r.further(f.Bytes())
		if err != nil {
			cancel(err)
			return
		}
		if err := send(up, req.Stamped(r.Stamp)); err != nil {
			return // the reason shows in RecvMsg
		}
	}
}

// receive reads the next message of a client, which must be complete within Idle.
func (r *Route) receive(s grpc.ServerStream, f *Frame, cancel context.CancelCauseFunc) error {
	if r.Idle > 0 {
		defer time.AfterFunc(r.Idle, func() { cancel(r.Idled) }).Stop()
	}
	return s.RecvMsg(f)
}

// further reads a message after the first one and asks whether it may go on.
func (r *Route) further(raw []byte) (Request, error) {
	req, err := Scan(raw)
	if err != nil {
		return req, malformed("streamed", err)
	}
	if r.Further != nil {
		err = r.Further(req)
	}
	return req, err
}

// send sends raw. io.EOF means that the engine has ended the call: its status
// comes with the next receive, so it is no error here.
func send(up grpc.ClientStream, raw []byte) error {
	err := up.SendMsg(&Frame{Data: mem.BufferSlice{mem.SliceBuffer(raw)}})
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
