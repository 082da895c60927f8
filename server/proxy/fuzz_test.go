// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	pb "roundhouse/proto/gen/spark/connect"
)

// sparkRequest is what all request messages share.
type sparkRequest interface {
	proto.Message
	GetSessionId() string
	GetUserContext() *pb.UserContext
}

func sparkRequests() []sparkRequest {
	return []sparkRequest{
		&pb.ExecutePlanRequest{}, &pb.AnalyzePlanRequest{}, &pb.ConfigRequest{}, &pb.AddArtifactsRequest{},
		&pb.ArtifactStatusesRequest{}, &pb.InterruptRequest{}, &pb.ReattachExecuteRequest{}, &pb.ReleaseExecuteRequest{},
		&pb.ReleaseSessionRequest{}, &pb.FetchErrorDetailsRequest{}, &pb.CloneSessionRequest{}, &pb.GetStatusRequest{},
	}
}

// FuzzScan holds the scan against the protobuf library, for every request type:
// what both accept, both read alike, and the stamp changes the identity alone;
// what only the scan refuses has a field of an unexpected wire type.
func FuzzScan(f *testing.F) {
	for _, raw := range malformedRequests() {
		f.Add(raw)
	}
	plan := protoBytes(f, &pb.ExecutePlanRequest{
		SessionId: sid, UserContext: &pb.UserContext{UserId: "mallory"}, Tags: []string{"a", "b"},
		Plan: &pb.Plan{OpType: &pb.Plan_Root{Root: &pb.Relation{RelType: &pb.Relation_Sql{Sql: &pb.SQL{Query: "SELECT 1"}}}}},
	})
	f.Add(plan)
	f.Add(join(plan, userContext("eve", "x/1"), str(1, "other"), str(1, sid)))
	f.Add([]byte{0x92, 0x80, 0x80, 0x80, 0x00, 0x03, 0x0a, 0x01, 'm'}) // field 2 by an over-long tag
	f.Fuzz(func(t *testing.T, raw []byte) {
		req, err := Scan(raw)
		for _, before := range sparkRequests() {
			if proto.Unmarshal(raw, before) != nil {
				continue
			}
			if err != nil {
				require.True(t, hasUnknown(before), "%T reads what the scan refuses: %v", before, err)
				continue
			}
			require.Equal(t, before.GetSessionId(), req.SessionID)
			require.Equal(t, before.GetUserContext().GetUserId(), req.UserID)
			onlyIdentityChanges(t, before, req.Stamped(Stamp{UserID: "alice", SessionID: sid}))
		}
	})
}

func protoBytes(t testing.TB, m proto.Message) []byte {
	raw, err := proto.Marshal(m)
	require.NoError(t, err)
	return raw
}

// hasUnknown says whether something of m or its user context was not understood.
func hasUnknown(m sparkRequest) bool {
	return len(m.ProtoReflect().GetUnknown()) > 0 || len(m.GetUserContext().ProtoReflect().GetUnknown()) > 0
}

// onlyIdentityChanges compares a request with the stamped one.
func onlyIdentityChanges(t *testing.T, before sparkRequest, stamped []byte) {
	t.Helper()
	after := before.ProtoReflect().New().Interface().(sparkRequest)
	require.NoError(t, proto.Unmarshal(stamped, after))
	require.Equal(t, sid, after.GetSessionId())
	user := after.GetUserContext()
	require.Equal(t, "alice", user.GetUserId())
	require.Equal(t, "alice", user.GetUserName())
	require.Len(t, user.GetExtensions(), len(before.GetUserContext().GetExtensions()))
	for _, m := range []sparkRequest{before, after} {
		fields := m.ProtoReflect().Descriptor().Fields()
		m.ProtoReflect().Clear(fields.ByNumber(1))
		m.ProtoReflect().Clear(fields.ByNumber(2))
	}
	require.Equal(t, protoText(t, before), protoText(t, after))
}

// protoText is an encoding that is equal for equal messages, NaN included.
func protoText(t *testing.T, m proto.Message) string {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	require.NoError(t, err)
	return string(raw)
}
