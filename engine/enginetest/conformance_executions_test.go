// SPDX-License-Identifier: Apache-2.0

package enginetest_test

import (
	"slices"
	"strings"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	connect "roundhouse/proto/gen/spark/connect"
)

func plainExecute(p *probe) {
	g := p.execute("", rangePlan(100))
	p.see("range", "%s", g)
	p.see("response ids", "%v", unique(g.ids))
	p.see("empty range", "%s", p.execute("", rangePlan(0)))
	p.see("no plan", "%s", p.execute("", nil))
	p.see("empty plan", "%s", p.execute("", &connect.Plan{}))
}

func unique(ids []string) bool {
	sorted := slices.Clone(ids)
	slices.Sort(sorted)
	return len(slices.Compact(sorted)) == len(ids) && !slices.Contains(ids, "")
}

func reattachable(p *probe) {
	op := newID()
	g := p.execute(op, rangePlan(100))
	p.see("range", "%s", g)
	all := p.reattach(op, "")
	p.see("reattach from the start", "%s", all)
	p.see("same ids", "%v", slices.Equal(g.ids, all.ids))
	last := p.reattach(op, g.ids[len(g.ids)-1])
	p.see("reattach after the last", "%s", last)
	rest := p.reattach(op, g.ids[0])
	p.see("reattach after the first", "%v", slices.Equal(g.ids[1:], rest.ids))
	p.see("reattach after an unknown one", "%s", p.reattach(op, newID()))
	r, err := p.releaseUntil(op, g.ids[1])
	p.answer("release until", r, err)
	p.see("reattach from the start", "%s", p.reattach(op, ""))
	p.see("reattach before the cut", "%s", p.reattach(op, g.ids[0]))
	p.see("reattach at the cut", "%v", slices.Equal(g.ids[2:], p.reattach(op, g.ids[1]).ids))
	r, err = p.releaseUntil(op, newID())
	p.answer("release until an unknown one", r, err)
	r, err = p.releaseAll(op)
	p.answer("release all", r, err)
	r, err = p.releaseAll(op)
	p.answer("release all again", r, err)
	p.see("reattach after release", "%s", p.reattach(op, g.ids[0]))
	p.see("execute again, same plan", "%s", p.execute(op, rangePlan(100)))
	p.see("execute again, other plan", "%s", p.execute(op, rangePlan(101)))
}

func sameOperation(p *probe) {
	op := newID()
	first := p.execute(op, rangePlan(10))
	again := p.execute(op, rangePlan(10))
	p.see("same plan while unreleased", "%s same ids %v", again, slices.Equal(first.ids, again.ids))
	p.see("other plan", "%s", p.execute(op, rangePlan(11)))
	p.see("bad operation id", "%s", p.execute("not-a-uuid", rangePlan(1)))
	p.see("reattach to a bad operation id", "%s", p.reattach("not-a-uuid", ""))
	r, err := p.releaseAll("not-a-uuid")
	p.answer("release of a bad operation id", r, err)
	plain := newID()
	once := func() segment {
		r := p.request(plain, rangePlan(1))
		r.RequestOptions = nil
		return p.drain(p.stub.ExecutePlan(p.ctx, r))
	}
	p.see("not reattachable", "%s", once())
	p.see("not reattachable, once more", "%s", p.lasting("INVALID_CURSOR.NOT_REATTACHABLE", once))
	plain = newID()
	req := p.request(plain, sqlPlan(sleepSQL))
	req.RequestOptions = nil
	s, err := p.stub.ExecutePlan(p.ctx, req)
	require.NoError(p.t, err)
	p.awaitState(plain, "RUNNING")
	p.see("reattach to one that is not reattachable", "%s", p.reattach(plain, ""))
	r, err = p.releaseAll(plain)
	p.answer("release of it", r, err)
	_, err = p.interrupt(connect.InterruptRequest_INTERRUPT_TYPE_ALL, "")
	p.see("interrupt", "%s", explain(err))
	p.see("its end", "%s", p.drain(s, nil).end())
}

// lasting is the answer of the call that is not the passing one: Spark removes
// an operation a moment after the end of its stream.
func (p *probe) lasting(passing string, call func() segment) segment {
	var answer segment
	require.Eventually(p.t, func() bool {
		answer = call()
		return answer.err == nil || !strings.Contains(answer.err.Error(), passing)
	}, waitLimit, pollEvery, "the answer stayed %s", passing)
	return answer
}

func preempted(p *probe) {
	op := newID()
	first, cutFirst := p.start(op, sqlPlan(sleepSQL))
	defer cutFirst()
	p.awaitState(op, "RUNNING")
	r := &connect.ReattachExecuteRequest{SessionId: p.id, UserContext: p.userContext(), OperationId: op}
	second, err := p.stub.ReattachExecute(p.ctx, r)
	require.NoError(p.t, err)
	p.see("first stream", "%s", p.drain(first, nil).end())
	p.see("still", "%s", p.awaitState(op, "RUNNING", "SUCCEEDED"))
	third, err := p.stub.ExecutePlan(p.ctx, p.request(op, sqlPlan(sleepSQL)))
	require.NoError(p.t, err)
	p.see("second stream", "%s", p.drain(second, nil).end())
	rel, err := p.releaseAll(op)
	p.answer("release while running", rel, err)
	p.see("third stream", "%s", p.drain(third, nil).end())
	p.see("state", "%s", p.awaitState(op, "CANCELLED", "SUCCEEDED", "FAILED", "UNKNOWN"))
}

