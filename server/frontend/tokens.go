// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"roundhouse/auth"
	"roundhouse/internal/errs"
	pb "roundhouse/proto/gen/kyuubi/auth"
	"roundhouse/server/proxy"
)

const (
	// strangersReading bounds the requests that are read before anybody is known: in
	// two of the three calls the token is the message.
	strangersReading = 4
	// tokenMessageTime is how long the message of a call may take.
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
	// Used notes that a token is used with a session of its user.
	Used(id, session string)
}

// TokenDoor serves kyuubi.auth.SparkConnectAuthService, the three calls of the
// client kyuubi-spark-connect. Make it with NewTokenDoor.
type TokenDoor struct {
	d       *Director
	reading chan struct{}
}

// NewTokenDoor serves the tokens of a director behind its authentication.
func NewTokenDoor(d *Director) *TokenDoor {
	return &TokenDoor{d: d, reading: make(chan struct{}, strangersReading)}
}

// tokenCall is one of the calls; decode reads the request.
type tokenCall func(ctx context.Context, c *proxy.Call, decode func(any) error) (any, error)

func (t *TokenDoor) register(s *grpc.Server) {
	desc := &grpc.ServiceDesc{ServiceName: pb.SparkConnectAuthService_ServiceDesc.ServiceName}
	for name, serve := range map[string]tokenCall{"GetToken": t.get, "RenewToken": t.renew, "RevokeToken": t.revoke} {
		desc.Methods = append(desc.Methods, grpc.MethodDesc{MethodName: name, Handler: t.handler(name, serve)})
	}
	s.RegisterService(desc, nil)
}

func (t *TokenDoor) handler(name string, serve tokenCall) grpc.MethodHandler {
	return func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		c := proxy.NewCall(ctx, name)
		reply, err := serve(ctx, c, decode)
		t.d.Observer.CallDone("/"+pb.SparkConnectAuthService_ServiceDesc.ServiceName+"/"+name, errs.Status(err).Code().String())
		if err != nil {
			return nil, t.d.clientError(c, err)
		}
		return reply, nil
	}
}

// get issues a token. The caller is known before the message is read.
func (t *TokenDoor) get(ctx context.Context, c *proxy.Call, decode func(any) error) (any, error) {
	by, err := t.d.authenticate(ctx, c)
	if err == nil {
		err = t.d.Denied(by.User, host(c.Peer))
	}
	if err == nil {
		err = within(tokenMessageTime, decode, &pb.GetTokenRequest{})
	}
	if err != nil {
		return nil, err
	}
	text, expires, err := t.d.Tokens.Issue(ctx, by)
	if err != nil {
		return nil, err
	}
	return &pb.GetTokenResponse{Token: text, ExpiresAtMs: expires.UnixMilli()}, nil
}

func (t *TokenDoor) renew(ctx context.Context, c *proxy.Call, decode func(any) error) (any, error) {
	var in pb.RenewTokenRequest
	by, err := t.holder(ctx, c, func() error { return within(tokenMessageTime, decode, &in) }, in.GetToken)
	if err != nil {
		return nil, err
	}
	expires, err := t.d.Tokens.Renew(ctx, by)
	if err != nil {
		return nil, err
	}
	return &pb.RenewTokenResponse{ExpiresAtMs: expires.UnixMilli()}, nil
}

func (t *TokenDoor) revoke(ctx context.Context, c *proxy.Call, decode func(any) error) (any, error) {
	var in pb.RevokeTokenRequest
	by, err := t.holder(ctx, c, func() error { return within(tokenMessageTime, decode, &in) }, in.GetToken)
	if err != nil {
		return nil, err
	}
	if err := t.d.Tokens.Revoke(ctx, by, by.Token); err != nil {
		return nil, err
	}
	return &pb.RevokeTokenResponse{}, nil
}

// holder is who has the token of a message, which counts as if it had come in
// the headers.
func (t *TokenDoor) holder(ctx context.Context, c *proxy.Call, receive func() error, token func() string) (auth.Identity, error) {
	select {
	case t.reading <- struct{}{}:
		defer func() { <-t.reading }()
	default:
		return auth.Identity{}, errs.New(errs.LimitExceeded, "Too many tokens are being renewed or revoked at the moment. Try again in a second.")
	}
	if err := receive(); err != nil {
		return auth.Identity{}, err
	}
	c.Header = metadata.Pairs("authorization", "Bearer "+token())
	by, err := t.d.authenticate(ctx, c)
	if err == nil && by.Token == "" {
		err = errs.New(errs.InvalidRequest, "This is no token that a gateway issued, so it can be neither renewed nor revoked here.")
	}
	return by, err
}

// within reads a message, or gives up; what reads ends with the call at the
// latest, and the call ends where this gives up.
func within(most time.Duration, decode func(any) error, in any) error {
	done := make(chan error, 1)
	go func() { done <- decode(in) }() // ends with the call, see above
	late := time.NewTimer(most)
	defer late.Stop()
	select {
	case err := <-done:
		return err
	case <-late.C:
		return errs.New(errs.LimitExceeded, "The request message was not complete within %v. Try again.", most)
	}
}
