// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"roundhouse/engine"
	"roundhouse/internal/errs"
	pb "roundhouse/proto/gen/spark/connect"
	"roundhouse/server/proxy"
	"roundhouse/session"
)

// quietNow waits until no call is counted any more.
func (h *house) quietNow(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, tally := range []*tally{h.director.calls, &h.director.Holds.tally} {
			tally.mu.Lock()
			open := len(tally.open)
			tally.mu.Unlock()
			if open > 0 {
				return false
			}
		}
		return true
	}, 5*time.Second, time.Millisecond, "calls are counted that have ended")
}

func TestHeldCallsOfAUserAreBounded(t *testing.T) {
	h := newHouse(t, nil, Limits{Calls: 100})
	h.director.Holds = NewHolds(3)
	h.engines.ready = make(chan struct{})
	got := make(chan error, 3)
	for range 3 {
		go func() { got <- h.execute(t.Context(), uuid.NewString(), "tag") }()
	}
	require.Eventually(t, func() bool {
		leave, err := h.director.Holds.Enter("alice")
		if err == nil {
			leave()
		}
		return err != nil
	}, 5*time.Second, time.Millisecond)
	err := h.execute(t.Context(), uuid.NewString(), "tag")
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.ErrorContains(t, err, "kyuubi.server.limit.held.calls.per.user")
	require.ErrorContains(t, err, "3 calls waiting")
	other := *h
	other.id = uuid.NewString()
	require.Equal(t, codes.ResourceExhausted, status.Code(other.version(t.Context())))
	require.Len(t, h.sessions.List(), 1, "a refused call leaves no session")
	close(h.engines.ready)
	for range 3 {
		require.NoError(t, <-got)
	}
	h.quietNow(t)
}

// TestOpenCallsOfAUserAreBounded, but not those that end something, and other
// users have places of their own.
func TestOpenCallsOfAUserAreBounded(t *testing.T) {
	h := newHouse(t, nil, Limits{Calls: 2})
	require.NoError(t, h.version(t.Context()))
	streams, endAll := context.WithCancel(t.Context())
	for range 2 {
		s, err := h.ExecutePlan(streams, &pb.ExecutePlanRequest{
			SessionId: h.id, UserContext: h.userContext(), OperationId: proto.String(uuid.NewString()), Plan: sqlPlan("SELECT rows(1000000, 1000, 1000)"),
		})
		require.NoError(t, err)
		_, err = s.Recv()
		require.NoError(t, err)
	}
	err := h.version(t.Context())
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.ErrorContains(t, err, "User alice has 2 calls open and may have 2 (kyuubi.server.limit.calls.per.user)")
	_, err = h.interrupt(t, "go")
	require.NoError(t, err)
	bob := *h
	bob.user = "bob"
	require.NoError(t, bob.version(t.Context()))
	endAll()
	h.quietNow(t)
	require.NoError(t, h.version(t.Context()))
}

// panicky is a session manager with a fault.
type panicky struct{ Sessions }

func (panicky) Find(context.Context, session.Key) (*session.Session, *session.End, error) {
	panic("a fault")
}

// TestCountsReturnToZero over calls that succeed, fail, are given up, and panic.
func TestCountsReturnToZero(t *testing.T) {
	h := newHouse(t, nil, Limits{Calls: 50})
	h.director.Holds = NewHolds(20)
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for n := range 20 {
				ctx, giveUp := context.WithTimeout(t.Context(), time.Duration(1+(i+n)%5)*time.Millisecond)
				_ = h.version(ctx)
				_ = h.execute(ctx, uuid.NewString(), "tag")
				giveUp()
				_, _ = h.set(t.Context(), "spark.driver.extraJavaOptions", "-Dx")
				_, _ = h.CloneSession(t.Context(), &pb.CloneSessionRequest{SessionId: h.id, UserContext: h.userContext(), NewSessionId: proto.String("no uuid")})
			}
		})
	}
	clients.Wait()
	h.quietNow(t)
	d := *h.director
	d.Sessions = panicky{d.Sessions}
	req, err := proxy.Scan(rawConfig(t, h.id))
	require.NoError(t, err)
	call := &proxy.Call{Method: "Config", Peer: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}
	require.NoError(t, d.Admit(t.Context(), call))
	require.Panics(t, func() { _, _ = d.Route(t.Context(), call, req) })
	call.Left()
	h.quietNow(t)
}

func rawConfig(t *testing.T, id string) []byte {
	t.Helper()
	raw, err := proto.Marshal(&pb.ConfigRequest{SessionId: id})
	require.NoError(t, err)
	return raw
}

