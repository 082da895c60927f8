// SPDX-License-Identifier: Apache-2.0

package enginetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	connect "roundhouse/proto/gen/spark/connect"
)

// sleepSQL is a query that both engines run for a long time without rows.
const sleepSQL = "SELECT java_method('java.lang.Thread', 'sleep', 45000L) FROM range(1)"

func relation(r *connect.Relation) *connect.Plan {
	return &connect.Plan{OpType: &connect.Plan_Root{Root: r}}
}

func rangePlan(end int64) *connect.Plan {
	var parts int32 = 1
	return relation(&connect.Relation{RelType: &connect.Relation_Range{
		Range: &connect.Range{End: end, Step: 1, NumPartitions: &parts},
	}})
}

func sqlPlan(text string) *connect.Plan {
	return relation(&connect.Relation{RelType: &connect.Relation_Sql{Sql: &connect.SQL{Query: text}}})
}

// request builds an ExecutePlan request of the probe's session; an empty op
// leaves the id to the server and makes the execution not reattachable.
func (p *probe) request(op string, plan *connect.Plan) *connect.ExecutePlanRequest {
	r := &connect.ExecutePlanRequest{SessionId: p.id, UserContext: p.userContext(), Plan: plan}
	if op != "" {
		r.OperationId = &op
		r.RequestOptions = []*connect.ExecutePlanRequest_RequestOption{{
			RequestOption: &connect.ExecutePlanRequest_RequestOption_ReattachOptions{
				ReattachOptions: &connect.ReattachOptions{Reattachable: true},
			},
		}}
	}
	return r
}

type responses = grpc.ServerStreamingClient[connect.ExecutePlanResponse]

// segment is what one stream of an execution brought.
type segment struct {
	kinds    []string // of each response, ExecutionProgress left out
	rows     int64
	ids      []string // response ids
	complete bool
	err      error // nil: the stream ended OK
}

// drain reads a stream to its end.
func (p *probe) drain(s responses, err error) segment {
	var g segment
	for err == nil {
		var r *connect.ExecutePlanResponse
		if r, err = s.Recv(); err == nil {
			g.add(r)
			p.ssid = r.ServerSideSessionId
		}
	}
	if explain(err) != "OK" {
		g.err = err
	}
	return g
}

func (g *segment) add(r *connect.ExecutePlanResponse) {
	g.ids = append(g.ids, r.ResponseId)
	if r.GetExecutionProgress() != nil {
		return
	}
	kind := strings.Trim(fields(r), "{}")
	for _, always := range []string{"session_id", "server_side_session_id", "operation_id", "response_id"} {
		if !strings.Contains(" "+kind+" ", " "+always+" ") {
			kind = "NO-" + always + " " + kind
		}
		kind = strings.Join(strings.Fields(strings.Replace(" "+kind+" ", " "+always+" ", " ", 1)), " ")
	}
	g.kinds = append(g.kinds, kind)
	g.rows += r.GetArrowBatch().GetRowCount()
	g.complete = g.complete || r.GetResultComplete() != nil
}

func (g segment) String() string {
	return fmt.Sprintf("[%s] rows=%d end=%s", strings.Join(g.kinds, ", "), g.rows, explain(g.err))
}

// end says how the stream ended only: what came before depends on timing.
func (g segment) end() string {
	return fmt.Sprintf("%s complete=%v", explain(g.err), g.complete)
}

func (p *probe) execute(op string, plan *connect.Plan) segment {
	return p.drain(p.stub.ExecutePlan(p.ctx, p.request(op, plan)))
}

func (p *probe) reattach(op, last string) segment {
	r := &connect.ReattachExecuteRequest{SessionId: p.id, UserContext: p.userContext(), OperationId: op}
	if last != "" {
		r.LastResponseId = &last
	}
	return p.drain(p.stub.ReattachExecute(p.ctx, r))
}

// start begins an execution and leaves its stream open, with the first response
// taken; the returned function cuts the stream. An operation runs before its stream
// is attached, and Spark may cancel one that another stream is attached to first.
func (p *probe) start(op string, plan *connect.Plan, tags ...string) (responses, context.CancelFunc) {
	ctx, cancel := context.WithCancel(p.ctx)
	r := p.request(op, plan)
	r.Tags = tags
	s, err := p.stub.ExecutePlan(ctx, r)
	require.NoError(p.t, err)
	if _, err = s.Recv(); !errors.Is(err, io.EOF) { // a stream of a second may end without a response
		require.NoError(p.t, err)
	}
	return s, cancel
}

