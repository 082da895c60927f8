// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"bytes"
	"slices"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "roundhouse/proto/gen/spark/connect"
	"roundhouse/server/proxy"
)

// localReply answers a request as Spark does for a session that has nothing;
// nil means that the request is none of that kind.
type localReply func(req proxy.Request) proto.Message

// Field numbers of ExecutePlanRequest and ReleaseSessionRequest (base.proto).
const (
	executePlanPlan      = 3
	executePlanOperation = 6
)

// cleanCacheReply completes the constant plan that PySpark 4.3 sends at
// interpreter exit, even from a session that did nothing: without an engine
// there is no ML cache to clean.
func cleanCacheReply(req proxy.Request) proto.Message {
	clean, err := proto.Marshal(&pb.Plan{OpType: &pb.Plan_Command{Command: &pb.Command{
		CommandType: &pb.Command_MlCommand{MlCommand: &pb.MlCommand{
			Command: &pb.MlCommand_CleanCache_{CleanCache: &pb.MlCommand_CleanCache{}},
		}},
	}}})
	if err != nil || !bytes.Equal(field(req, executePlanPlan), clean) {
		return nil
	}
	return &pb.ExecutePlanResponse{
		SessionId:    req.SessionID,
		OperationId:  string(field(req, executePlanOperation)),
		ResponseId:   uuid.NewString(),
		ResponseType: &pb.ExecutePlanResponse_ResultComplete_{ResultComplete: &pb.ExecutePlanResponse_ResultComplete{}},
	}
}

// planCompression are the settings that PySpark asks for before its first plan,
// whatever that is: clean_cache at exit as well.
var planCompression = [...]string{
	"spark.connect.session.planCompression.threshold",
	"spark.connect.session.planCompression.defaultAlgorithm",
}

// planCompressionReply answers the question after exactly these settings as a
// Spark without plan compression does: the client then sends its plans as they
// are, and a program that only comes and goes needs no engine.
func planCompressionReply(req proxy.Request) proto.Message {
	var in pb.ConfigRequest
	if proto.Unmarshal(req.Raw(), &in) != nil || !slices.Equal(in.GetOperation().GetGet().GetKeys(), planCompression[:]) {
		return nil
	}
	off := &pb.KeyValue{Key: planCompression[0], Value: proto.String("-1")}
	none := &pb.KeyValue{Key: planCompression[1], Value: proto.String("NONE")}
	return &pb.ConfigResponse{SessionId: req.SessionID, Pairs: []*pb.KeyValue{off, none}}
}

func artifactStatusReply(req proxy.Request) proto.Message {
	var in pb.ArtifactStatusesRequest
	if proto.Unmarshal(req.Raw(), &in) != nil {
		return nil
	}
	out := &pb.ArtifactStatusesResponse{SessionId: req.SessionID, Statuses: map[string]*pb.ArtifactStatusesResponse_ArtifactStatus{}}
	for _, name := range in.GetNames() {
		out.Statuses[name] = &pb.ArtifactStatusesResponse_ArtifactStatus{Exists: false}
	}
	return out
}

func interruptReply(req proxy.Request) proto.Message {
	return &pb.InterruptResponse{SessionId: req.SessionID}
}

func releaseExecuteReply(req proxy.Request) proto.Message {
	return &pb.ReleaseExecuteResponse{SessionId: req.SessionID}
}

func releaseSessionReply(req proxy.Request) proto.Message {
	return &pb.ReleaseSessionResponse{SessionId: req.SessionID}
}

func fetchErrorDetailsReply(req proxy.Request) proto.Message {
	return &pb.FetchErrorDetailsResponse{SessionId: req.SessionID}
}

// field is the last value of a length-delimited field of the request, as
// protobuf reads it.
func field(req proxy.Request, num int) []byte {
	var val []byte
	proxy.ScanBytes(req.Raw(), func(n int, v []byte) {
		if n == num {
			val = v
		}
	})
	return val
}
