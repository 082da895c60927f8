// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"
	"slices"
	"strings"

	connect "roundhouse/proto/gen/spark/connect"
)

func checkTag(tag string) *sparkError {
	switch {
	case tag == "":
		return fail(errJava, "text", "Spark Connect tag cannot be an empty string.")
	case strings.Contains(tag, ","):
		return fail(errJava, "text", "Spark Connect tag cannot contain ','.")
	}
	return nil
}

// Interrupt cancels the running operations that the request means. It opens
// the session when there is none, as the real engine does.
func (v *service) Interrupt(_ context.Context, r *connect.InterruptRequest) (*connect.InterruptResponse, error) {
	s, err := v.sessions.obtain(callOf(r))
	if err != nil {
		return nil, err
	}
	var meant func(*execution) bool
	switch r.InterruptType {
	case connect.InterruptRequest_INTERRUPT_TYPE_ALL:
		meant = func(*execution) bool { return true }
	case connect.InterruptRequest_INTERRUPT_TYPE_TAG:
		meant = func(x *execution) bool { return slices.Contains(x.tags, r.GetOperationTag()) }
	case connect.InterruptRequest_INTERRUPT_TYPE_OPERATION_ID:
		meant = func(x *execution) bool { return x.id == r.GetOperationId() }
	default:
		return nil, s.failed(fail(errInterruptType, "interruptType", r.InterruptType.String()))
	}
	out := &connect.InterruptResponse{SessionId: s.key.id, ServerSideSessionId: s.serverSide}
	for _, x := range s.executions() {
		if meant(x) && x.interrupt() {
			out.InterruptedIds = append(out.InterruptedIds, x.id)
		}
	}
	return out, nil
}

// GetStatus tells the states of the asked operations, or of all known ones.
func (v *service) GetStatus(_ context.Context, r *connect.GetStatusRequest) (*connect.GetStatusResponse, error) {
	s, err := v.sessions.existing(callOf(r))
	if err != nil {
		return nil, err
	}
	out := &connect.GetStatusResponse{SessionId: s.key.id, ServerSideSessionId: s.serverSide}
	if r.OperationStatus == nil {
		return out, nil
	}
	states := s.states()
	ids := slices.Clone(r.OperationStatus.OperationIds)
	if len(ids) == 0 {
		for id := range states {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		st, known := states[id]
		if !known {
			st = stateUnknown
		}
		out.OperationStatuses = append(out.OperationStatuses,
			&connect.GetStatusResponse_OperationStatus{OperationId: id, State: st})
	}
	return out, nil
}

// states maps every operation that the session remembers to its state.
func (s *session) states() map[string]state {
	out := make(map[string]state)
	s.mu.Lock()
	for id, f := range s.mu.finished.m {
		out[id] = f.state
	}
	s.mu.Unlock()
	for _, x := range s.executions() {
		out[x.id] = x.state()
	}
	return out
}

// FetchErrorDetails gives an error once. What it does not find is no error.
func (v *service) FetchErrorDetails(_ context.Context, r *connect.FetchErrorDetailsRequest) (*connect.FetchErrorDetailsResponse, error) {
	s, err := v.sessions.obtain(callOf(r))
	if err != nil {
		return nil, err
	}
	e := s.takeError(r.ErrorId)
	if e == nil {
		return &connect.FetchErrorDetailsResponse{}, nil
	}
	out := &connect.FetchErrorDetailsResponse_Error{
		ErrorTypeHierarchy: strings.Fields(e.shape.types),
		Message:            e.message,
		StackTrace: []*connect.FetchErrorDetailsResponse_StackTraceElement{{
			DeclaringClass: "org.roundhouse.FakeEngine", MethodName: "run", LineNumber: 1,
		}},
	}
	if e.shape.class != "" {
		out.SparkThrowable = &connect.FetchErrorDetailsResponse_SparkThrowable{
			ErrorClass: &e.shape.class, SqlState: &e.shape.state, MessageParameters: e.params,
		}
	}
	return &connect.FetchErrorDetailsResponse{
		RootErrorIdx: new(int32), Errors: []*connect.FetchErrorDetailsResponse_Error{out},
	}, nil
}