func cutStream(p *probe) {
	op := newID()
	_, cut := p.start(op, sqlPlan(sleepSQL), "t1")
	p.awaitState(op, "RUNNING")
	cut()
	r, err := p.interrupt(connect.InterruptRequest_INTERRUPT_TYPE_TAG, "t1")
	p.see("interrupt of a detached operation", "%v %s", r.GetInterruptedIds(), explain(err))
	p.see("reattach", "%s", p.reattach(op, "").end())
	p.see("reattach again", "%s", p.reattach(op, "").end())
	p.see("state", "%s", p.awaitState(op, "CANCELLED", "FAILED"))
	rel, err := p.releaseAll(op)
	p.answer("release", rel, err)
	p.see("state", "%s", p.awaitState(op, "CANCELLED", "FAILED"))
}

func interrupts(p *probe) {
	one, two := newID(), newID()
	s1, cut1 := p.start(one, sqlPlan(sleepSQL), "red", "blue")
	defer cut1()
	s2, cut2 := p.start(two, sqlPlan(sleepSQL), "red")
	defer cut2()
	p.awaitState(one, "RUNNING")
	p.awaitState(two, "RUNNING")
	r, err := p.interrupt(connect.InterruptRequest_INTERRUPT_TYPE_TAG, "green")
	p.answer("unknown tag", r, err)
	r, err = p.interrupt(connect.InterruptRequest_INTERRUPT_TYPE_OPERATION_ID, newID())
	p.answer("unknown operation", r, err)
	r, err = p.interrupt(connect.InterruptRequest_INTERRUPT_TYPE_TAG, "blue")
	p.answer("tag", r, err)
	p.see("its stream", "%s", p.drain(s1, nil).end())
	r, err = p.interrupt(connect.InterruptRequest_INTERRUPT_TYPE_OPERATION_ID, two)
	p.answer("operation", r, err)
	p.see("its stream", "%s", p.drain(s2, nil).end())
	r, err = p.interrupt(connect.InterruptRequest_INTERRUPT_TYPE_ALL, "")
	p.answer("all", r, err)
	r, err = p.interrupt(connect.InterruptRequest_INTERRUPT_TYPE_TAG, "")
	p.answer("empty tag", r, err)
	r, err = p.interrupt(connect.InterruptRequest_INTERRUPT_TYPE_OPERATION_ID, "")
	p.answer("empty operation", r, err)
	r, err = p.interrupt(connect.InterruptRequest_INTERRUPT_TYPE_UNSPECIFIED, "")
	p.answer("no type", r, err)
}

func badTags(p *probe) {
	for _, tag := range []string{"", "a,b"} {
		r := p.request(newID(), rangePlan(1))
		r.Tags = []string{tag}
		p.see("tag "+tag, "%s", p.drain(p.stub.ExecutePlan(p.ctx, r)))
	}
}

func releaseDuringQuery(p *probe) {
	op := newID()
	s, cut := p.start(op, sqlPlan(sleepSQL))
	defer cut()
	p.awaitState(op, "RUNNING")
	r, err := p.releaseSession(false)
	p.answer("release", r, err)
	p.see("the stream", "%s", p.drain(s, nil).end())
	p.see("reattach", "%s", p.reattach(op, ""))
}

func statuses(p *probe) {
	get := func(what string, ops ...string) {
		r, err := p.stub.GetStatus(p.ctx, &connect.GetStatusRequest{SessionId: p.id, UserContext: p.userContext(),
			OperationStatus: &connect.GetStatusRequest_OperationStatusRequest{OperationIds: ops}})
		p.answer(what, r, err)
		var states []string
		for _, s := range r.GetOperationStatuses() {
			states = append(states, strings.TrimPrefix(s.State.String(), "OPERATION_STATE_"))
		}
		slices.Sort(states)
		p.see("states", "%v", states)
	}
	p.open()
	done, bad, running := newID(), newID(), newID()
	p.execute(done, rangePlan(1))
	get("unreleased", done)
	_, err := p.releaseAll(done)
	require.NoError(p.t, err)
	p.execute(bad, sqlPlan("SELECT nope"))
	get("released", done)
	get("failed, unreleased", bad)
	failed := newID()
	p.execute(failed, sqlPlan("SELECT nope"))
	p.awaitState(failed, "TERMINATING") // the error reaches the client before Spark notes the failure
	_, err = p.releaseAll(failed)
	require.NoError(p.t, err)
	get("failed, released", failed)
	s, cut := p.start(running, sqlPlan(sleepSQL))
	defer cut()
	p.awaitState(running, "RUNNING")
	get("all three and an unknown one", done, bad, running, newID())
	get("twice the same", done, done)
	get("all")
	get("bad id", "not-a-uuid")
	_, err = p.interrupt(connect.InterruptRequest_INTERRUPT_TYPE_ALL, "")
	require.NoError(p.t, err)
	p.drain(s, nil)
	p.see("interrupted", "%s", p.awaitState(running, "CANCELLED"))
	r, err := p.stub.GetStatus(p.ctx, &connect.GetStatusRequest{SessionId: p.id, UserContext: p.userContext()})
	p.answer("no operation status", r, err)
}