// send uploads chunks of a size until the call ends, and returns how it ended
// and how many chunks went out.
func (h *house) send(t *testing.T, chunks, size int) (sent int, err error) {
	t.Helper()
	s, err := h.AddArtifacts(t.Context())
	require.NoError(t, err)
	first := &pb.AddArtifactsRequest{
		SessionId: h.id, UserContext: h.userContext(),
		Payload: &pb.AddArtifactsRequest_BeginChunk{BeginChunk: &pb.AddArtifactsRequest_BeginChunkedArtifact{
			Name: "files/big", TotalBytes: int64(chunks * size), NumChunks: int64(chunks),
			InitialChunk: &pb.AddArtifactsRequest_ArtifactChunk{Data: make([]byte, size)},
		}},
	}
	for ; sent < chunks && s.Send(first) == nil; sent++ {
		first = &pb.AddArtifactsRequest{
			SessionId: h.id, UserContext: h.userContext(),
			Payload: &pb.AddArtifactsRequest_Chunk{Chunk: &pb.AddArtifactsRequest_ArtifactChunk{Data: make([]byte, size)}},
		}
	}
	_, err = s.CloseAndRecv()
	return sent, err
}

func TestUploadsAreCutAtTheirLimits(t *testing.T) {
	h := newHouse(t, nil, Limits{UploadBytes: 1 << 20, SessionBytes: 1 << 20})
	const chunk = 32 << 10
	_, err := h.send(t, 10_000, chunk)
	require.Equal(t, codes.ResourceExhausted, status.Code(err), err)
	require.ErrorContains(t, err, "kyuubi.server.limit.artifacts.per.call")
	s, _ := h.sessions.Lookup(session.Key{User: "alice", ID: h.id})
	require.Eventually(t, func() bool { used, ok := s.TakeUpload(0, 1); return ok && used == 0 }, 5*time.Second, time.Millisecond,
		"what failed does not count")
	h.director.Limits.UploadBytes = 0
	_, err = h.send(t, 10_000, chunk)
	require.Equal(t, codes.ResourceExhausted, status.Code(err), err)
	require.ErrorContains(t, err, "kyuubi.server.limit.artifacts.per.session")
	h.quietNow(t)
	require.NoError(t, h.version(t.Context()), "the session goes on")
}

// TestCallsCountBeforeTheirFirstMessage: what came of it is in memory already.
func TestCallsCountBeforeTheirFirstMessage(t *testing.T) {
	for limit, most := range map[int]int{2: 2, 500: unnamedCalls, 0: unnamedCalls} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) { silentCalls(t, limit, most) })
	}
}

func silentCalls(t *testing.T, limit, most int) {
	h := newHouse(t, nil, Limits{Calls: limit})
	silent, endAll := context.WithCancel(t.Context())
	for range most {
		_, err := h.AddArtifacts(silent)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool {
		h.director.calls.mu.Lock()
		defer h.director.calls.mu.Unlock()
		for who, open := range h.director.calls.open {
			if open == most {
				return strings.HasPrefix(who, "connection from 127.0.0.1:")
			}
		}
		return false
	}, 5*time.Second, time.Millisecond)
	require.Equal(t, codes.ResourceExhausted, status.Code(h.version(t.Context())))
	endAll()
	h.quietNow(t)
	require.NoError(t, h.version(t.Context()))
}

// TestUploadThatTheEngineHasCounts, however its client behaves at the end.
func TestUploadThatTheEngineHasCounts(t *testing.T) {
	answered := status.Error(codes.InvalidArgument, "the engine's answer")
	left := status.Error(codes.Canceled, "the client left")
	for name, test := range map[string]struct {
		complete bool
		end      error
		want     int64
	}{
		"done":                           {true, nil, 7},
		"refused by the engine":          {true, answered, 0},
		"given up in the middle":         {false, left, 0},
		"complete, its client left":      {true, left, 7},
		"complete, the deadline passed":  {true, status.Error(codes.DeadlineExceeded, ""), 7},
		"complete, the connection broke": {true, status.Error(codes.Unavailable, ""), 7},
	} {
		t.Run(name, func(t *testing.T) {
			h := &upload{session: &session.Session{}}
			require.NoError(t, h.take(7))
			if test.complete {
				h.sent()
			}
			h.end(test.end)
			used, _ := h.session.TakeUpload(0, 0)
			require.Equal(t, test.want, used)
		})
	}
}