// awaitState polls GetStatus until the operation has one of the states.
func (p *probe) awaitState(op string, states ...string) string {
	p.t.Helper()
	last, deadline := "no answer", time.After(waitLimit)
	for poll := time.NewTicker(pollEvery); ; {
		last = p.state(op)
		if slices.Contains(states, last) {
			return last
		}
		select {
		case <-poll.C:
		case <-deadline:
			require.FailNow(p.t, "an operation never came to its state", "%s: wanted %v, last %s; seen before:\n%s", op, states, last, strings.Join(p.seen, "\n"))
		}
	}
}

// state is what GetStatus says of an operation, or why it says nothing.
func (p *probe) state(op string) string {
	ctx, cancel := context.WithTimeout(p.ctx, waitLimit)
	defer cancel()
	r, err := p.stub.GetStatus(ctx, &connect.GetStatusRequest{
		SessionId: p.id, UserContext: p.userContext(),
		OperationStatus: &connect.GetStatusRequest_OperationStatusRequest{OperationIds: []string{op}},
	})
	if err != nil || len(r.OperationStatuses) != 1 {
		return fmt.Sprintf("%d states, %s", len(r.GetOperationStatuses()), explain(err))
	}
	return strings.TrimPrefix(r.OperationStatuses[0].State.String(), "OPERATION_STATE_")
}

func (p *probe) releaseAll(op string) (*connect.ReleaseExecuteResponse, error) {
	return p.stub.ReleaseExecute(p.ctx, &connect.ReleaseExecuteRequest{
		SessionId: p.id, UserContext: p.userContext(), OperationId: op,
		Release: &connect.ReleaseExecuteRequest_ReleaseAll_{ReleaseAll: &connect.ReleaseExecuteRequest_ReleaseAll{}},
	})
}

func (p *probe) releaseUntil(op, response string) (*connect.ReleaseExecuteResponse, error) {
	return p.stub.ReleaseExecute(p.ctx, &connect.ReleaseExecuteRequest{
		SessionId: p.id, UserContext: p.userContext(), OperationId: op,
		Release: &connect.ReleaseExecuteRequest_ReleaseUntil_{
			ReleaseUntil: &connect.ReleaseExecuteRequest_ReleaseUntil{ResponseId: response},
		},
	})
}

func (p *probe) releaseSession(reconnect bool) (*connect.ReleaseSessionResponse, error) {
	return p.stub.ReleaseSession(p.ctx, &connect.ReleaseSessionRequest{
		SessionId: p.id, UserContext: p.userContext(), AllowReconnect: reconnect,
	})
}

func (p *probe) config(op *connect.ConfigRequest_Operation) (*connect.ConfigResponse, error) {
	return p.stub.Config(p.ctx, &connect.ConfigRequest{SessionId: p.id, UserContext: p.userContext(), Operation: op})
}

func (p *probe) setConf(pairs ...string) (*connect.ConfigResponse, error) {
	set := &connect.ConfigRequest_Set{}
	for i := 0; i < len(pairs); i += 2 {
		set.Pairs = append(set.Pairs, &connect.KeyValue{Key: pairs[i], Value: &pairs[i+1]})
	}
	return p.config(&connect.ConfigRequest_Operation{OpType: &connect.ConfigRequest_Operation_Set{Set: set}})
}

func (p *probe) getConf(keys ...string) (*connect.ConfigResponse, error) {
	return p.config(&connect.ConfigRequest_Operation{OpType: &connect.ConfigRequest_Operation_Get{
		Get: &connect.ConfigRequest_Get{Keys: keys},
	}})
}

func (p *probe) interrupt(kind connect.InterruptRequest_InterruptType, arg string) (*connect.InterruptResponse, error) {
	r := &connect.InterruptRequest{SessionId: p.id, UserContext: p.userContext(), InterruptType: kind}
	switch kind {
	case connect.InterruptRequest_INTERRUPT_TYPE_TAG:
		r.Interrupt = &connect.InterruptRequest_OperationTag{OperationTag: arg}
	case connect.InterruptRequest_INTERRUPT_TYPE_OPERATION_ID:
		r.Interrupt = &connect.InterruptRequest_OperationId{OperationId: arg}
	}
	return p.stub.Interrupt(p.ctx, r)
}

func (p *probe) version() (*connect.AnalyzePlanResponse, error) {
	return p.stub.AnalyzePlan(p.ctx, &connect.AnalyzePlanRequest{
		SessionId: p.id, UserContext: p.userContext(),
		Analyze: &connect.AnalyzePlanRequest_SparkVersion_{SparkVersion: &connect.AnalyzePlanRequest_SparkVersion{}},
	})
}

// open makes the session exist.
func (p *probe) open() {
	r, err := p.setConf()
	require.NoError(p.t, err)
	p.ssid = r.ServerSideSessionId
}

func newID() string { return uuid.NewString() }
