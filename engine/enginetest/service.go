// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	connect "roundhouse/proto/gen/spark/connect"
)

// service is the Connect service: sessions and executions here, the RPCs about
// settings, analysis and artifacts in their own files.
type service struct {
	connect.UnimplementedSparkConnectServiceServer
	opts     Options
	sessions *sessions
}

// ExecutePlan starts an operation, or attaches to the one of the same id and plan.
func (v *service) ExecutePlan(r *connect.ExecutePlanRequest, stream grpc.ServerStreamingServer[connect.ExecutePlanResponse]) error {
	s, err := v.sessions.obtain(callOf(r))
	if err != nil {
		return err
	}
	if err := checkExecute(r); err != nil {
		return s.failed(err)
	}
	id := r.GetOperationId()
	if id == "" {
		id = uuid.NewString()
	}
	x, err := s.start(newExecution(v.sessions.ctx, id, r, planWork(r.Plan, v.opts)))
	if err != nil {
		return err
	}
	if !x.reattachable {
		defer s.remove(x, false)
	}
	return v.send(s, x, stream, "")
}

func checkExecute(r *connect.ExecutePlanRequest) *sparkError {
	if r.OperationId != nil && !validUUID(r.GetOperationId()) {
		return fail(errFormat, "handle", r.GetOperationId())
	}
	for _, tag := range r.Tags {
		if err := checkTag(tag); err != nil {
			return err
		}
	}
	return nil
}

func (v *service) send(s *session, x *execution, stream responseStream, after string) error {
	out, err := x.attach(s, stream, after)
	if err != nil {
		return s.failed(err)
	}
	return out.run()
}

// ReattachExecute continues an operation after the response that the client had last.
func (v *service) ReattachExecute(r *connect.ReattachExecuteRequest, stream grpc.ServerStreamingServer[connect.ExecutePlanResponse]) error {
	s, err := v.sessions.existing(callOf(r))
	if err != nil {
		return err
	}
	x, err := s.execution(r.OperationId)
	if err != nil {
		return err
	}
	if !x.reattachable {
		return s.failed(fail(errNotReattachable))
	}
	return v.send(s, x, stream, r.GetLastResponseId())
}

// ReleaseExecute forgets responses or a whole operation. As in the real engine
// an unknown operation is no error, and the observed session id is not looked at.
func (v *service) ReleaseExecute(_ context.Context, r *connect.ReleaseExecuteRequest) (*connect.ReleaseExecuteResponse, error) {
	s, err := v.sessions.existing(call{request: r})
	if err != nil {
		return nil, err
	}
	out := &connect.ReleaseExecuteResponse{SessionId: s.key.id, ServerSideSessionId: s.serverSide}
	x := s.lookup(r.OperationId)
	if x == nil {
		return out, nil
	}
	out.OperationId = &x.id
	switch {
	case !x.reattachable:
		return nil, s.failed(fail(errNotReattachable))
	case r.GetReleaseUntil() != nil:
		if err := x.releaseUntil(r.GetReleaseUntil().ResponseId); err != nil {
			return nil, s.failed(err)
		}
	default:
		s.remove(x, false)
	}
	return out, nil
}

// ReleaseSession ends a session; one that is unknown or ended is no error.
func (v *service) ReleaseSession(_ context.Context, r *connect.ReleaseSessionRequest) (*connect.ReleaseSessionResponse, error) {
	s := v.sessions.close(call{request: r}.key(), r.AllowReconnect, ReasonReleased)
	out := &connect.ReleaseSessionResponse{SessionId: r.SessionId}
	if s != nil {
		out.ServerSideSessionId = s.serverSide
	}
	return out, nil
}

// CloneSession copies a session under a new id.
func (v *service) CloneSession(_ context.Context, r *connect.CloneSessionRequest) (*connect.CloneSessionResponse, error) {
	s, err := v.sessions.existing(callOf(r))
	if err != nil {
		return nil, err
	}
	id := r.GetNewSessionId()
	switch {
	case id == "":
		id = uuid.NewString()
	case !validUUID(id):
		return nil, s.failed(fail(errCloneFormat, "targetSessionId", id))
	}
	c := s.clone(id)
	if err := v.sessions.add(c); err != nil {
		return nil, s.failed(err)
	}
	return &connect.CloneSessionResponse{
		SessionId: s.key.id, ServerSideSessionId: s.serverSide,
		NewSessionId: id, NewServerSideSessionId: c.serverSide,
	}, nil
}
