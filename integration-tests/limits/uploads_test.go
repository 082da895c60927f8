// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

// upload begins a chunked artifact that is declared to be of a size.
func upload(t *testing.T, c *env.SparkClient, declared int64) pb.SparkConnectService_AddArtifactsClient {
	t.Helper()
	s, err := c.AddArtifacts(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Send(&pb.AddArtifactsRequest{
		SessionId: c.Session, UserContext: c.UserContext(),
		Payload: &pb.AddArtifactsRequest_BeginChunk{BeginChunk: &pb.AddArtifactsRequest_BeginChunkedArtifact{
			Name: "files/big", TotalBytes: declared, NumChunks: declared >> 15, InitialChunk: &pb.AddArtifactsRequest_ArtifactChunk{Data: []byte("x")},
		}},
	}))
	return s
}

// TestUploads: endless chunks are cut at the limit, declared sizes cost
// nothing, silence ends a call, and the gateway's memory stays where it was.
func TestUploads(t *testing.T) {
	g := start(t, map[string]string{
		"kyuubi.server.limit.artifacts.per.call": "64m", "kyuubi.server.limit.artifacts.per.session": "100m",
		"kyuubi.frontend.spark.connect.artifact.idle.timeout": "PT2S",
	})
	alice := env.NewSparkClient(t, g.GRPC, "alice")
	require.NoError(t, alice.Version(t.Context()))
	before := env.RSS(t, g.PID())

	var silent []pb.SparkConnectService_AddArtifactsClient
	for range 100 {
		silent = append(silent, upload(t, alice, 100<<30))
	}
	endless := upload(t, alice, 1<<40)
	sent := 0
	chunk := &pb.AddArtifactsRequest{
		SessionId: alice.Session, UserContext: alice.UserContext(),
		Payload: &pb.AddArtifactsRequest_Chunk{Chunk: &pb.AddArtifactsRequest_ArtifactChunk{Data: make([]byte, 32<<10)}},
	}
	for endless.Send(chunk) == nil {
		sent += 32 << 10
		require.Less(t, sent, 200<<20, "nothing ends the upload")
	}
	require.GreaterOrEqual(t, sent, 63<<20, "cut before the limit")
	requireLimit(t, endless.RecvMsg(&pb.AddArtifactsResponse{}), "kyuubi.server.limit.artifacts.per.call", "64.0 MiB")
	for _, s := range silent {
		requireLimit(t, s.RecvMsg(&pb.AddArtifactsResponse{}), "kyuubi.frontend.spark.connect.artifact.idle.timeout", "2s")
	}
	grown := env.RSS(t, g.PID()) - before
	t.Logf("cut after %d MiB; memory grew by %d MiB with 100 silent uploads", sent>>20, grown>>20)
	require.Less(t, grown, int64(64<<20))

	began := time.Now()
	require.NoError(t, alice.Version(t.Context()))
	require.Less(t, time.Since(began), 5*time.Second, "the session goes on")
}
