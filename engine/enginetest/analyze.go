// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"
	"hash/crc32"

	"google.golang.org/protobuf/proto"

	connect "roundhouse/proto/gen/spark/connect"
)

// rangeSchema is the schema of every result: one long column, id.
func rangeSchema() *connect.DataType {
	return &connect.DataType{Kind: &connect.DataType_Struct_{Struct: &connect.DataType_Struct{
		Fields: []*connect.DataType_StructField{{
			Name:     "id",
			DataType: &connect.DataType{Kind: &connect.DataType_Long_{Long: &connect.DataType_Long{}}},
		}},
	}}}
}

// analyzed is a request of AnalyzePlan that carries a plan.
type analyzed interface{ GetPlan() *connect.Plan }

// AnalyzePlan gives small fixed answers of the right shape.
func (v *service) AnalyzePlan(_ context.Context, r *connect.AnalyzePlanRequest) (*connect.AnalyzePlanResponse, error) {
	s, err := v.sessions.obtain(callOf(r))
	if err != nil {
		return nil, err
	}
	out := &connect.AnalyzePlanResponse{SessionId: s.key.id, ServerSideSessionId: s.serverSide}
	if err := v.checkAnalyzed(r); err != nil {
		return nil, s.failed(err)
	}
	if !v.describe(r, out) && !compare(r, out) {
		return nil, s.failed(fail(errUnknownAnalyze, "other", "ANALYZE_NOT_SET"))
	}
	return out, nil
}

// checkAnalyzed analyses the plan inside the request, if there is one.
func (v *service) checkAnalyzed(r *connect.AnalyzePlanRequest) *sparkError {
	for _, a := range []analyzed{
		r.GetSchema(), r.GetExplain(), r.GetTreeString(), r.GetIsLocal(), r.GetIsStreaming(), r.GetInputFiles(), r.GetSemanticHash(),
	} {
		if m := a.(proto.Message); m.ProtoReflect().IsValid() {
			return relationWork(a.GetPlan().GetRoot(), v.opts).invalid
		}
	}
	return nil
}

// describe answers the questions about one plan; false when it was none.
func (v *service) describe(r *connect.AnalyzePlanRequest, out *connect.AnalyzePlanResponse) bool {
	switch r.Analyze.(type) {
	case *connect.AnalyzePlanRequest_SparkVersion_:
		out.Result = &connect.AnalyzePlanResponse_SparkVersion_{SparkVersion: &connect.AnalyzePlanResponse_SparkVersion{Version: v.opts.SparkVersion}}
	case *connect.AnalyzePlanRequest_Schema_:
		out.Result = &connect.AnalyzePlanResponse_Schema_{Schema: &connect.AnalyzePlanResponse_Schema{Schema: rangeSchema()}}
	case *connect.AnalyzePlanRequest_Explain_:
		out.Result = &connect.AnalyzePlanResponse_Explain_{Explain: &connect.AnalyzePlanResponse_Explain{ExplainString: "== Physical Plan ==\nFake\n"}}
	case *connect.AnalyzePlanRequest_TreeString_:
		out.Result = &connect.AnalyzePlanResponse_TreeString_{TreeString: &connect.AnalyzePlanResponse_TreeString{TreeString: "root\n |-- id: long (nullable = false)\n"}}
	case *connect.AnalyzePlanRequest_IsLocal_:
		out.Result = &connect.AnalyzePlanResponse_IsLocal_{IsLocal: &connect.AnalyzePlanResponse_IsLocal{}}
	case *connect.AnalyzePlanRequest_IsStreaming_:
		out.Result = &connect.AnalyzePlanResponse_IsStreaming_{IsStreaming: &connect.AnalyzePlanResponse_IsStreaming{}}
	case *connect.AnalyzePlanRequest_InputFiles_:
		out.Result = &connect.AnalyzePlanResponse_InputFiles_{InputFiles: &connect.AnalyzePlanResponse_InputFiles{}}
	case *connect.AnalyzePlanRequest_SemanticHash_:
		out.Result = &connect.AnalyzePlanResponse_SemanticHash_{SemanticHash: &connect.AnalyzePlanResponse_SemanticHash{Result: planHash(r.GetSemanticHash().GetPlan())}}
	default:
		return false
	}
	return true
}

// compare answers the other questions; false when there was none.
func compare(r *connect.AnalyzePlanRequest, out *connect.AnalyzePlanResponse) bool {
	switch q := r.Analyze.(type) {
	case *connect.AnalyzePlanRequest_SameSemantics_:
		same := proto.Equal(q.SameSemantics.TargetPlan, q.SameSemantics.OtherPlan)
		out.Result = &connect.AnalyzePlanResponse_SameSemantics_{SameSemantics: &connect.AnalyzePlanResponse_SameSemantics{Result: same}}
	case *connect.AnalyzePlanRequest_DdlParse:
		out.Result = &connect.AnalyzePlanResponse_DdlParse{DdlParse: &connect.AnalyzePlanResponse_DDLParse{Parsed: rangeSchema()}}
	case *connect.AnalyzePlanRequest_JsonToDdl:
		out.Result = &connect.AnalyzePlanResponse_JsonToDdl{JsonToDdl: &connect.AnalyzePlanResponse_JsonToDDL{DdlString: "id BIGINT"}}
	case *connect.AnalyzePlanRequest_Persist_:
		out.Result = &connect.AnalyzePlanResponse_Persist_{Persist: &connect.AnalyzePlanResponse_Persist{}}
	case *connect.AnalyzePlanRequest_Unpersist_:
		out.Result = &connect.AnalyzePlanResponse_Unpersist_{Unpersist: &connect.AnalyzePlanResponse_Unpersist{}}
	case *connect.AnalyzePlanRequest_GetStorageLevel_:
		out.Result = &connect.AnalyzePlanResponse_GetStorageLevel_{GetStorageLevel: &connect.AnalyzePlanResponse_GetStorageLevel{StorageLevel: &connect.StorageLevel{Replication: 1}}}
	default:
		return false
	}
	return true
}

// planHash is equal for equal plans and never 0.
func planHash(p *connect.Plan) int32 {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return 1
	}
	return int32(crc32.ChecksumIEEE(b) | 1)
}