// TestDeclaredSizesCostNothing: what a client announces takes no room from its
// session, and when it goes silent the call ends.
func TestDeclaredSizesCostNothing(t *testing.T) {
	h := newHouse(t, nil, Limits{UploadBytes: 1 << 20, SessionBytes: 1 << 20, UploadIdle: 200 * time.Millisecond})
	s, err := h.AddArtifacts(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Send(&pb.AddArtifactsRequest{
		SessionId: h.id, UserContext: h.userContext(),
		Payload: &pb.AddArtifactsRequest_BeginChunk{BeginChunk: &pb.AddArtifactsRequest_BeginChunkedArtifact{
			Name: "files/big", TotalBytes: 100 << 30, NumChunks: 3 << 20,
			InitialChunk: &pb.AddArtifactsRequest_ArtifactChunk{Data: []byte("x")},
		}},
	}))
	err = s.RecvMsg(&pb.AddArtifactsResponse{})
	require.Equal(t, codes.ResourceExhausted, status.Code(err), err)
	require.ErrorContains(t, err, "kyuubi.frontend.spark.connect.artifact.idle.timeout")
	h.quietNow(t)
}

// TestLargeMetadataDoesNotReachTheEngine: an engine takes 8 KiB of it.
func TestLargeMetadataDoesNotReachTheEngine(t *testing.T) {
	h := newHouse(t, nil)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", strings.Repeat("r", 20<<10),
		"tracestate", strings.Repeat("s", 20<<10), "traceparent", "00-1-2-01", "cookie", strings.Repeat("c", 10<<10))
	require.NoError(t, h.version(ctx))
	require.Equal(t, metadata.MD{"traceparent": {"00-1-2-01"}},
		forwardHeader(metadata.Pairs("traceparent", "00-1-2-01", "tracestate", strings.Repeat("s", maxPassedHeader+1))))
	err := h.version(metadata.AppendToOutgoingContext(t.Context(), "cookie", strings.Repeat("c", 70<<10)))
	require.Error(t, err, "64 KiB are the most that this door takes")
}

// TestLargeMessageIsRefused by grpc, before anybody is asked: the text is its own.
func TestLargeMessageIsRefused(t *testing.T) {
	h := newHouse(t, nil)
	_, err := h.set(t.Context(), "spark.sql.x", strings.Repeat("x", 2<<20))
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	err = h.execute(t.Context(), strings.Repeat("x", 2<<20), "tag")
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	_, err = h.send(t, 1, 2<<20)
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.ErrorContains(t, err, "larger than max")
	h.quietNow(t)
}

func TestDeniedUsersAreRefusedOnEveryCall(t *testing.T) {
	h := newHouse(t, nil)
	require.NoError(t, h.version(t.Context()))
	h.director.Denied = func(user, address string) error {
		require.Equal(t, "127.0.0.1", address)
		return errs.New(errs.PermissionDenied, "Not %s.", user)
	}
	require.Equal(t, codes.PermissionDenied, status.Code(h.version(t.Context())))
	require.Equal(t, codes.PermissionDenied, status.Code(h.release(t.Context(), false)))
}

// TestReleaseSucceedsAlsoWhenTheEngineEndsWithIt, before its answer is out.
func TestReleaseSucceedsAlsoWhenTheEngineEndsWithIt(t *testing.T) {
	h := newHouse(t, nil)
	require.NoError(t, h.version(t.Context()))
	h.engines.e.health.Store(int32(engine.Dead))
	h.engines.e.Close()
	require.NoError(t, h.release(t.Context(), false))
	s, _ := h.sessions.Lookup(session.Key{User: h.user, ID: h.id})
	require.Nil(t, s)
}

// TestCallersAreKnownAtTheDoor over a real connection.
func TestCallersAreKnownAtTheDoor(t *testing.T) {
	h := newHouse(t, nil)
	server, err := Listen(ServerOptions{Address: "127.0.0.1:0", MaxMessage: 1 << 20, DrainTimeout: time.Second, Strangers: 1, Log: h.director.Log, Director: h.director})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- server.Run(ctx) }() // waited for at the end
	conn, err := grpc.NewClient(server.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(); cancel(); require.NoError(t, <-over) })
	h.SparkConnectServiceClient = pb.NewSparkConnectServiceClient(conn)
	require.NoError(t, h.version(t.Context()))
	var idle []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", server.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		idle = append(idle, c)
	}
	_, err = io.Copy(io.Discard, idle[0])
	require.NoError(t, err, "the second stranger closed the first")
	moment, end := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer end()
	require.False(t, conn.WaitForStateChange(moment, connectivity.Ready), "and nobody else")
	require.NoError(t, h.version(t.Context()))
}
