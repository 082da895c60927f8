// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

// rowsRequest is an encoded ExecutePlan of a query.
func rowsRequest(user, session, sql string) []byte {
	raw, err := proto.Marshal(&pb.ExecutePlanRequest{
		SessionId: session, UserContext: &pb.UserContext{UserId: user},
		Plan: &pb.Plan{OpType: &pb.Plan_Root{Root: &pb.Relation{RelType: &pb.Relation_Sql{Sql: &pb.SQL{Query: sql}}}}},
	})
	if err != nil {
		panic(err)
	}
	return raw
}

// goodClient calls Spark over one connection.
type goodClient struct {
	stub pb.SparkConnectServiceClient
	ask  *pb.AnalyzePlanRequest
}

// newGoodClient returns a client whose engine runs.
func newGoodClient(t *testing.T, g *env.Gateway, user string) *goodClient {
	t.Helper()
	conn, err := grpc.NewClient(g.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	c := &goodClient{stub: pb.NewSparkConnectServiceClient(conn), ask: &pb.AnalyzePlanRequest{
		SessionId: uuid.NewString(), UserContext: &pb.UserContext{UserId: user},
		Analyze: &pb.AnalyzePlanRequest_SparkVersion_{SparkVersion: &pb.AnalyzePlanRequest_SparkVersion{}},
	}}
	c.call(t)
	return c
}

// call makes a call, which may not fail, and says how long it took.
func (c *goodClient) call(t *testing.T) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	begin := time.Now()
	_, err := c.stub.AnalyzePlan(ctx, c.ask)
	require.NoError(t, err)
	return time.Since(begin)
}

type latencies []time.Duration

// at is the latency that a share of the calls stayed below.
func (l latencies) at(share float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

func (l latencies) String() string {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return fmt.Sprintf("%d calls, p50 %.1f ms, p99 %.1f ms, max %.1f ms", len(l), ms(l.at(0.5)), ms(l.at(0.99)), ms(l.at(1)))
}

// cpu is the processor time that a process has used, in clock ticks of 10 ms.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	fields := procFields(t, pid, "stat")
	var sum time.Duration
	for _, f := range fields[13:15] { // utime, stime; no field before has a space in it here
		ticks, err := strconv.Atoi(string(f))
		require.NoError(t, err)
		sum += time.Duration(ticks) * 10 * time.Millisecond
	}
	return sum
}

func procFields(t *testing.T, pid int, file string) [][]byte {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	require.NoError(t, err, "the process is gone")
	return bytes.Fields(text)
}
