// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
)

func (p *Proxy) unaryHandler(method string) grpc.MethodHandler {
	return func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		c := NewCall(ctx, method)
		c.sendHeader = func() error { return grpc.SendHeader(ctx, nil) }
		defer c.leave()
		if err := p.director.Admit(ctx, c); err != nil {
			return nil, err
		}
		raw, err := p.first(method, decode)
		if err != nil {
			return nil, err
		}
		r, req, err := p.route(ctx, c, raw)
		if err != nil {
			return nil, err
		}
		var reply any
		err = r.run(func() (err error) { reply, err = r.unary(ctx, c, req); return err })
		return reply, err
	}
}

func (r *Route) unary(ctx context.Context, c *Call, req Request) (any, error) {
	if r.Conn == nil {
		return r.Reply[0], nil
	}
	up, cancel := r.upstream(ctx)
	defer cancel(nil)
	var header, trailer metadata.MD
	out := &Frame{}
	in := &Frame{Data: mem.BufferSlice{mem.SliceBuffer(req.Stamped(r.Stamp))}}
	err := r.Conn.Invoke(up, path(c.Method), in, out,
		grpc.ForceCodecV2(codec{}), grpc.Header(&header), grpc.Trailer(&trailer))
	if c.sendHeader != nil {
		_ = grpc.SetHeader(ctx, header) // fails only when the client is gone
	}
	_ = grpc.SetTrailer(ctx, passTrailer(trailer))
	if err != nil {
		if err = r.fail(ctx, err); err == nil && len(r.Reply) > 0 {
			return r.Reply[0], nil
		}
		return nil, err
	}
	if r.Edit == nil {
		return out, nil
	}
	edited, err := r.Edit(out.Bytes())
	if err != nil {
		return nil, err
	}
	return &Frame{Data: mem.BufferSlice{mem.SliceBuffer(edited)}}, nil
}

func path(method string) string { return "/" + Service + "/" + method }
