// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"roundhouse/internal/errs"
	pb "roundhouse/proto/gen/spark/connect"
	"roundhouse/server/proxy"
	"roundhouse/session"
)

// Field numbers of ReattachExecuteRequest (base.proto).
const (
	reattachOperation = 3
	reattachLast      = 5
)

// unheard says that c reattaches to an operation of a session without a route,
// and that its client has had no response of either. Routes are durable before
// a call is forwarded, so no engine ever got the operation: the gateway that held the
// call that was to open the session has ended, or the way to it broke.
func (c *call) unheard() bool {
	return c.Method == "ReattachExecute" && len(field(c.req, reattachLast)) == 0 && len(field(c.req, c.rule.observed)) == 0
}

// cloneNewID is the field number of CloneSessionRequest.new_session_id.
const cloneNewID = 4

// special does what single RPCs need beyond forwarding.
func (d *Director) special(ctx context.Context, c *call, s *session.Session, r *proxy.Route) error {
	switch c.Method {
	case "Config":
		return d.configSet(c, s, r)
	case "ExecutePlan":
		s.Executing()
	case "AddArtifacts":
		return d.upload(c, s, r)
	case "CloneSession":
		return d.clone(ctx, c, s, r)
	case "ReleaseSession":
		cause := releaseCause(c.req)
		s.Releasing(cause)
		d.released(s, r)
		r.Done = func(err error) {
			if err == nil {
				d.Sessions.End(c.key, session.End{Cause: cause, Why: "The client released it."})
			}
		}
	}
	return nil
}

// released makes the release of a session succeed whose engine ends with it,
// for example an old one with its last session: its answer may get lost.
func (d *Director) released(s *session.Session, r *proxy.Route) {
	fail := r.Fail
	r.Reply = []proto.Message{&pb.ReleaseSessionResponse{SessionId: s.ID}}
	r.Fail = func(ctx context.Context, err error) error {
		if err = fail(ctx, err); s.Ended() != nil {
			return nil
		}
		return err
	}
}

// releaseCause is how a released session ends: with allow_reconnect its id is
// free again.
func releaseCause(req proxy.Request) session.Cause {
	var in pb.ReleaseSessionRequest
	if proto.Unmarshal(req.Raw(), &in) == nil && in.GetAllowReconnect() {
		return session.Forgotten
	}
	return session.Released
}

// clone makes the new session's route before the engine hears of it. A clone
// that fails leaves none.
func (d *Director) clone(ctx context.Context, c *call, s *session.Session, r *proxy.Route) error {
	newID := string(field(c.req, cloneNewID))
	if newID == "" {
		newID = uuid.NewString()
		r.Message = proxy.AppendString(c.req.Raw(), cloneNewID, newID)
	}
	if uuid.Validate(newID) != nil || len(newID) != 36 {
		return errs.New(errs.InvalidRequest, "The new session id %q is not a UUID.", newID)
	}
	cl, err := d.Sessions.Clone(ctx, s, newID)
	if err != nil {
		return err
	}
	r.Done = func(err error) {
		if err != nil {
			d.Sessions.End(cl.Key, session.End{Cause: session.Forgotten, Why: "Cloning failed."})
		}
	}
	return nil
}

// prepare sets the runtime options that came with the connection string or a
// profile, once, before the first call of the session reaches the engine.
func (d *Director) prepare(ctx context.Context, c *call, s *session.Session, e session.Engine) error {
	if len(s.Plan.Options.Session) == 0 {
		return nil
	}
	return s.Prepare(ctx, func() error {
		set := &pb.ConfigRequest_Set{}
		for k, v := range s.Plan.Options.Session {
			set.Pairs = append(set.Pairs, &pb.KeyValue{Key: k, Value: proto.String(v)})
		}
		in := &pb.ConfigRequest{
			SessionId:   c.key.ID,
			UserContext: &pb.UserContext{UserId: c.key.User, UserName: c.key.User},
			Operation:   &pb.ConfigRequest_Operation{OpType: &pb.ConfigRequest_Operation_Set{Set: set}},
		}
		return e.Conn().Invoke(ctx, pb.SparkConnectService_Config_FullMethodName, in, &pb.ConfigResponse{}, grpc.ForceCodecV2(proxy.Codec()))
	})
}