func errorDetails(p *probe) {
	op := newID()
	g := p.execute(op, sqlPlan("SELECT nope"))
	p.see("error", "%s", g)
	p.see("reattach", "%s", p.reattach(op, ""))
	id := errorID(g.err)
	p.see("error id", "%v", id != "")
	for range 2 {
		r, err := p.stub.FetchErrorDetails(p.ctx, &connect.FetchErrorDetailsRequest{SessionId: p.id, UserContext: p.userContext(), ErrorId: id})
		p.answer("details", r, err)
		for _, e := range r.GetErrors()[:min(1, len(r.GetErrors()))] {
			p.see("first", "%s %q %s %s", fields(e), firstLine(e.Message), e.GetSparkThrowable().GetErrorClass(), e.ErrorTypeHierarchy[0])
		}
	}
	r, err := p.stub.FetchErrorDetails(p.ctx, &connect.FetchErrorDetailsRequest{SessionId: p.id, UserContext: p.userContext(), ErrorId: newID()})
	p.answer("unknown error", r, err)
	p.see("parse error", "%s", p.execute(newID(), sqlPlan("SELEC 1")))
}

func errorID(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.Metadata["errorId"]
		}
	}
	return ""
}

// commands are the plans that PySpark sends beside relations.
func commands(p *probe) {
	command := func(c *connect.Command) *connect.Plan {
		return &connect.Plan{OpType: &connect.Plan_Command{Command: c}}
	}
	p.see("sql command", "%s", p.execute(newID(), command(&connect.Command{CommandType: &connect.Command_SqlCommand{
		SqlCommand: &connect.SqlCommand{Input: sqlPlan("SELECT 1").GetRoot()}}})))
	p.see("sql command, eager", "%s", p.execute(newID(), command(&connect.Command{CommandType: &connect.Command_SqlCommand{
		SqlCommand: &connect.SqlCommand{Input: sqlPlan("SET my.own.key=5").GetRoot()}}})))
	p.see("clean cache", "%s", p.execute(newID(), command(&connect.Command{CommandType: &connect.Command_MlCommand{
		MlCommand: &connect.MlCommand{Command: &connect.MlCommand_CleanCache_{CleanCache: &connect.MlCommand_CleanCache{}}}}})))
	p.see("select", "%s", p.execute(newID(), sqlPlan("SELECT 1")))
	p.see("runtime error", "%s", p.execute(newID(), sqlPlan("SELECT raise_error('boom') FROM range(1)")).end())
	p.see("no command", "%s", p.execute(newID(), command(&connect.Command{})))
}

// tightStreams reads a result through an engine that ends streams after a
// second or 123 bytes: the client must come back until the result is complete.
func tightStreams(p *probe) {
	op := newID()
	g := p.execute(op, rangePlan(20000))
	segments, rows, kinds, ids, last := 1, g.rows, g.kinds, g.ids, ""
	for ; g.err == nil && !g.complete && segments < 1000; segments++ {
		if n := len(ids); n > 0 {
			last = ids[n-1]
		}
		g = p.reattach(op, last)
		rows, kinds, ids = rows+g.rows, append(kinds, g.kinds...), append(ids, g.ids...)
	}
	p.see("end", "%s complete=%v rows=%d", explain(g.err), g.complete, rows)
	p.see("more than one segment", "%v", segments > 1)
	p.see("kinds", "%v", slices.Compact(kinds))
	p.see("ids unique", "%v", unique(ids))
	p.see("not reattachable", "%s", p.execute("", rangePlan(100)))
}

// tightDuration shows that a stream without rows ends by the clock.
func tightDuration(p *probe) {
	op := newID()
	s, cut := p.start(op, sqlPlan(sleepSQL))
	defer cut()
	p.see("stream", "%s", p.drain(s, nil).end())
	p.see("state", "%s", p.awaitState(op, "RUNNING"))
	p.see("again", "%s", p.reattach(op, "").end())
	_, err := p.releaseAll(op)
	p.see("release", "%s", explain(err))
}

// abandoned leaves an operation without a stream for longer than the engine's
// detached timeout.
func abandoned(p *probe) {
	op := newID()
	_, cut := p.start(op, sqlPlan(sleepSQL))
	p.awaitState(op, "RUNNING")
	cut()
	p.see("state", "%s", p.awaitState(op, "CANCELLED", "FAILED", "SUCCEEDED", "UNKNOWN"))
	p.see("reattach", "%s", p.reattach(op, ""))
	p.see("execute again", "%s", p.execute(op, sqlPlan(sleepSQL)))
	r, err := p.releaseAll(op)
	p.answer("release", r, err)
}
