// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"roundhouse/auth"
	"roundhouse/internal/errs"
	kyuubi "roundhouse/proto/gen/kyuubi/auth"
	pb "roundhouse/proto/gen/spark/connect"
	"roundhouse/server/proxy"
)

// byToken is an Authenticator: "Bearer id" has a token, "Basic name" has none,
// "Bearer old" has one that lapsed, "Bearer of mallory" one of mallory.
type byToken struct{}

func (byToken) Authenticate(_ context.Context, r auth.Request) (auth.Identity, error) {
	value := strings.Join(r.Header["authorization"], ",")
	if id, ok := strings.CutPrefix(value, "Bearer "); ok && r.Door == auth.DoorConnect && id != "bad" {
		user := "alice"
		if name, ok := strings.CutPrefix(id, "of "); ok {
			user = name
		}
		return auth.Identity{User: user, RealUser: user, Method: "TOKEN", Token: id, Lapsed: id == "old", Renew: "https://h:1"}, nil
	}
	if name, ok := strings.CutPrefix(value, "Basic "); ok {
		return auth.Identity{User: name, RealUser: name, Method: "LDAP"}, nil
	}
	return auth.Identity{}, errs.New(errs.Unauthenticated, "no credentials")
}

// desk is the issuer of these tests.
type desk struct{ used, revoked chan string }

func newDesk() desk { return desk{make(chan string, 10), make(chan string, 10)} }

func (desk) Issue(_ context.Context, by auth.Identity) (string, time.Time, error) {
	return "token of " + by.User, time.UnixMilli(42), nil
}

func (desk) Renew(_ context.Context, by auth.Identity) (time.Time, error) {
	if by.Lapsed {
		return time.Time{}, auth.Expired(by)
	}
	return time.UnixMilli(43), nil
}

func (d desk) Revoke(_ context.Context, _ auth.Identity, id string) error {
	d.revoked <- id
	return nil
}

func (d desk) Used(id, user, session string) { d.used <- id + " " + user + " " + session }

func with(t *testing.T, authorization string) context.Context {
	if authorization == "" {
		return t.Context()
	}
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", authorization)
}

func TestALapsedTokenGoesOnAndEnds(t *testing.T) {
	h := newHouse(t, nil)
	h.director.Auth = byToken{}
	require.NoError(t, h.version(with(t, "Bearer new")))
	var may []string
	methods := pb.File_spark_connect_base_proto.Services().ByName("SparkConnectService").Methods()
	names := []string{"OfALaterSpark"}
	for i := range methods.Len() {
		names = append(names, string(methods.Get(i).Name()))
	}
	for _, name := range names {
		c := &proxy.Call{Method: name, Header: metadata.Pairs("authorization", "Bearer old")}
		err := h.director.Admit(t.Context(), c)
		if err == nil {
			c.Left()
			may = append(may, name)
			continue
		}
		require.Equal(t, codes.Unauthenticated, status.Code(err), name)
		require.Contains(t, status.Convert(err).Message(), "[GATEWAY.TOKEN_EXPIRED]", name)
		require.Contains(t, status.Convert(err).Message(), "gateway login --url https://h:1", name)
	}
	require.ElementsMatch(t, []string{"ReattachExecute", "ReleaseExecute", "Interrupt", "ReleaseSession"}, may)
	require.NoError(t, h.release(with(t, "Bearer old"), false), "one's own session is ended")
}

func TestTheIssuerHearsWhichTokenHasWhichSession(t *testing.T) {
	h := newHouse(t, nil)
	d := newDesk()
	h.director.Auth, h.director.Tokens = byToken{}, d
	require.NoError(t, h.version(with(t, "Bearer t1")))
	require.Equal(t, "t1 alice "+h.id, <-d.used)
	require.NoError(t, h.version(with(t, "Basic alice")))
	require.NoError(t, h.release(with(t, "Bearer old"), false))
	require.Empty(t, d.used, "no token, or one that has lapsed")

	h = newHouse(t, nil)
	h.director.Auth, h.director.Tokens, h.director.Proxies = byToken{}, d, fakeProxies{h.sessions}
	require.NoError(t, h.version(as(t.Context(), "t1", proxyKey, "bob")))
	require.Equal(t, "t1 bob "+h.id, <-d.used, "the session is his")
}

