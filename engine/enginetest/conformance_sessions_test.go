// SPDX-License-Identifier: Apache-2.0

package enginetest_test

import (
	"context"

	"google.golang.org/grpc/metadata"

	connect "roundhouse/proto/gen/spark/connect"
)

// everyCall makes one call of each RPC in the probe's session, naming observed
// as the server side session id when it is not "".
func (p *probe) everyCall(observed string) {
	var seen *string
	if observed != "" {
		seen = &observed
	}
	id, uc, op := p.id, p.userContext(), newID()

	config := &connect.ConfigRequest{SessionId: id, UserContext: uc, ClientObservedServerSideSessionId: seen,
		Operation: &connect.ConfigRequest_Operation{OpType: &connect.ConfigRequest_Operation_Set{Set: &connect.ConfigRequest_Set{}}}}
	c, err := p.stub.Config(p.ctx, config)
	p.answer("Config", c, err)

	a, err := p.stub.AnalyzePlan(p.ctx, &connect.AnalyzePlanRequest{SessionId: id, UserContext: uc, ClientObservedServerSideSessionId: seen,
		Analyze: &connect.AnalyzePlanRequest_SparkVersion_{SparkVersion: &connect.AnalyzePlanRequest_SparkVersion{}}})
	p.answer("AnalyzePlan", a, err)

	req := p.request(op, rangePlan(3))
	req.ClientObservedServerSideSessionId = seen
	p.see("ExecutePlan", "%s", p.drain(p.stub.ExecutePlan(p.ctx, req)))

	p.see("ReattachExecute", "%s", p.drain(p.stub.ReattachExecute(p.ctx, &connect.ReattachExecuteRequest{
		SessionId: id, UserContext: uc, OperationId: newID(), ClientObservedServerSideSessionId: seen,
	})))

	rel, err := p.stub.ReleaseExecute(p.ctx, &connect.ReleaseExecuteRequest{SessionId: id, UserContext: uc, OperationId: newID(),
		ClientObservedServerSideSessionId: seen,
		Release:                           &connect.ReleaseExecuteRequest_ReleaseAll_{ReleaseAll: &connect.ReleaseExecuteRequest_ReleaseAll{}}})
	p.answer("ReleaseExecute", rel, err)

	i, err := p.stub.Interrupt(p.ctx, &connect.InterruptRequest{SessionId: id, UserContext: uc, ClientObservedServerSideSessionId: seen,
		InterruptType: connect.InterruptRequest_INTERRUPT_TYPE_ALL})
	p.answer("Interrupt", i, err)

	st, err := p.stub.ArtifactStatus(p.ctx, &connect.ArtifactStatusesRequest{SessionId: id, UserContext: uc,
		ClientObservedServerSideSessionId: seen, Names: []string{"cache/none"}})
	p.answer("ArtifactStatus", st, err)

	p.everyLateCall(seen)
}

func (p *probe) everyLateCall(seen *string) {
	id, uc := p.id, p.userContext()
	add, err := p.addArtifacts(&connect.AddArtifactsRequest{SessionId: id, UserContext: uc, ClientObservedServerSideSessionId: seen,
		Payload: &connect.AddArtifactsRequest_Batch_{Batch: &connect.AddArtifactsRequest_Batch{}}})
	p.answer("AddArtifacts", add, err)

	f, err := p.stub.FetchErrorDetails(p.ctx, &connect.FetchErrorDetailsRequest{SessionId: id, UserContext: uc,
		ClientObservedServerSideSessionId: seen, ErrorId: newID()})
	p.answer("FetchErrorDetails", f, err)

	cl, err := p.stub.CloneSession(p.ctx, &connect.CloneSessionRequest{SessionId: id, UserContext: uc, ClientObservedServerSideSessionId: seen})
	p.answer("CloneSession", cl, err)

	g, err := p.stub.GetStatus(p.ctx, &connect.GetStatusRequest{SessionId: id, UserContext: uc, ClientObservedServerSideSessionId: seen,
		OperationStatus: &connect.GetStatusRequest_OperationStatusRequest{}})
	p.answer("GetStatus", g, err)
}

