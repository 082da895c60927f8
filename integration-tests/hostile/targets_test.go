// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "roundhouse/proto/gen/spark/connect"
)

// ids are what a request may name: a session, one of its operations, an error.
type ids struct{ session, operation, failure string }

// target is an RPC with a valid request, without its session_id and
// user_context.
type target struct {
	method string
	// ends says that the call ends its session.
	ends bool
	body func(t testing.TB, i ids) []byte
}

// targets are all 12 RPCs, those that the gateway writes anew a second time,
// and one of a later Spark.
func targets() map[string]target {
	of := func(method string, make func(i ids) proto.Message) target {
		return target{method: method, body: func(t testing.TB, i ids) []byte { return encode(t, make(i)) }}
	}
	all := map[string]target{
		"ExecutePlan": of("ExecutePlan", func(ids) proto.Message {
			return &pb.ExecutePlanRequest{Plan: sql("SELECT 1"), OperationId: proto.String(uuid.NewString())}
		}),
		"AnalyzePlan": of("AnalyzePlan", func(ids) proto.Message {
			return &pb.AnalyzePlanRequest{Analyze: &pb.AnalyzePlanRequest_SparkVersion_{SparkVersion: &pb.AnalyzePlanRequest_SparkVersion{}}}
		}),
		"Config": of("Config", func(ids) proto.Message {
			return &pb.ConfigRequest{Operation: &pb.ConfigRequest_Operation{OpType: &pb.ConfigRequest_Operation_GetAll{GetAll: &pb.ConfigRequest_GetAll{}}}}
		}),
		"Config set": of("Config", func(ids) proto.Message {
			set := &pb.ConfigRequest_Set{Pairs: []*pb.KeyValue{{Key: "spark.sql.shuffle.partitions", Value: proto.String("3")}}}
			return &pb.ConfigRequest{Operation: &pb.ConfigRequest_Operation{OpType: &pb.ConfigRequest_Operation_Set{Set: set}}}
		}),
		"AddArtifacts": of("AddArtifacts", func(ids) proto.Message { return artifact("files/a.txt") }),
		"ArtifactStatus": of("ArtifactStatus", func(ids) proto.Message {
			return &pb.ArtifactStatusesRequest{Names: []string{"cache/x"}}
		}),
		"Interrupt": of("Interrupt", func(ids) proto.Message {
			return &pb.InterruptRequest{InterruptType: pb.InterruptRequest_INTERRUPT_TYPE_ALL}
		}),
		"ReattachExecute":   of("ReattachExecute", func(i ids) proto.Message { return &pb.ReattachExecuteRequest{OperationId: i.operation} }),
		"ReleaseExecute":    of("ReleaseExecute", func(i ids) proto.Message { return &pb.ReleaseExecuteRequest{OperationId: i.operation} }),
		"ReleaseSession":    of("ReleaseSession", func(ids) proto.Message { return &pb.ReleaseSessionRequest{} }),
		"FetchErrorDetails": of("FetchErrorDetails", func(i ids) proto.Message { return &pb.FetchErrorDetailsRequest{ErrorId: i.failure} }),
		"CloneSession": of("CloneSession", func(ids) proto.Message {
			return &pb.CloneSessionRequest{NewSessionId: proto.String(uuid.NewString())}
		}),
		"CloneSession without id": of("CloneSession", func(ids) proto.Message { return &pb.CloneSessionRequest{} }),
		"GetStatus":               of("GetStatus", func(ids) proto.Message { return &pb.GetStatusRequest{} }),
		"FutureCall":              of("FutureCall", func(ids) proto.Message { return &pb.GetStatusRequest{} }),
	}
	release := all["ReleaseSession"]
	release.ends = true
	all["ReleaseSession"] = release
	return all
}

func artifact(name string) *pb.AddArtifactsRequest {
	one := &pb.AddArtifactsRequest_SingleChunkArtifact{Name: name, Data: &pb.AddArtifactsRequest_ArtifactChunk{}}
	return &pb.AddArtifactsRequest{Payload: &pb.AddArtifactsRequest_Batch_{
		Batch: &pb.AddArtifactsRequest_Batch{Artifacts: []*pb.AddArtifactsRequest_SingleChunkArtifact{one}},
	}}
}

// newMessage makes an empty message of a type.
func newMessage(t testing.TB, name protoreflect.FullName) proto.Message {
	t.Helper()
	found, err := protoregistry.GlobalTypes.FindMessageByName(name)
	require.NoError(t, err)
	return found.New().Interface()
}

func protoName(method string) protoreflect.Name { return protoreflect.Name(method) }
