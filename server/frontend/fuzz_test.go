// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"roundhouse/auth"
	"roundhouse/conf"
	pb "roundhouse/proto/gen/spark/connect"
	"roundhouse/server/proxy"
	"roundhouse/session"
)

// harmless is what every value of a launch looks like: a number with its unit, a
// word, the name of one of Spark's classes. It is no path, no option, no list.
const harmless = `^[A-Za-z0-9]([A-Za-z0-9.]{0,63})$`

// between parts the names and values of the headers in FuzzOptions.
const between = "\x1f"

// metadataOf takes names and values in turn; a name may come again.
func metadataOf(headers string) metadata.MD {
	md := metadata.MD{}
	parts := strings.Split(headers, between)
	for i := 0; i+1 < len(parts); i += 2 {
		md.Append(parts[i], parts[i+1])
	}
	return md
}

// FuzzOptions puts headers into the metadata of a call and bytes into its
// Config request: what comes out for the launch of an engine is on the list of
// conf/testdata/launch-options.txt and looks harmless.
func FuzzOptions(f *testing.F) {
	set := func(key, value string) []byte {
		raw, err := proto.Marshal(&pb.ConfigRequest{SessionId: "s", Operation: &pb.ConfigRequest_Operation{
			OpType: &pb.ConfigRequest_Operation_Set{Set: &pb.ConfigRequest_Set{Pairs: []*pb.KeyValue{{Key: key, Value: &value}}}},
		}})
		require.NoError(f, err)
		return raw
	}
	add := func(request []byte, headers ...string) { f.Add(strings.Join(headers, between), request) }
	add(set("spark.executor.memory", "1g"), "spark.driver.memory", "2g", "spark.executor.cores", "2")
	add(set("spark.sql.ansi.enabled", "true"), "spark.driver.memory", "2g", "spark.driver.memory", "3g", "traceparent", "00-a-b-01", "traceparent", "x")
	add(set("spark.executor.memory", "1g"), "spark.driver.cores", "1", "x-spark.driver.cores", "-Dx=y", "spark.driver.cores-bin", "\x00\xff")
	add(set("spark.driver.extraJavaOptions", "-agentpath:x"), "x-spark.app.name", "a\nspark.master=local", "Spark.Master", "local")
	add(set("set:hiveconf:spark.master", "yarn"), "x-x-spark.jars", "file:///etc/passwd", "x-request-id-bin", "\x00", "x-request-id", "\n")
	add(set("SPARK.SUBMIT.deployMode", "cluster"), "kyuubi.session.conf.profile", "../x", "authorization", "Bearer x")
	list, err := os.ReadFile("../../conf/testdata/launch-options.txt")
	require.NoError(f, err)
	allowed := strings.Split(string(list), "\n")
	c, err := conf.New(nil)
	require.NoError(f, err)
	keys := conf.NewResolver(c)
	d := NewDirector(Director{Keys: keys})
	f.Fuzz(func(t *testing.T, headers string, request []byte) {
		req, err := proxy.Scan(request)
		if err != nil {
			return
		}
		header := metadataOf(headers)
		checkForwarded(t, header)
		w, err := d.wishes(&call{
			Call: &proxy.Call{Method: "Config", Header: header}, req: req, rule: d.rules["Config"],
			id: auth.Identity{User: "alice"}, key: session.Key{User: "alice"},
		})
		if err != nil {
			return
		}
		require.False(t, strings.ContainsFunc(w.Client, unicode.IsControl), "%q", w.Client)
		options, err := keys.Resolve("alice", w.Pairs)
		if err != nil {
			return
		}
		for k, v := range options.Launch {
			require.Contains(t, allowed, k)
			require.Regexp(t, harmless, v, k)
		}
	})
}

// checkForwarded says that an engine gets nothing but what traces a call, once.
func checkForwarded(t *testing.T, header metadata.MD) {
	t.Helper()
	for k, v := range forwardHeader(header) {
		require.Contains(t, []string{"traceparent", "tracestate", "x-request-id"}, k)
		require.Len(t, v, 1)
		require.Equal(t, header.Get(k)[0], v[0])
		require.LessOrEqual(t, len(v[0]), 1024)
	}
}

