// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "roundhouse/proto/gen/spark/connect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// upstream is an engine that records what reaches it.
type upstream struct {
	pb.UnimplementedSparkConnectServiceServer
	mu        sync.Mutex
	users     []string
	sessions  []string
	header    metadata.MD
	deadline  time.Time // of the last call; zero without one
	cancelled chan struct{}
	block     bool
}

func (u *upstream) saw(ctx context.Context, r interface {
	GetUserContext() *pb.UserContext
	GetSessionId() string
}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.users = append(u.users, r.GetUserContext().GetUserId())
	u.sessions = append(u.sessions, r.GetSessionId())
	u.header, _ = metadata.FromIncomingContext(ctx)
	u.deadline, _ = ctx.Deadline()
}

func (u *upstream) Config(ctx context.Context, r *pb.ConfigRequest) (*pb.ConfigResponse, error) {
	u.saw(ctx, r)
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-engine", "header"))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-engine", "trailer", "raw-bin", "\x00\x01"))
	if r.GetClientType() == "fail" {
		st, _ := status.New(codes.Internal, "[X] broken").WithDetails(&errdetails.ErrorInfo{Reason: "r", Metadata: map[string]string{"errorClass": "X"}})
		return nil, st.Err()
	}
	return &pb.ConfigResponse{SessionId: r.SessionId}, nil
}

func (u *upstream) ExecutePlan(r *pb.ExecutePlanRequest, s grpc.ServerStreamingServer[pb.ExecutePlanResponse]) error {
	u.saw(s.Context(), r)
	if u.block {
		<-s.Context().Done()
		close(u.cancelled)
		return s.Context().Err()
	}
	for i := range 3 {
		if err := s.Send(&pb.ExecutePlanResponse{ResponseId: string(rune('a' + i))}); err != nil {
			return err
		}
	}
	s.SetTrailer(metadata.Pairs("x-engine", "end"))
	return nil
}

func (u *upstream) AddArtifacts(s grpc.ClientStreamingServer[pb.AddArtifactsRequest, pb.AddArtifactsResponse]) error {
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return s.SendAndClose(&pb.AddArtifactsResponse{SessionId: sid})
		}
		if err != nil {
			return err
		}
		u.saw(s.Context(), r)
	}
}

// fixed routes every call to one connection.
type fixed struct {
	conn  grpc.ClientConnInterface
	admit error
	route func(*Call, *Route)
	fail  func(error) error
	left  chan string // told of each call that is over, if not nil
	// patience of the proxy, if not 0
	patience time.Duration
}

func (f *fixed) Admit(_ context.Context, c *Call) error {
	if f.left != nil {
		c.Left = func() { f.left <- c.Method }
	}
	return f.admit
}

func (f *fixed) Route(_ context.Context, c *Call, r Request) (*Route, error) {
	out := &Route{Conn: f.conn, Stamp: Stamp{UserID: "alice", SessionID: r.SessionID}, Header: metadata.Pairs("x-only", "this")}
	if f.fail != nil {
		out.Fail = func(_ context.Context, err error) error { return f.fail(err) }
	}
	if f.route != nil {
		f.route(c, out)
	}
	return out, nil
}

func serve(t *testing.T, s *grpc.Server) *grpc.ClientConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = s.Serve(l) }() // ends with Stop below
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(); s.Stop() })
	return conn
}

// through starts an engine and a proxy before it.
func through(t *testing.T, f *fixed) (*upstream, *grpc.ClientConn) {
	t.Helper()
	u := &upstream{cancelled: make(chan struct{})}
	engine := grpc.NewServer()
	pb.RegisterSparkConnectServiceServer(engine, u)
	f.conn = serve(t, engine)
	p := New(f)
	if f.patience > 0 {
		p.patience = f.patience
	}
	front := grpc.NewServer(grpc.ForceServerCodecV2(Codec()), grpc.UnknownServiceHandler(p.UnknownHandler))
	p.Register(front)
	return u, serve(t, front)
}

func forged() *pb.ConfigRequest {
	return &pb.ConfigRequest{SessionId: sid, UserContext: &pb.UserContext{UserId: "mallory"}}
}

