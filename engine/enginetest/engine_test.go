// SPDX-License-Identifier: Apache-2.0

package enginetest_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"roundhouse/engine/enginetest"
	connect "roundhouse/proto/gen/spark/connect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func startFake(t *testing.T, o enginetest.Options) (*enginetest.Engine, *probe) {
	t.Helper()
	e, err := enginetest.New(o)
	require.NoError(t, err)
	t.Cleanup(e.Close)
	return e, newProbe(t, target{addr: e.Addr(), token: o.Token})
}

// reader reads an execution over as many streams as it takes.
type reader struct {
	check     enginetest.RowCheck
	responses int
	last      string // id of the last response
	complete  bool
	each      func(n int) // called after the n-th response
}

// read takes one stream to its end and checks the rows.
func (r *reader) read(t *testing.T, s responses) error {
	t.Helper()
	for {
		m, err := s.Recv()
		if err != nil {
			return err
		}
		require.NoError(t, r.check.Add(m))
		r.last, r.complete = m.ResponseId, m.GetResultComplete() != nil
		r.responses++
		if r.each != nil {
			r.each(r.responses)
		}
	}
}

func TestRowsAreCompleteAcrossCutConnections(t *testing.T) {
	e, p := startFake(t, enginetest.Options{MaxStreamSize: 1 << 20})
	op, cuts, ends := newID(), 0, 0
	r := reader{each: func(n int) {
		if n%40 == 1 {
			e.CutConnections()
		}
	}}
	s, err := p.stub.ExecutePlan(p.ctx, p.request(op, sqlPlan("SELECT rows(1048576, 65536, 1)")))
	require.NoError(t, err)
	for {
		err := r.read(t, s)
		if r.complete {
			break
		}
		if errors.Is(err, io.EOF) {
			ends++
		} else {
			require.Equal(t, codes.Unavailable, status.Code(err), "a cut looks like a broken hop")
			cuts++
		}
		s, err = p.stub.ReattachExecute(p.ctx, &connect.ReattachExecuteRequest{
			SessionId: p.id, UserContext: p.userContext(), OperationId: op, LastResponseId: &r.last,
		})
		require.NoError(t, err)
	}
	require.Equal(t, int64(1048576), r.check.Rows)
	require.Positive(t, cuts)
	require.Positive(t, ends, "streams end by their size too")
}

func TestFlowControlHoldsTheSender(t *testing.T) {
	_, p := startFake(t, enginetest.Options{RetryBuffer: 1 << 20})
	op := newID()
	s, cut := p.start(op, sqlPlan("SELECT rows(16777216, 262144, 0)")) // 128 MiB
	defer cut()
	require.Equal(t, "TERMINATING", p.awaitState(op, "TERMINATING"), "it computes although nobody reads")
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	require.Less(t, mem.HeapInuse, uint64(64<<20), "what nobody reads costs no memory")
	var r reader
	require.ErrorIs(t, r.read(t, s), io.EOF)
	require.True(t, r.complete)
	require.Equal(t, int64(16777216), r.check.Rows)
}

func TestRetryBufferForgets(t *testing.T) {
	_, p := startFake(t, enginetest.Options{RetryBuffer: 100_000})
	op := newID()
	g := p.execute(op, sqlPlan("SELECT rows(81920, 65536, 0)")) // ten batches
	require.NoError(t, g.err)
	require.True(t, g.complete)
	n := len(g.ids)
	require.ErrorContains(t, p.reattach(op, "").err, "INVALID_CURSOR.POSITION_NOT_AVAILABLE")
	require.ErrorContains(t, p.reattach(op, g.ids[n-6]).err, "INVALID_CURSOR.POSITION_NOT_AVAILABLE")
	again := p.reattach(op, g.ids[n-4])
	require.NoError(t, again.err)
	require.Equal(t, g.ids[n-3:], again.ids)
}

func TestOnMessageSeesAndRefuses(t *testing.T) {
	var seen atomic.Int64
	_, p := startFake(t, enginetest.Options{Token: "t", OnMessage: func(ctx context.Context, method string, m proto.Message) error {
		md, _ := metadata.FromIncomingContext(ctx)
		if len(md.Get("authorization")) != 1 || m == nil {
			return status.Error(codes.Internal, "no metadata")
		}
		if method == connect.SparkConnectService_Interrupt_FullMethodName {
			return status.Error(codes.Unavailable, "refused by the test")
		}
		seen.Add(1)
		return nil
	}})
	p.open()
	msg := &connect.AddArtifactsRequest{SessionId: p.id, UserContext: p.userContext()}
	_, err := p.addArtifacts(msg, msg, msg)
	require.NoError(t, err)
	require.Equal(t, int64(4), seen.Load(), "one of Config, each of AddArtifacts")
	_, err = p.interrupt(connect.InterruptRequest_INTERRUPT_TYPE_ALL, "")
	require.Equal(t, codes.Unavailable, status.Code(err))
}

func TestSessionsAreListedAndClosed(t *testing.T) {
	var events []enginetest.SessionEvent
	e, p := startFake(t, enginetest.Options{OnSession: func(ev enginetest.SessionEvent) { events = append(events, ev) }})
	op := newID()
	_, cut := p.start(op, sqlPlan(sleepSQL))
	defer cut()
	p.awaitState(op, "RUNNING")
	list := e.Sessions()
	require.Len(t, list, 1)
	require.Equal(t, 1, list[0].Running)
	require.Equal(t, "alice", list[0].User)
	require.True(t, e.CloseSession("alice", p.id))
	require.False(t, e.CloseSession("alice", p.id))
	_, err := p.setConf()
	require.ErrorContains(t, err, "INVALID_HANDLE.SESSION_CLOSED")
	require.Equal(t, []enginetest.SessionEvent{
		{User: "alice", ID: p.id, Opened: true}, {User: "alice", ID: p.id, Reason: enginetest.ReasonClosed},
	}, events)
}

func TestIdleSessionsCostNoGoroutines(t *testing.T) {
	e, p := startFake(t, enginetest.Options{})
	p.open()
	before := runtime.NumGoroutine()
	for range 2000 {
		p.id = newID()
		p.open()
	}
	require.Len(t, e.Sessions(), 2001)
	require.Less(t, runtime.NumGoroutine(), before+50)
}

func TestRowCheckFinds(t *testing.T) {
	_, p := startFake(t, enginetest.Options{})
	s, err := p.stub.ExecutePlan(p.ctx, p.request("", sqlPlan("SELECT rows(30, 80, 0)")))
	require.NoError(t, err)
	var batches []*connect.ExecutePlanResponse
	for r, err := s.Recv(); err == nil; r, err = s.Recv() {
		if r.GetArrowBatch() != nil {
			batches = append(batches, r)
		}
	}
	require.Len(t, batches, 3)
	var lost, doubled, changed enginetest.RowCheck
	require.NoError(t, lost.Add(batches[0]))
	require.ErrorContains(t, lost.Add(batches[2]), "expected row 10")
	require.NoError(t, doubled.Add(batches[0]))
	require.ErrorContains(t, doubled.Add(batches[0]), "expected row 10")
	batches[0].GetArrowBatch().Data[280]++
	require.ErrorContains(t, changed.Add(batches[0]), "row 1 ")
}
