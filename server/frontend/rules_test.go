// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"encoding/hex"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "roundhouse/proto/gen/spark/connect"
	"roundhouse/server/proxy"
)

const sid = "00112233-4455-6677-8899-aabbccddeeff"

func TestEveryRPCIsDeclaredAsItsDescriptorSays(t *testing.T) {
	rules := ruleTable()
	methods := pb.File_spark_connect_base_proto.Services().ByName("SparkConnectService").Methods()
	require.Len(t, rules, methods.Len(), "each RPC has a rule and no other has one")
	for i := range methods.Len() {
		m := methods.Get(i)
		r, declared := rules[string(m.Name())]
		require.True(t, declared, "declare a rule for %s", m.Name())
		fields := m.Input().Fields()
		require.Equal(t, number(fields, "client_observed_server_side_session_id"), r.observed, m.Name())
		require.Equal(t, number(fields, "client_type"), r.client, m.Name())
	}
}

func number(fields protoreflect.FieldDescriptors, name protoreflect.Name) int {
	if f := fields.ByName(name); f != nil {
		return int(f.Number())
	}
	return 0
}

func TestOnlyFourRPCsOpenSessions(t *testing.T) {
	var open []string
	for name, r := range ruleTable() {
		if r.opens {
			open = append(open, name)
		}
	}
	slices.Sort(open)
	require.Equal(t, []string{"AddArtifacts", "AnalyzePlan", "Config", "ExecutePlan"}, open)
	require.Zero(t, ruleTable()["BrandNewRPC"], "an unknown RPC never opens a session")
}

func scanned(t *testing.T, m proto.Message) proxy.Request {
	t.Helper()
	raw, err := proto.Marshal(m)
	require.NoError(t, err)
	req, err := proxy.Scan(raw)
	require.NoError(t, err)
	return req
}

// cleanCachePlan is the plan of PySpark 4.3's _cleanup_ml_cache as it goes over
// the wire.
const cleanCachePlan = "12058a01023a00"

func TestCleanCacheIsRecognisedByItsBytes(t *testing.T) {
	clean := &pb.MlCommand{Command: &pb.MlCommand_CleanCache_{CleanCache: &pb.MlCommand_CleanCache{}}}
	in := &pb.ExecutePlanRequest{
		SessionId: sid, OperationId: proto.String("op"), ClientType: proto.String("x"),
		Plan: &pb.Plan{OpType: &pb.Plan_Command{Command: &pb.Command{CommandType: &pb.Command_MlCommand{MlCommand: clean}}}},
	}
	plan, err := proto.Marshal(in.Plan)
	require.NoError(t, err)
	require.Equal(t, cleanCachePlan, hex.EncodeToString(plan))
	reply, err := cleanCacheReply(scanned(t, in), "")
	require.NoError(t, err)
	require.Len(t, reply, 2, "a result and its end, as Spark answers")
	for _, m := range reply {
		require.Equal(t, sid, m.(*pb.ExecutePlanResponse).SessionId)
		require.Equal(t, "op", m.(*pb.ExecutePlanResponse).OperationId)
	}
	require.NotNil(t, reply[0].(*pb.ExecutePlanResponse).GetMlCommandResult())
	require.NotNil(t, reply[1].(*pb.ExecutePlanResponse).GetResultComplete())

	in.Plan = &pb.Plan{OpType: &pb.Plan_Command{Command: &pb.Command{CommandType: &pb.Command_SqlCommand{SqlCommand: &pb.SqlCommand{}}}}}
	for _, other := range []proto.Message{in, &pb.ExecutePlanRequest{SessionId: sid}} {
		reply, err := cleanCacheReply(scanned(t, other), "")
		require.NoError(t, err)
		require.Nil(t, reply)
	}
}

func TestArtifactsOfAnUnknownSessionDoNotExist(t *testing.T) {
	got, err := artifactStatusReply(scanned(t, &pb.ArtifactStatusesRequest{SessionId: sid, Names: []string{"cache/x"}}), "")
	require.NoError(t, err)
	require.False(t, got[0].(*pb.ArtifactStatusesResponse).Statuses["cache/x"].Exists)
}

func TestQuestionAfterPlanCompressionNeedsNoEngine(t *testing.T) {
	get := func(client string, keys ...string) error {
		reply, err := planCompressionReply(scanned(t, &pb.ConfigRequest{SessionId: sid, Operation: &pb.ConfigRequest_Operation{
			OpType: &pb.ConfigRequest_Operation_Get{Get: &pb.ConfigRequest_Get{Keys: keys}},
		}}), client)
		require.Nil(t, reply, "an answer would pin an empty server_side_session_id")
		return err
	}
	const threshold, algorithm = "spark.connect.session.planCompression.threshold", "spark.connect.session.planCompression.defaultAlgorithm"
	require.ErrorContains(t, get("_SPARK_CONNECT_PYTHON spark/4.3.0", threshold, algorithm), "no engine yet")
	require.NoError(t, get("_SPARK_CONNECT_SCALA", threshold, algorithm))
	require.NoError(t, get("_SPARK_CONNECT_PYTHON", threshold))
	require.NoError(t, get("_SPARK_CONNECT_PYTHON"))
}
