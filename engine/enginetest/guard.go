// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// guard checks the bearer token before anything else and shows requests to
// the test.
type guard struct{ opts Options }

// authenticate compares the last authorization value, as the real engine does.
func (g guard) authenticate(ctx context.Context) error {
	if g.opts.Token == "" {
		return nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	values := md.Get("authorization")
	if len(values) == 0 {
		return status.Error(codes.Unauthenticated, "No authentication token provided")
	}
	if values[len(values)-1] != "Bearer "+g.opts.Token {
		return status.Error(codes.Unauthenticated, "Invalid authentication token")
	}
	return nil
}

func (g guard) show(ctx context.Context, method string, m any) error {
	if g.opts.OnMessage == nil {
		return nil
	}
	return g.opts.OnMessage(ctx, method, m.(proto.Message))
}

func (g guard) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := g.authenticate(ctx); err != nil {
		return nil, err
	}
	if err := g.show(ctx, info.FullMethod, req); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (g guard) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := g.authenticate(s.Context()); err != nil {
		return err
	}
	return next(srv, &shownStream{ServerStream: s, guard: g, method: info.FullMethod})
}

// shownStream shows each received message to the test.
type shownStream struct {
	grpc.ServerStream
	guard  guard
	method string
}

// RecvMsg implements grpc.ServerStream.
func (s *shownStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return s.guard.show(s.Context(), s.method, m)
}