func TestUnaryCallIsStampedAndAnsweredWithHeadersAndTrailers(t *testing.T) {
	u, conn := through(t, &fixed{})
	var header, trailer metadata.MD
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer secret", "x-other", "dropped")
	got, err := pb.NewSparkConnectServiceClient(conn).Config(ctx, forged(), grpc.Header(&header), grpc.Trailer(&trailer), grpc.UseCompressor("gzip"))
	require.NoError(t, err)
	require.Equal(t, sid, got.SessionId)
	require.Equal(t, []string{"alice"}, u.users)
	require.Equal(t, []string{"header"}, header.Get("x-engine"))
	require.Equal(t, []string{"trailer"}, trailer.Get("x-engine"))
	require.Equal(t, []string{"\x00\x01"}, trailer.Get("raw-bin"))
	require.Empty(t, u.header.Get("authorization"))
	require.Empty(t, u.header.Get("x-other"))
	require.Equal(t, []string{"this"}, u.header.Get("x-only"))
}

func TestDeadlineOfTheClientIsTheEnginesToo(t *testing.T) {
	u, conn := through(t, &fixed{})
	_, err := pb.NewSparkConnectServiceClient(conn).Config(t.Context(), forged())
	require.NoError(t, err)
	require.Zero(t, u.deadline, "the proxy has none of its own")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = pb.NewSparkConnectServiceClient(conn).Config(ctx, forged())
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(time.Minute), u.deadline, 5*time.Second)
}

func TestEngineErrorPassesWithItsDetails(t *testing.T) {
	_, conn := through(t, &fixed{})
	_, err := pb.NewSparkConnectServiceClient(conn).Config(t.Context(), &pb.ConfigRequest{SessionId: sid, ClientType: proto.String("fail")})
	st := status.Convert(err)
	require.Equal(t, codes.Internal, st.Code())
	require.Equal(t, "[X] broken", st.Message())
	require.Equal(t, "X", st.Details()[0].(*errdetails.ErrorInfo).Metadata["errorClass"])
}

func TestFailTranslatesErrors(t *testing.T) {
	_, conn := through(t, &fixed{fail: func(error) error { return status.Error(codes.FailedPrecondition, "translated") }})
	_, err := pb.NewSparkConnectServiceClient(conn).Config(t.Context(), &pb.ConfigRequest{SessionId: sid, ClientType: proto.String("fail")})
	require.Equal(t, "translated", status.Convert(err).Message())
}

func TestStreamIsForwardedInOrder(t *testing.T) {
	u, conn := through(t, &fixed{})
	s, err := pb.NewSparkConnectServiceClient(conn).ExecutePlan(t.Context(), &pb.ExecutePlanRequest{SessionId: sid})
	require.NoError(t, err)
	var ids string
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		ids += m.ResponseId
	}
	require.Equal(t, "abc", ids)
	require.Equal(t, []string{"end"}, s.Trailer().Get("x-engine"))
	require.Equal(t, []string{"alice"}, u.users)
}

func TestClientThatLeavesCancelsTheEngineStream(t *testing.T) {
	u, conn := through(t, &fixed{})
	u.block = true
	ctx, cancel := context.WithCancel(t.Context())
	s, err := pb.NewSparkConnectServiceClient(conn).ExecutePlan(ctx, &pb.ExecutePlanRequest{SessionId: sid})
	require.NoError(t, err)
	require.Eventually(t, func() bool { u.mu.Lock(); defer u.mu.Unlock(); return len(u.users) == 1 }, 5*time.Second, 5*time.Millisecond)
	cancel()
	_, err = s.Recv()
	require.Equal(t, codes.Canceled, status.Code(err))
	<-u.cancelled
}

func TestEveryArtifactFrameIsStamped(t *testing.T) {
	u, conn := through(t, &fixed{})
	s, err := pb.NewSparkConnectServiceClient(conn).AddArtifacts(t.Context())
	require.NoError(t, err)
	for _, user := range []string{"alice", "mallory", ""} {
		require.NoError(t, s.Send(&pb.AddArtifactsRequest{SessionId: sid, UserContext: &pb.UserContext{UserId: user}}))
	}
	require.NoError(t, s.Send(&pb.AddArtifactsRequest{SessionId: "another"}))
	_, err = s.CloseAndRecv()
	require.NoError(t, err)
	require.Equal(t, []string{"alice", "alice", "alice", "alice"}, u.users)
	require.Equal(t, []string{sid, sid, sid, sid}, u.sessions)
}

func TestMalformedLaterFrameEndsTheCallWithAClearError(t *testing.T) {
	_, conn := through(t, &fixed{})
	s, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, path("AddArtifacts"), grpc.ForceCodecV2(Codec()))
	require.NoError(t, err)
	require.NoError(t, send(s, str(1, sid)))
	require.NoError(t, send(s, []byte{0x08, 1}))
	require.NoError(t, s.CloseSend())
	var f Frame
	err = s.RecvMsg(&f)
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	require.Contains(t, err.Error(), "[GATEWAY.INVALID_REQUEST]")
}