// tokenClient is a connection to the service for tokens.
// refused hears what is refused to known callers; mallory may do nothing.
func tokenClient(t *testing.T, d desk, refused func(Refusal)) (*grpc.ClientConn, *TokenDoor) {
	t.Helper()
	h := newHouse(t, nil)
	h.director.Auth, h.director.Tokens = byToken{}, d
	h.director.OnRefused = refused
	h.director.Denied = func(user, address string) error {
		if user == "mallory" && address == "127.0.0.1" {
			return errs.New(errs.PermissionDenied, "No.")
		}
		return nil
	}
	door := NewTokenDoor(h.director)
	server, err := Listen(ServerOptions{Address: "127.0.0.1:0", MaxMessage: 1 << 20, DrainTimeout: time.Second, Log: h.director.Log, Director: h.director, Tokens: door})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- server.Run(ctx) }()
	conn, err := grpc.NewClient(server.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(); cancel(); require.NoError(t, <-over) })
	return conn, door
}

func TestTokensOverGRPC(t *testing.T) {
	d := newDesk()
	var refused []Refusal
	conn, door := tokenClient(t, d, func(r Refusal) { refused = append(refused, r) })
	c := kyuubi.NewSparkConnectAuthServiceClient(conn)
	got, err := c.GetToken(with(t, "Basic alice"), &kyuubi.GetTokenRequest{})
	require.NoError(t, err)
	require.Equal(t, "token of alice", got.GetToken())
	require.EqualValues(t, 42, got.GetExpiresAtMs())
	renewed, err := c.RenewToken(t.Context(), &kyuubi.RenewTokenRequest{Token: "t1"})
	require.NoError(t, err)
	require.EqualValues(t, 43, renewed.GetExpiresAtMs())
	_, err = c.RevokeToken(with(t, "Basic mallory"), &kyuubi.RevokeTokenRequest{Token: "t1"})
	require.NoError(t, err, "the token alone counts")
	require.Equal(t, "t1", <-d.revoked)

	for name, call := range map[string]func() error{
		"nobody":      func() error { _, err := c.GetToken(t.Context(), &kyuubi.GetTokenRequest{}); return err },
		"a bad token": func() error { _, err := c.GetToken(with(t, "Bearer bad"), &kyuubi.GetTokenRequest{}); return err },
		"renew a bad": func() error { _, err := c.RenewToken(t.Context(), &kyuubi.RenewTokenRequest{Token: "bad"}); return err },
		"renew nothing": func() error {
			_, err := c.RenewToken(with(t, "Basic alice"), &kyuubi.RenewTokenRequest{Token: "bad"})
			return err
		},
		"renew expired": func() error { _, err := c.RenewToken(t.Context(), &kyuubi.RenewTokenRequest{Token: "old"}); return err },
		"revoke a bad": func() error {
			_, err := c.RevokeToken(t.Context(), &kyuubi.RevokeTokenRequest{Token: "bad"})
			return err
		},
	} {
		require.Equal(t, codes.Unauthenticated, status.Code(call()), name)
	}
	require.Empty(t, refused, "nobody was known")
	_, err = c.GetToken(with(t, "Basic mallory"), &kyuubi.GetTokenRequest{})
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	_, err = c.RenewToken(t.Context(), &kyuubi.RenewTokenRequest{Token: "of mallory"})
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	_, err = c.RevokeToken(t.Context(), &kyuubi.RevokeTokenRequest{Token: "of mallory"})
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	require.Empty(t, d.revoked)
	require.Len(t, refused, 3)
	for i, method := range []string{"GetToken", "RenewToken", "RevokeToken"} {
		require.Equal(t, method, refused[i].Method)
		require.Equal(t, "mallory", refused[i].User)
		require.Equal(t, "127.0.0.1", host(refused[i].Peer))
	}

	fill := func(network string) {
		for range strangersReading {
			_, ok := door.reading.take(network, strangersReading)
			require.True(t, ok)
		}
	}
	fill("192.0.2.7")
	_, err = c.RenewToken(t.Context(), &kyuubi.RenewTokenRequest{Token: "t1"})
	require.NoError(t, err, "strangers of elsewhere are in nobody's way")
	fill("127.0.0.1")
	_, err = c.RenewToken(t.Context(), &kyuubi.RenewTokenRequest{Token: "t1"})
	require.Equal(t, codes.ResourceExhausted, status.Code(err), "what strangers make us read is bounded")
	_, err = c.GetToken(with(t, "Basic alice"), &kyuubi.GetTokenRequest{})
	require.NoError(t, err)

	door.d.Limits.Calls = 1
	_, ok := door.d.calls.take("alice", 1)
	require.True(t, ok)
	_, err = c.GetToken(with(t, "Basic alice"), &kyuubi.GetTokenRequest{})
	require.Equal(t, codes.ResourceExhausted, status.Code(err), "it is a call of its user like others")
	for _, method := range []string{"RenewToken", "RevokeToken"} {
		require.True(t, endsSomething(method), "who is at the limit can still keep or withdraw a token")
	}
	door.d.calls.give("alice")
	_, err = c.GetToken(with(t, "Basic alice"), &kyuubi.GetTokenRequest{})
	require.NoError(t, err)
	_, err = c.GetToken(with(t, "Basic alice"), &kyuubi.GetTokenRequest{})
	require.NoError(t, err, "it has given its place back")
}

