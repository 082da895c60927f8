// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"bytes"
	"slices"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"roundhouse/internal/errs"
	pb "roundhouse/proto/gen/spark/connect"
	"roundhouse/server/proxy"
)

// localReply answers a request as Spark does for a session that has nothing; no
// message and no error mean that the request is none of that kind. client is
// the client_type.
//
// PySpark takes the server_side_session_id of its first Config or Interrupt
// reply for good, also an empty one, and refuses the engine's own later. Such
// replies cannot be made here, so PySpark gets an error that it can do without
// (docs/decisions/0004-local-replies.md).
type localReply func(req proxy.Request, client string) ([]proto.Message, error)

const pythonClient = "_SPARK_CONNECT_PYTHON"

// Field numbers of ExecutePlanRequest and ReleaseSessionRequest (base.proto).
const (
	executePlanPlan      = 3
	executePlanOperation = 6
)

// cleanCacheReply completes the constant plan that PySpark 4.3 sends at
// interpreter exit, even from a session that did nothing: without an engine
// there is no ML cache to clean. The answer has two messages as Spark's own has;
// after a single one grpc's Python client often hangs at exit (docs/decisions/0004).
func cleanCacheReply(req proxy.Request, _ string) ([]proto.Message, error) {
	clean, err := proto.Marshal(&pb.Plan{OpType: &pb.Plan_Command{Command: &pb.Command{
		CommandType: &pb.Command_MlCommand{MlCommand: &pb.MlCommand{
			Command: &pb.MlCommand_CleanCache_{CleanCache: &pb.MlCommand_CleanCache{}},
		}},
	}}})
	if err != nil || !bytes.Equal(field(req, executePlanPlan), clean) {
		return nil, nil
	}
	result := response(req)
	result.ResponseType = &pb.ExecutePlanResponse_MlCommandResult{MlCommandResult: &pb.MlCommandResult{
		ResultType: &pb.MlCommandResult_Param{Param: &pb.Expression_Literal{LiteralType: &pb.Expression_Literal_Integer{}}},
	}}
	complete := response(req)
	complete.ResponseType = &pb.ExecutePlanResponse_ResultComplete_{ResultComplete: &pb.ExecutePlanResponse_ResultComplete{}}
	return []proto.Message{result, complete}, nil
}

func response(req proxy.Request) *pb.ExecutePlanResponse {
	return &pb.ExecutePlanResponse{
		SessionId: req.SessionID, OperationId: string(field(req, executePlanOperation)), ResponseId: uuid.NewString(),
	}
}

// planCompression are the settings that PySpark asks for before its first plan,
// whatever that is: clean_cache at exit as well.
var planCompression = [...]string{
	"spark.connect.session.planCompression.threshold",
	"spark.connect.session.planCompression.defaultAlgorithm",
}

// planCompressionReply refuses PySpark's question after exactly these settings,
// which makes it send its plans as they are: a program that only comes and goes
// needs no engine.
func planCompressionReply(req proxy.Request, client string) ([]proto.Message, error) {
	var in pb.ConfigRequest
	if !strings.HasPrefix(client, pythonClient) || proto.Unmarshal(req.Raw(), &in) != nil ||
		!slices.Equal(in.GetOperation().GetGet().GetKeys(), planCompression[:]) {
		return nil, nil
	}
	return nil, errs.New(errs.NoEngineYet, "Session %s has no engine yet, so plans are not compressed.", req.SessionID)
}

func artifactStatusReply(req proxy.Request, _ string) ([]proto.Message, error) {
	var in pb.ArtifactStatusesRequest
	if proto.Unmarshal(req.Raw(), &in) != nil {
		return nil, nil
	}
	out := &pb.ArtifactStatusesResponse{SessionId: req.SessionID, Statuses: map[string]*pb.ArtifactStatusesResponse_ArtifactStatus{}}
	for _, name := range in.GetNames() {
		out.Statuses[name] = &pb.ArtifactStatusesResponse_ArtifactStatus{Exists: false}
	}
	return []proto.Message{out}, nil
}

func releaseExecuteReply(req proxy.Request, _ string) ([]proto.Message, error) {
	return []proto.Message{&pb.ReleaseExecuteResponse{SessionId: req.SessionID}}, nil
}

func releaseSessionReply(req proxy.Request, _ string) ([]proto.Message, error) {
	return []proto.Message{&pb.ReleaseSessionResponse{SessionId: req.SessionID}}, nil
}

func fetchErrorDetailsReply(req proxy.Request, _ string) ([]proto.Message, error) {
	return []proto.Message{&pb.FetchErrorDetailsResponse{SessionId: req.SessionID}}, nil
}

// field is the last value of a length-delimited field of the request, as
// protobuf reads it.
func field(req proxy.Request, num int) []byte {
	var val []byte
	_ = proxy.ScanBytes(req.Raw(), func(n int, v []byte) { // it has passed Scan
		if n == num {
			val = v
		}
	})
	return val
}