func TestLaterMessagesAreAskedAboutAndOneRefusalEndsTheCall(t *testing.T) {
	_, conn := through(t, &fixed{route: func(_ *Call, r *Route) {
		r.Further = func(r Request) error {
			if r.UserID == "eve" {
				return status.Error(codes.ResourceExhausted, "enough")
			}
			return nil
		}
	}})
	s, err := pb.NewSparkConnectServiceClient(conn).AddArtifacts(t.Context())
	require.NoError(t, err)
	for _, user := range []string{"eve", "mallory", "eve"} { // the first one is the director's
		require.NoError(t, s.Send(&pb.AddArtifactsRequest{SessionId: sid, UserContext: &pb.UserContext{UserId: user}}))
	}
	_, err = s.CloseAndRecv()
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.ErrorContains(t, err, "enough")
}

// TestFirstMessageThatDoesNotComeEndsTheCall of every shape, and its place is free.
func TestFirstMessageThatDoesNotComeEndsTheCall(t *testing.T) {
	f := &fixed{left: make(chan string, 1), patience: 50 * time.Millisecond}
	_, conn := through(t, f)
	for _, method := range []string{"Config", "ExecutePlan", "AddArtifacts", "BrandNew"} {
		s, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, path(method))
		require.NoError(t, err)
		err = s.RecvMsg(&pb.ConfigResponse{})
		require.Equal(t, codes.ResourceExhausted, status.Code(err))
		require.ErrorContains(t, err, "was not complete within 50ms")
		require.Equal(t, method, <-f.left)
	}
}

// TestEndOfTheRequestsIsTold before the engine hears of it, and only then.
func TestEndOfTheRequestsIsTold(t *testing.T) {
	sent := make(chan bool, 1)
	_, conn := through(t, &fixed{route: func(_ *Call, r *Route) { r.Sent = func() { sent <- true } }})
	s, err := pb.NewSparkConnectServiceClient(conn).AddArtifacts(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Send(&pb.AddArtifactsRequest{SessionId: sid}))
	require.Empty(t, sent)
	_, err = s.CloseAndRecv()
	require.NoError(t, err)
	require.Len(t, sent, 1)
}

func TestMethodsOfLaterSparksPassAndOtherServicesDoNot(t *testing.T) {
	_, conn := through(t, &fixed{})
	err := conn.Invoke(t.Context(), path("BrandNew"), &pb.ConfigRequest{SessionId: sid}, &pb.ConfigResponse{})
	require.Equal(t, codes.Unimplemented, status.Code(err))
	require.Contains(t, err.Error(), "BrandNew", "the engine's own answer")
	err = conn.Invoke(t.Context(), "/grpc.reflection.v1.ServerReflection/X", &pb.ConfigRequest{}, &pb.ConfigResponse{})
	require.Equal(t, codes.Unimplemented, status.Code(err))
	require.Contains(t, err.Error(), "[GATEWAY.UNSUPPORTED_METHOD]")
}

func TestRefusedCallReachesNoEngine(t *testing.T) {
	u, conn := through(t, &fixed{admit: status.Error(codes.Unauthenticated, "no")})
	c := pb.NewSparkConnectServiceClient(conn)
	_, err := c.Config(t.Context(), forged())
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	err = conn.Invoke(t.Context(), path("BrandNew"), forged(), &pb.ConfigResponse{})
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	require.Empty(t, u.users)
}

func TestLocalReplyEditAndEarlyHeader(t *testing.T) {
	f := &fixed{route: func(c *Call, r *Route) {
		if c.Method == "ReleaseSession" {
			r.Conn, r.Reply = nil, []proto.Message{&pb.ReleaseSessionResponse{SessionId: "local"}}
			return
		}
		c.SendHeader()
		r.Edit = func(reply []byte) ([]byte, error) { return AppendString(reply, 3, "warned"), nil }
	}}
	_, conn := through(t, f)
	c := pb.NewSparkConnectServiceClient(conn)
	got, err := c.ReleaseSession(t.Context(), &pb.ReleaseSessionRequest{SessionId: sid})
	require.NoError(t, err)
	require.Equal(t, "local", got.SessionId)
	conf, err := c.Config(t.Context(), forged())
	require.NoError(t, err)
	require.Equal(t, []string{"warned"}, conf.Warnings)
}
