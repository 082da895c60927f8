// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	pb "roundhouse/proto/gen/spark/connect"
)

const sid = "00112233-4455-6677-8899-aabbccddeeff"

func requestTypes(t testing.TB) []protoreflect.MessageDescriptor {
	methods := pb.File_spark_connect_base_proto.Services().ByName("SparkConnectService").Methods()
	require.Equal(t, 12, methods.Len())
	var all []protoreflect.MessageDescriptor
	for i := range methods.Len() {
		all = append(all, methods.Get(i).Input())
	}
	return all
}

func TestEveryRequestHasSessionIDAndUserContextWhereTheScanExpectsThem(t *testing.T) {
	for _, m := range requestTypes(t) {
		require.Equal(t, "session_id", string(m.Fields().ByNumber(1).Name()), m.FullName())
		require.Equal(t, protoreflect.StringKind, m.Fields().ByNumber(1).Kind(), m.FullName())
		require.Equal(t, "spark.connect.UserContext", string(m.Fields().ByNumber(2).Message().FullName()), m.FullName())
	}
	ctx := (&pb.UserContext{}).ProtoReflect().Descriptor().Fields()
	require.Equal(t, "user_id", string(ctx.ByNumber(fieldUserID).Name()))
	require.Equal(t, "user_name", string(ctx.ByNumber(fieldUserName).Name()))
	require.Equal(t, "extensions", string(ctx.ByNumber(fieldExtensions).Name()))
}

func TestEveryMethodIsServedInItsShape(t *testing.T) {
	methods := pb.File_spark_connect_base_proto.Services().ByName("SparkConnectService").Methods()
	for i := range methods.Len() {
		m := methods.Get(i)
		require.False(t, m.IsStreamingClient() && m.IsStreamingServer(), m.Name())
		switch name := string(m.Name()); {
		case m.IsStreamingClient():
			require.Contains(t, clientStreams, name)
		case m.IsStreamingServer():
			require.Contains(t, serverStreams, name)
		default:
			require.Contains(t, unaryMethods, name)
		}
	}
}

func userContext(user string, ext ...string) []byte {
	c := &pb.UserContext{UserId: user, UserName: user}
	for _, e := range ext {
		c.Extensions = append(c.Extensions, &anypb.Any{TypeUrl: e})
	}
	raw, _ := proto.Marshal(c)
	out := protowire.AppendTag(nil, 2, protowire.BytesType)
	return protowire.AppendBytes(out, raw)
}

func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func str(num protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), v)
}

func TestStampedRequestNamesOnlyTheAuthenticatedUser(t *testing.T) {
	plan, err := proto.Marshal(&pb.Plan{})
	require.NoError(t, err)
	withPlan := protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), plan)
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 4711, protowire.VarintType), 5)
	for name, raw := range map[string][]byte{
		"no user context":        str(1, sid),
		"usual":                  join(str(1, sid), userContext("mallory"), withPlan),
		"twice":                  join(userContext("mallory"), str(1, sid), userContext("eve")),
		"after the plan":         join(str(1, sid), withPlan, userContext("mallory")),
		"session id twice":       join(str(1, "other"), userContext("mallory"), str(1, sid)),
		"unknown field kept":     join(str(1, sid), unknown, userContext("mallory")),
		"empty user context":     join(str(1, sid), []byte{0x12, 0}),
		"around unknown context": join(userContext("a"), unknown, userContext("b"), str(1, sid), userContext("c")),
	} {
		t.Run(name, func(t *testing.T) {
			req, err := Scan(raw)
			require.NoError(t, err)
			require.Equal(t, sid, req.SessionID)
			var before, after pb.ExecutePlanRequest
			require.NoError(t, proto.Unmarshal(raw, &before))
			out := req.Stamped(Stamp{UserID: "alice", SessionID: sid})
			require.NoError(t, proto.Unmarshal(out, &after))
			require.Equal(t, before.GetUserContext().GetUserId(), req.UserID)
			require.Equal(t, "alice", after.UserContext.UserId)
			require.Equal(t, "alice", after.UserContext.UserName)
			before.UserContext = after.UserContext
			require.True(t, proto.Equal(&before, &after), "only the user context may change")
		})
	}
}

func TestStampedRequestKeepsExtensions(t *testing.T) {
	req, err := Scan(join(userContext("a", "x/1"), str(1, sid), userContext("b", "x/2", "x/3")))
	require.NoError(t, err)
	var after pb.ConfigRequest
	require.NoError(t, proto.Unmarshal(req.Stamped(Stamp{UserID: "alice", SessionID: sid}), &after))
	require.Len(t, after.UserContext.Extensions, 3)
	require.Equal(t, "x/3", after.UserContext.Extensions[2].TypeUrl)
}

func malformedRequests() map[string][]byte {
	return map[string][]byte{
		"session id as varint":       {0x08, 1},
		"user context as varint":     {0x10, 1},
		"group":                      join(str(1, sid), []byte{0x1b, 0x1c}),
		"end of group":               {0x1c},
		"cut off":                    str(1, sid)[:10],
		"last field swallows more":   join(str(1, sid), []byte{0x1a, 0x7f, 1}),
		"tag zero":                   {0x02, 0},
		"session id not UTF-8":       {0x0a, 1, 0xff},
		"user id not UTF-8":          {0x12, 3, 0x0a, 1, 0xff},
		"user id as varint":          {0x12, 2, 0x08, 1},
		"extension as varint":        {0x12, 3, 0xb8, 0x3e, 1},
		"user context cut off":       {0x12, 2, 0x0a, 5},
		"endless varint":             {0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"group inside user context":  {0x12, 2, 0x1b, 0x1c},
		"wire type that is not used": {0x0e},
		"field 2 to 32-bit readers":  join(str(1, sid), str(1<<29|2, "\x0a\x03bob")),
		"the same inside a context":  {0x12, 7, 0x8a, 0x80, 0x80, 0x80, 0x10, 1, 'b'},
	}
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	for name, raw := range malformedRequests() {
		t.Run(name, func(t *testing.T) {
			_, err := Scan(raw)
			require.ErrorIs(t, err, ErrMalformed)
		})
	}
}

// FuzzStamped compares with the protobuf library: what the scan accepts and
// stamps, every request type reads as the authenticated user's.
func FuzzStamped(f *testing.F) {
	for _, raw := range malformedRequests() {
		f.Add(raw)
	}
	f.Add(join(str(1, sid), userContext("mallory", "x"), userContext("eve")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		req, err := Scan(raw)
		if err != nil {
			return
		}
		out := req.Stamped(Stamp{UserID: "alice", SessionID: sid})
		for _, m := range []proto.Message{&pb.ExecutePlanRequest{}, &pb.AddArtifactsRequest{}, &pb.ReleaseSessionRequest{}} {
			if proto.Unmarshal(out, m) != nil {
				continue // the engine refuses it as well
			}
			got := m.(interface {
				GetUserContext() *pb.UserContext
				GetSessionId() string
			})
			require.Equal(t, "alice", got.GetUserContext().GetUserId())
			require.Equal(t, "alice", got.GetUserContext().GetUserName())
			require.Equal(t, sid, got.GetSessionId())
		}
	})
}