// TestStrangersSendLittle: what is long or compressed is not read.
func TestStrangersSendLittle(t *testing.T) {
	conn, _ := tokenClient(t, newDesk(), func(Refusal) {})
	c := kyuubi.NewSparkConnectAuthServiceClient(conn)
	_, err := c.RenewToken(t.Context(), &kyuubi.RenewTokenRequest{Token: strings.Repeat("x", strangersMessage-5)})
	require.NoError(t, err)
	_, err = c.RenewToken(t.Context(), &kyuubi.RenewTokenRequest{Token: strings.Repeat("x", strangersMessage)})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	_, err = c.RevokeToken(t.Context(), &kyuubi.RevokeTokenRequest{Token: strings.Repeat("x", 100)}, grpc.UseCompressor("gzip"))
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	for _, head := range []string{"\x00\x00\x00\x44\x01", "\x01\x00\x00\x00\x09", "\x00\xff\xff\xff\xff"} {
		ctx := grpc.NewContextWithServerTransportStream(t.Context(), &unread{head: head})
		require.True(t, errs.Is(readSmall(ctx, &kyuubi.RenewTokenRequest{}), errs.InvalidRequest), "%x", head)
	}
}

// unread is a stream that has the header of a message, whose rest nobody may ask for.
type unread struct {
	grpc.ServerTransportStream
	head string
}

func (u *unread) ReadMessageHeader(to []byte) error { copy(to, u.head); return nil }
func (*unread) Read(int) (mem.BufferSlice, error)   { panic("the message was read") }

func TestAMessageThatDoesNotComeIsGivenUp(t *testing.T) {
	conn, door := tokenClient(t, newDesk(), func(Refusal) {})
	door.patience = 50 * time.Millisecond
	s, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, kyuubi.SparkConnectAuthService_RenewToken_FullMethodName)
	require.NoError(t, err)
	err = s.RecvMsg(&kyuubi.RenewTokenResponse{})
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.ErrorContains(t, err, "was not complete within 50ms")
}
