// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"roundhouse/internal/errs"
	pb "roundhouse/proto/gen/spark/connect"
)

// requireGoElsewhere says that Spark's clients try again after err, a moment later.
func requireGoElsewhere(t *testing.T, err error) {
	t.Helper()
	s := status.Convert(err)
	require.Equal(t, codes.Unavailable, s.Code(), "%v", err)
	require.Contains(t, s.Message(), "GATEWAY.SHUTTING_DOWN")
	for _, d := range s.Details() {
		if _, ok := d.(*errdetails.RetryInfo); ok {
			return
		}
	}
	require.Fail(t, "there is no RetryInfo", "%v", err)
}

// TestLetGo: what waits for an engine is answered, what would wait is refused, and
// sessions that have their engine go on.
func TestLetGo(t *testing.T) {
	h := newHouse(t, nil)
	require.NoError(t, h.version(t.Context()))
	running := h.id
	h.id = uuid.NewString()
	h.engines.ready = make(chan struct{})
	answer := make(chan error, 1)
	go func() { answer <- h.version(t.Context()) }() // waited for below
	require.Eventually(t, func() bool { return h.engines.launches.Load() == 2 }, 10*time.Second, time.Millisecond)
	h.director.LetGo(errs.New(errs.ShuttingDown, "Bye."))
	requireGoElsewhere(t, <-answer)
	requireGoElsewhere(t, h.version(t.Context()))
	sessions := len(h.sessions.List())
	h.id = uuid.NewString()
	requireGoElsewhere(t, h.version(t.Context()))
	require.Len(t, h.sessions.List(), sessions, "no session was opened")
	h.id = running
	require.NoError(t, h.version(t.Context()))
	h.director.LetGo(errs.New(errs.ShuttingDown, "Once more."))
}

// drained is a frontend of its own before the same house, which drains when end is
// called; over gets what Run returned.
func drained(t *testing.T, h *house, timeout time.Duration) (stub pb.SparkConnectServiceClient, server *Server, end func(), over <-chan error) {
	t.Helper()
	server, err := Listen(ServerOptions{Address: "127.0.0.1:0", MaxMessage: 1 << 20, DrainTimeout: timeout, Log: h.director.Log, Director: h.director})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }() // the test waits for it
	conn, err := grpc.NewClient("passthrough:///"+server.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return pb.NewSparkConnectServiceClient(conn), server, cancel, ended
}

func (h *house) sleep(t *testing.T, stub pb.SparkConnectServiceClient, sql string) grpc.ServerStreamingClient[pb.ExecutePlanResponse] {
	t.Helper()
	operation := uuid.NewString()
	s, err := stub.ExecutePlan(t.Context(), &pb.ExecutePlanRequest{
		SessionId: h.id, UserContext: h.userContext(), OperationId: &operation,
		Plan: &pb.Plan{OpType: &pb.Plan_Root{Root: &pb.Relation{RelType: &pb.Relation_Sql{Sql: &pb.SQL{Query: sql}}}}},
	})
	require.NoError(t, err)
	_, err = s.Recv() // the schema
	require.NoError(t, err)
	return s
}

// rest reads a stream to its end.
func rest(s grpc.ServerStreamingClient[pb.ExecutePlanResponse]) error {
	for {
		if _, err := s.Recv(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

func TestDrainCutsWhatIsStillUnderWay(t *testing.T) {
	h := newHouse(t, nil)
	stub, server, end, over := drained(t, h, 2*time.Second)
	s := h.sleep(t, stub, "SELECT java_method('java.lang.Thread', 'sleep', 60000L)")
	require.Equal(t, 1, server.Calls())
	began := time.Now()
	end()
	requireGoElsewhere(t, rest(s))
	took := time.Since(began)
	require.Greater(t, took, time.Second, "it had its time")
	require.NoError(t, <-over)
	require.Less(t, time.Since(began), 2*time.Second)
	require.Zero(t, server.Calls())
}

// TestDrainLetsCallsEnd, and takes no new ones: clients are to go elsewhere.
func TestDrainLetsCallsEnd(t *testing.T) {
	h := newHouse(t, nil)
	stub, server, end, over := drained(t, h, time.Minute)
	s := h.sleep(t, stub, "SELECT java_method('java.lang.Thread', 'sleep', 1000L)")
	end()
	require.Eventually(t, server.health.draining.Load, 10*time.Second, time.Millisecond)
	_, err := stub.AnalyzePlan(t.Context(), &pb.AnalyzePlanRequest{
		SessionId: uuid.NewString(), UserContext: h.userContext(),
		Analyze: &pb.AnalyzePlanRequest_SparkVersion_{SparkVersion: &pb.AnalyzePlanRequest_SparkVersion{}},
	})
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
	require.Len(t, h.sessions.List(), 1)
	require.NoError(t, rest(s))
	require.NoError(t, <-over)
}