// upward is a path that leaves its folder or may do so on some system; it is
// written apart from the code, like the check that follows it.
var upward = regexp.MustCompile(`^[/\\]|(^|[/\\])\.\.([/\\]|$)`)

// FuzzArtifacts: when Spark can read a request that passes, all names in it are
// relative and plain.
func FuzzArtifacts(f *testing.F) {
	add := func(m *pb.AddArtifactsRequest) {
		raw, err := proto.Marshal(m)
		require.NoError(f, err)
		f.Add(raw)
	}
	for _, name := range []string{"jars/a.jar", "", "../x", "/etc/passwd", "a\\..\\b", "a\nb", "files/a..b", "\\x", "a/..", ".", "a\u0085b"} {
		one := &pb.AddArtifactsRequest_SingleChunkArtifact{Name: name}
		other := &pb.AddArtifactsRequest_SingleChunkArtifact{Name: "files/a", Data: &pb.AddArtifactsRequest_ArtifactChunk{Data: []byte("x")}}
		add(&pb.AddArtifactsRequest{SessionId: "s", Payload: &pb.AddArtifactsRequest_Batch_{
			Batch: &pb.AddArtifactsRequest_Batch{Artifacts: []*pb.AddArtifactsRequest_SingleChunkArtifact{other, one}},
		}})
		add(&pb.AddArtifactsRequest{SessionId: "s", Payload: &pb.AddArtifactsRequest_BeginChunk{
			BeginChunk: &pb.AddArtifactsRequest_BeginChunkedArtifact{Name: name, TotalBytes: 1, NumChunks: 1, InitialChunk: other.Data},
		}})
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		req, err := proxy.Scan(raw)
		in := &pb.AddArtifactsRequest{}
		if err != nil || proto.Unmarshal(raw, in) != nil || checkArtifacts(req) != nil {
			return
		}
		var names []string
		for _, a := range in.GetBatch().GetArtifacts() {
			names = append(names, a.GetName())
		}
		if begin := in.GetBeginChunk(); begin != nil {
			names = append(names, begin.GetName())
		}
		for _, name := range names {
			require.NotEmpty(t, name)
			require.NotRegexp(t, upward, name)
			require.NotRegexp(t, `[\p{Cc}]`, name)
		}
	})
}

// FuzzHeldCall: an Interrupt finds a waiting query by the tags and the operation
// id that the protobuf library reads.
func FuzzHeldCall(f *testing.F) {
	id := "11111111-2222-3333-4444-555555555555"
	raw, err := proto.Marshal(&pb.ExecutePlanRequest{SessionId: "s", OperationId: &id, Tags: []string{"a", "", "b"}})
	require.NoError(f, err)
	f.Add(raw)
	f.Add(slices.Concat(raw, raw))
	f.Fuzz(func(t *testing.T, raw []byte) {
		req, err := proxy.Scan(raw)
		in := &pb.ExecutePlanRequest{}
		if err != nil || proto.Unmarshal(raw, in) != nil {
			return
		}
		h := heldCall(&call{Call: &proxy.Call{Method: "ExecutePlan"}, req: req}, nil)
		require.Equal(t, in.GetOperationId(), h.Operation)
		require.True(t, slices.Equal(in.GetTags(), h.Tags), "%q, %q", in.GetTags(), h.Tags)
	})
}

// FuzzFrames gives the frame scanner its bytes at once and in pieces: it finds
// the same frames.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x04\x01\x00\x00\x00\x00"), byte(3))
	f.Add([]byte("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x01\xff\xff\xff\x00"), byte(1))
	f.Fuzz(func(t *testing.T, wire []byte, size byte) {
		for _, of := range []func(byte, byte, int) int{received, sent} {
			var whole, pieces frameScanner
			sum := 0
			for rest := wire; len(rest) > 0; {
				n := min(int(size)+1, len(rest))
				sum += pieces.price(rest[:n], of)
				rest = rest[n:]
			}
			require.Equal(t, whole.price(wire, of), sum)
			require.Equal(t, whole, pieces)
		}
	})
}
