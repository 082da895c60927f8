// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "roundhouse/proto/gen/spark/connect"
)

// badNames are names of artifacts outside the session's folder.
var badNames = []string{
	"/etc/passwd", "//etc/passwd", "..", "../x", "../../../../etc/cron.d/x", "jars/../../x.jar", "jars/..", "files/a/../../../x", "jars/./../../x",
	`..\x`, `jars\..\..\x.jar`, "jars/x\x00.jar", "jars/x\n.jar", "files/\u0085x", "/", "forward_to_fs/../../etc/passwd", strings.Repeat("a/", 3000) + "x",
}

// goodNames are names as clients send them.
var goodNames = []string{
	"jars/my.jar", "pyfiles/a.zip", "archives/env.tar.gz#env", "files/data..csv", "classes/a/b/C$1.class", "cache/" + strings.Repeat("0a", 32),
	"forward_to_fs/tmp/x", "files/ä ö.txt", "files/...",
}

// uploads are the ways to name an artifact.
func uploads(t *testing.T, name string) map[string][]byte {
	t.Helper()
	begin := &pb.AddArtifactsRequest_BeginChunkedArtifact{Name: name, TotalBytes: 1, NumChunks: 1, InitialChunk: &pb.AddArtifactsRequest_ArtifactChunk{}}
	many := artifact("files/fine.txt")
	many.GetBatch().Artifacts = append(many.GetBatch().Artifacts, artifact(name).GetBatch().Artifacts...)
	twice := append(encode(t, artifact(name)), encode(t, artifact("files/fine.txt"))...)
	return map[string][]byte{
		"batch":         encode(t, artifact(name)),
		"second of two": encode(t, many),
		"chunked":       encode(t, &pb.AddArtifactsRequest{Payload: &pb.AddArtifactsRequest_BeginChunk{BeginChunk: begin}}),
		"hidden":        twice, // protobuf reads both batches
	}
}

// TestArtifactNames: names that lead out of the session's folder are refused
// before an engine sees them, in every message of a call; a session that does
// not exist is not opened for them.
func TestArtifactNames(t *testing.T) {
	h := start(t, nil)
	alice := h.person("alice", aliceToken)
	for _, name := range badNames {
		for way, raw := range uploads(t, name) {
			_, err := alice.send(alice.context(t.Context()), "AddArtifacts", [][]byte{join(text(1, uuid.NewString()), raw)})
			require.Equal(t, codes.InvalidArgument, status.Code(err), "%s %q: %v", way, name, err)
		}
	}
	require.Empty(t, h.Engines(), "nothing was launched for them")
	session := alice.open()
	for _, name := range badNames {
		for way, raw := range uploads(t, name) {
			fine := join(text(1, session), encode(t, artifact("files/first.txt")))
			_, err := alice.send(alice.context(t.Context()), "AddArtifacts", [][]byte{fine, join(text(1, session), raw), fine})
			require.Equal(t, codes.InvalidArgument, status.Code(err), "later message, %s %q: %v", way, name, err)
		}
	}
	for _, name := range goodNames {
		for way, raw := range uploads(t, name) {
			_, err := alice.send(alice.context(t.Context()), "AddArtifacts", [][]byte{join(text(1, session), raw)})
			require.NoError(t, err, "%s %q", way, name)
		}
	}
	for _, a := range h.arrivals() {
		for _, bad := range []string{"..\\", "../", "/etc/passwd", "\x00.jar"} {
			require.NotContains(t, string(a.Raw), bad)
		}
	}
}

// TestArtifactsThatReadersSeeDifferently: what the gateway cannot read to the
// end it does not pass on, because another reader might find a name there.
func TestArtifactsThatReadersSeeDifferently(t *testing.T) {
	h := start(t, nil)
	alice := h.person("alice", aliceToken)
	session := alice.open()
	before := len(h.arrivals())
	evil := text(1, "../../evil")
	for name, batch := range map[string][]byte{
		"group before the name": field(1, join([]byte{0x1b, 0x1c}, evil)),
		"aliased name":          field(1, join(text(1, "files/a"), sized([]byte{0x8a, 0x80, 0x80, 0x80, 0x10}, []byte("../../evil")))),
		"aliased artifact":      sized([]byte{0x8a, 0x80, 0x80, 0x80, 0x10}, evil),
		"junk behind":           join(field(1, text(1, "files/a")), []byte{0xff}),
		"cut off":               field(1, []byte{0x0a, 0x20, '.', '.', '/'}),
		"name twice":            field(1, join(evil, text(1, "files/a"))),
		"long tag":              field(1, sized(longTag(0x0a, 5), []byte("../../evil"))),
	} {
		_, err := alice.send(alice.context(t.Context()), "AddArtifacts", [][]byte{join(text(1, session), field(3, batch))})
		require.Equal(t, codes.InvalidArgument, status.Code(err), "%s: %v", name, err)
	}
	require.Len(t, h.arrivals(), before)
}
