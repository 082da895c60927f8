// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"roundhouse/auth"
	"roundhouse/internal/errs"
	"roundhouse/internal/netaddr"
	pb "roundhouse/proto/gen/kyuubi/auth"
	"roundhouse/server/proxy"
)

const (
	// strangersReading bounds the requests of one network that are read before
	// anybody is known: in two of the three calls the token is the message.
	strangersReading = 16
	// strangersMessage is how long each may be, in bytes; tokens have 16 KiB at most.
	strangersMessage = 17 << 10
	// tokenMessageTime is how long the request of a stranger may take.
	tokenMessageTime = 5 * time.Second
)

// Tokens is what the frontend needs of the issuer of tokens. Its errors are of
// classes of errs.
type Tokens interface {
	// Issue makes a token for an authenticated caller.
	Issue(ctx context.Context, by auth.Identity) (text string, expires time.Time, err error)
	// Renew slides the token of the caller.
	Renew(ctx context.Context, by auth.Identity) (expires time.Time, err error)
	// Revoke ends a token of the caller.
	Revoke(ctx context.Context, by auth.Identity, id string) error
	// Used notes that a token is used with a session, and whose that is.
	Used(id, user, session string)
}

// TokenDoor serves kyuubi.auth.SparkConnectAuthService, the three calls of the
// client kyuubi-spark-connect. Make it with NewTokenDoor.
type TokenDoor struct {
	d       *Director
	reading tally // by network
	// patience is how long a request message may take.
	patience time.Duration
}

// NewTokenDoor serves the tokens of a director behind its authentication.
func NewTokenDoor(d *Director) *TokenDoor {
	return &TokenDoor{d: d, patience: tokenMessageTime}
}

// tokenCall is one of the calls.
type tokenCall func(ctx context.Context, c *proxy.Call) (any, error)

func (t *TokenDoor) register(s *grpc.Server) {
	desc := &grpc.ServiceDesc{ServiceName: pb.SparkConnectAuthService_ServiceDesc.ServiceName}
	for name, serve := range map[string]tokenCall{"GetToken": t.get, "RenewToken": t.renew, "RevokeToken": t.revoke} {
		desc.Methods = append(desc.Methods, grpc.MethodDesc{MethodName: name, Handler: t.handler(name, serve)})
	}
	s.RegisterService(desc, nil)
}

func (t *TokenDoor) handler(name string, serve tokenCall) grpc.MethodHandler {
	return func(_ any, ctx context.Context, _ func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		c := proxy.NewCall(ctx, name)
		reply, err := serve(ctx, c)
		if c.Left != nil {
			defer c.Left()
		}
		t.d.Observer.CallDone("/"+pb.SparkConnectAuthService_ServiceDesc.ServiceName+"/"+name, errs.Status(err).Code().String())
		if err != nil {
			return nil, t.d.clientError(c, err)
		}
		return reply, nil
	}
}

// get issues a token. Its message says nothing and is not read.
func (t *TokenDoor) get(ctx context.Context, c *proxy.Call) (any, error) {
	by, err := t.caller(ctx, c)
	if err != nil {
		return nil, err
	}
	text, expires, err := t.d.Tokens.Issue(ctx, by)
	if err != nil {
		return nil, err
	}
	return &pb.GetTokenResponse{Token: text, ExpiresAtMs: expires.UnixMilli()}, nil
}

func (t *TokenDoor) renew(ctx context.Context, c *proxy.Call) (any, error) {
	by, err := t.holder(ctx, c, &pb.RenewTokenRequest{})
	if err != nil {
		return nil, err
	}
	expires, err := t.d.Tokens.Renew(ctx, by)
	if err != nil {
		return nil, err
	}
	return &pb.RenewTokenResponse{ExpiresAtMs: expires.UnixMilli()}, nil
}

func (t *TokenDoor) revoke(ctx context.Context, c *proxy.Call) (any, error) {
	by, err := t.holder(ctx, c, &pb.RevokeTokenRequest{})
	if err != nil {
		return nil, err
	}
	if err := t.d.Tokens.Revoke(ctx, by, by.Token); err != nil {
		return nil, err
	}
	return &pb.RevokeTokenResponse{}, nil
}

// caller is who makes a call, if that one may use the gateway.
func (t *TokenDoor) caller(ctx context.Context, c *proxy.Call) (auth.Identity, error) {
	by, err := t.d.authenticate(ctx, c)
	if err != nil {
		return auth.Identity{}, err
	}
	by.Address = host(c.Peer)
	if err := t.d.enter(ctx, c, by); err != nil {
		return auth.Identity{}, err
	}
	return by, t.d.Denied(by.User, by.Address)
}

// tokenMessage is a request whose token is its proof.
type tokenMessage interface {
	proto.Message
	GetToken() string
}

// holder is who has the token of a message, which counts as if it had come in
// the headers.
func (t *TokenDoor) holder(ctx context.Context, c *proxy.Call, in tokenMessage) (auth.Identity, error) {
	network := netaddr.Network(host(c.Peer))
	if _, ok := t.reading.take(network, strangersReading); !ok {
		return auth.Identity{}, errs.New(errs.LimitExceeded, "Too many tokens are being renewed or revoked from %s at the moment. Try again in a second.", network)
	}
	defer t.reading.give(network)
	late, err := proxy.Within(t.patience, func() error { return readSmall(ctx, in) })
	if late {
		err = errs.New(errs.LimitExceeded, "The request message was not complete within %v. Try again.", t.patience)
	}
	if err != nil {
		return auth.Identity{}, err
	}
	c.Header = metadata.Pairs("authorization", "Bearer "+in.GetToken())
	by, err := t.caller(ctx, c)
	if err == nil && by.Token == "" {
		err = errs.New(errs.InvalidRequest, "This is no token that a gateway issued, so it can be neither renewed nor revoked here.")
	}
	return by, err
}

// wire is what the streams of grpc's servers can do besides what
// grpc.ServerTransportStream names: its own way to read knows one size for all
// callers.
type wire interface {
	ReadMessageHeader(header []byte) error
	Read(n int) (mem.BufferSlice, error)
}

// readSmall reads the message of a caller who is not known yet. What is long or
// compressed is refused by its five bytes of header (length-prefixed message of
// gRPC over HTTP/2), before there is any of it.
func readSmall(ctx context.Context, in proto.Message) error {
	from, ok := grpc.ServerTransportStreamFromContext(ctx).(wire)
	if !ok {
		return errors.New("this grpc does not let a message be measured before it is read")
	}
	var head [5]byte
	if err := from.ReadMessageHeader(head[:]); err != nil {
		return errs.Wrap(errs.InvalidRequest, err, "The call ended without a request message.")
	}
	size := binary.BigEndian.Uint32(head[1:])
	if head[0] != 0 || size > strangersMessage {
		return errs.New(errs.InvalidRequest, "The request message may have %d bytes, uncompressed.", strangersMessage)
	}
	data, err := from.Read(int(size))
	if err == nil {
		defer data.Free()
		err = proto.Unmarshal(data.Materialize(), in)
	}
	if err != nil {
		return errs.Wrap(errs.InvalidRequest, err, "The request message cannot be read.")
	}
	return nil
}
