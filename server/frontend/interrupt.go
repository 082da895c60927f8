// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"roundhouse/internal/errs"
	pb "roundhouse/proto/gen/spark/connect"
	"roundhouse/server/proxy"
	"roundhouse/session"
)

// interruptPatience is how long an Interrupt waits for a session that is just
// being opened by a call beside it, so that it reaches the engine like any other.
const interruptPatience = time.Second

// executePlanTags is the field number of ExecutePlanRequest.tags (base.proto).
const executePlanTags = 7

// heldCall says how a call that waits for its engine can be ended.
func heldCall(c *call, end context.CancelCauseFunc) session.HeldCall {
	h := session.HeldCall{Operation: string(field(c.req, executePlanOperation)), End: end}
	_ = proxy.ScanBytes(c.req.Raw(), func(num int, val []byte) {
		if c.Method == "ExecutePlan" && num == executePlanTags {
			h.Tags = append(h.Tags, string(val))
		}
	})
	return h
}

// interrupt serves Interrupt for a session without an engine: it waits a moment
// for the engine, and else ends the calls that wait for it; the launch goes on
// for others. nil, nil means that the session has its engine now.
func (d *Director) interrupt(ctx context.Context, c *call) ([]proto.Message, error) {
	var in pb.InterruptRequest
	if err := proto.Unmarshal(c.req.Raw(), &in); err != nil {
		return nil, errs.Wrap(errs.InvalidRequest, err, "The Interrupt request cannot be read: %v.", err)
	}
	if d.awaitEngine(ctx, c.key) {
		return nil, nil
	}
	var ids []string
	if s, _, _ := d.Sessions.Find(ctx, c.key); s != nil {
		ids = s.EndHeld(func(h session.HeldCall) bool { return meant(&in, h) },
			errs.New(errs.Interrupted, "The call was interrupted before its engine was there; the launch goes on for a while."))
	}
	if strings.HasPrefix(in.GetClientType(), pythonClient) {
		// PySpark must not see a reply without a server_side_session_id.
		return nil, errs.New(errs.NoEngineYet, "Session %s has no engine yet. %d waiting calls were ended.", c.key.ID, len(ids))
	}
	return []proto.Message{&pb.InterruptResponse{SessionId: c.key.ID, InterruptedIds: ids}}, nil
}

// awaitEngine waits for the session of k to have an engine.
func (d *Director) awaitEngine(ctx context.Context, k session.Key) bool {
	ctx, cancel := context.WithTimeout(ctx, interruptPatience)
	defer cancel()
	tick := time.NewTicker(interruptPatience / 10)
	defer tick.Stop()
	for {
		if s, _, _ := d.Sessions.Find(ctx, k); s != nil && s.Routed() {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

// meant says whether an Interrupt is about a held call.
func meant(in *pb.InterruptRequest, h session.HeldCall) bool {
	switch in.GetInterruptType() {
	case pb.InterruptRequest_INTERRUPT_TYPE_ALL:
		return true
	case pb.InterruptRequest_INTERRUPT_TYPE_TAG:
		return slices.Contains(h.Tags, in.GetOperationTag())
	case pb.InterruptRequest_INTERRUPT_TYPE_OPERATION_ID:
		return h.Operation == in.GetOperationId()
	default:
		return false
	}
}