func (p *probe) addArtifacts(msgs ...*connect.AddArtifactsRequest) (*connect.AddArtifactsResponse, error) {
	s, err := p.stub.AddArtifacts(p.ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range msgs {
		if s.Send(m) != nil {
			break
		}
	}
	return s.CloseAndRecv()
}

func newSession(p *probe) {
	p.everyCall("")
	first := p.ssid
	p.open()
	p.see("server side id is stable", "%v", first == p.ssid)
	p.user = "bob"
	p.open()
	p.see("another user has another session", "%v", first != p.ssid)
}

// unknownSession shows which RPCs open a session and what the others answer.
func unknownSession(p *probe) {
	for _, call := range []struct {
		name string
		do   func()
	}{
		{"Interrupt", func() {
			r, err := p.interrupt(connect.InterruptRequest_INTERRUPT_TYPE_ALL, "")
			p.answer("Interrupt", r, err)
		}},
		{"FetchErrorDetails", func() {
			r, err := p.stub.FetchErrorDetails(p.ctx, &connect.FetchErrorDetailsRequest{SessionId: p.id, UserContext: p.userContext(), ErrorId: newID()})
			p.answer("FetchErrorDetails", r, err)
		}},
		{"ArtifactStatus", func() {
			r, err := p.stub.ArtifactStatus(p.ctx, &connect.ArtifactStatusesRequest{SessionId: p.id, UserContext: p.userContext(), Names: []string{"cache/none"}})
			p.answer("ArtifactStatus", r, err)
		}},
		{"CloneSession", func() {
			r, err := p.stub.CloneSession(p.ctx, &connect.CloneSessionRequest{SessionId: p.id, UserContext: p.userContext()})
			p.answer("CloneSession", r, err)
		}},
		{"GetStatus", func() {
			r, err := p.stub.GetStatus(p.ctx, &connect.GetStatusRequest{SessionId: p.id, UserContext: p.userContext()})
			p.answer("GetStatus", r, err)
		}},
		{"ReleaseExecute", func() { r, err := p.releaseAll(newID()); p.answer("ReleaseExecute", r, err) }},
		{"ReattachExecute", func() { p.see("ReattachExecute", "%s", p.reattach(newID(), "")) }},
	} {
		p.id = newID()
		call.do()
		// A session that the call opened can be reattached into: the operation is what is missing then.
		p.see("after "+call.name, "%s", explain(p.reattach(newID(), "").err))
	}
}

func releasedUnknownSession(p *probe) {
	r, err := p.releaseSession(false)
	p.answer("release of a session never seen", r, err)
	p.see("then", "%s", p.execute(newID(), rangePlan(1)))
}

func tombstone(p *probe) {
	p.open()
	r, err := p.releaseSession(false)
	p.answer("release", r, err)
	r, err = p.releaseSession(false)
	p.answer("release again", r, err)
	p.everyCall("")
	r, err = p.releaseSession(true)
	p.answer("release, reconnect allowed", r, err)
	p.see("execute after that", "%s", explain(p.execute(newID(), rangePlan(1)).err))
}

func reconnect(p *probe) {
	p.open()
	before := p.ssid
	r, err := p.releaseSession(true)
	p.answer("release, reconnect allowed", r, err)
	p.see("execute", "%s", explain(p.execute(newID(), rangePlan(1)).err))
	p.see("server side id changed", "%v", before != p.ssid)
}

func observedSession(p *probe) {
	p.open()
	same := p.ssid
	p.everyCall(newID())
	p.see("with the right one", "%s", explain(func() error {
		_, err := p.stub.Interrupt(p.ctx, &connect.InterruptRequest{SessionId: p.id, UserContext: p.userContext(),
			ClientObservedServerSideSessionId: &same, InterruptType: connect.InterruptRequest_INTERRUPT_TYPE_ALL})
		return err
	}()))
}

// observedUnknownSession asks for sessions that never were, as a client does
// after its engine died and another one answers.
func observedUnknownSession(p *probe) {
	seen := newID()
	for _, call := range []struct {
		name string
		do   func(id string) error
	}{
		{"Config", func(id string) error {
			_, err := p.stub.Config(p.ctx, &connect.ConfigRequest{SessionId: id, UserContext: p.userContext(), ClientObservedServerSideSessionId: &seen,
				Operation: &connect.ConfigRequest_Operation{OpType: &connect.ConfigRequest_Operation_Set{Set: &connect.ConfigRequest_Set{}}}})
			return err
		}},
		{"ReattachExecute", func(id string) error {
			return p.drain(p.stub.ReattachExecute(p.ctx, &connect.ReattachExecuteRequest{SessionId: id, UserContext: p.userContext(),
				OperationId: newID(), ClientObservedServerSideSessionId: &seen})).err
		}},
		{"ReleaseExecute", func(id string) error {
			_, err := p.stub.ReleaseExecute(p.ctx, &connect.ReleaseExecuteRequest{SessionId: id, UserContext: p.userContext(),
				OperationId: newID(), ClientObservedServerSideSessionId: &seen})
			return err
		}},
		{"Interrupt", func(id string) error {
			_, err := p.stub.Interrupt(p.ctx, &connect.InterruptRequest{SessionId: id, UserContext: p.userContext(),
				ClientObservedServerSideSessionId: &seen, InterruptType: connect.InterruptRequest_INTERRUPT_TYPE_ALL})
			return err
		}},
		{"CloneSession", func(id string) error {
			_, err := p.stub.CloneSession(p.ctx, &connect.CloneSessionRequest{SessionId: id, UserContext: p.userContext(), ClientObservedServerSideSessionId: &seen})
			return err
		}},
		{"GetStatus", func(id string) error {
			_, err := p.stub.GetStatus(p.ctx, &connect.GetStatusRequest{SessionId: id, UserContext: p.userContext(), ClientObservedServerSideSessionId: &seen})
			return err
		}},
	} {
		p.id = newID()
		p.see(call.name, "%s", explain(call.do(p.id)))
		p.see("after it", "%s", explain(p.reattach(newID(), "").err))
	}
}

func sessionFormat(p *probe) {
	p.id = "not-a-uuid"
	p.everyCall("")
	r, err := p.releaseSession(false)
	p.answer("ReleaseSession", r, err)
	p.id = ""
	c, err := p.setConf()
	p.answer("empty session id", c, err)
}

func withoutUser(p *probe) {
	r, err := p.stub.Config(p.ctx, &connect.ConfigRequest{SessionId: p.id, Operation: &connect.ConfigRequest_Operation{
		OpType: &connect.ConfigRequest_Operation_Set{Set: &connect.ConfigRequest_Set{}}}})
	p.answer("no user context", r, err)
	p.user = ""
	r, err = p.setConf()
	p.answer("empty user", r, err)
	req := p.request(newID(), rangePlan(1))
	req.UserContext = nil
	p.see("execute", "%s", p.drain(p.stub.ExecutePlan(p.ctx, req)))
}

func tokens(p *probe) {
	md, _ := metadata.FromOutgoingContext(p.ctx)
	right := md.Get("authorization")[0]
	try := func(what string, values ...string) {
		out := metadata.MD{}
		out.Append("authorization", values...)
		all := p.ctx
		p.ctx = metadata.NewOutgoingContext(context.WithoutCancel(all), out)
		r, err := p.setConf()
		p.answer(what, r, err)
		p.see(what+" on a stream", "%s", explain(p.execute(newID(), rangePlan(1)).err))
		p.ctx = all
	}
	try("none")
	try("wrong", "Bearer wrong")
	try("no scheme", right[len("Bearer "):])
	try("right last", "Bearer wrong", right)
	try("wrong last", right, "Bearer wrong")
	p.see("unknown method", "%s", explain(p.conn.Invoke(p.ctx, "/spark.connect.SparkConnectService/NoSuch", &connect.ConfigRequest{}, &connect.ConfigResponse{})))
}

func clone(p *probe) {
	_, err := p.setConf("spark.sql.shuffle.partitions", "7")
	p.see("set", "%s", explain(err))
	wish := newID()
	for _, c := range []struct {
		what string
		id   *string
	}{{"clone", nil}, {"clone with an id", &wish}, {"clone again", &wish}, {"clone onto itself", &p.id}, {"clone, bad id", new(string)}} {
		r, err := p.stub.CloneSession(p.ctx, &connect.CloneSessionRequest{SessionId: p.id, UserContext: p.userContext(), NewSessionId: c.id})
		p.answer(c.what, r, err)
		if err == nil {
			p.see("new ids differ", "%v %v", r.NewSessionId != p.id, r.NewServerSideSessionId != r.ServerSideSessionId)
			p.see("wish granted", "%v", c.id == nil || r.NewSessionId == *c.id)
		}
	}
	bad := "not-a-uuid"
	r, err := p.stub.CloneSession(p.ctx, &connect.CloneSessionRequest{SessionId: p.id, UserContext: p.userContext(), NewSessionId: &bad})
	p.answer("clone, bad id", r, err)
	p.id = wish
	c, err := p.getConf("spark.sql.shuffle.partitions")
	p.see("conf of the clone", "%s %s", c.GetPairs()[0].GetValue(), explain(err))
	_, err = p.releaseSession(false)
	p.see("release of the clone", "%s", explain(err))
	r, err = p.stub.CloneSession(p.ctx, &connect.CloneSessionRequest{SessionId: p.id, UserContext: p.userContext()})
	p.answer("clone of a released session", r, err)
}
