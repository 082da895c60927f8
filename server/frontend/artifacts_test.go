// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/conf"
	"roundhouse/internal/errs"
	pb "roundhouse/proto/gen/spark/connect"
)

func TestArtifactFieldsAreThoseOfTheDescriptor(t *testing.T) {
	request := (&pb.AddArtifactsRequest{}).ProtoReflect().Descriptor().Fields()
	require.EqualValues(t, artifactBatch, request.ByName("batch").Number())
	require.EqualValues(t, artifactBegin, request.ByName("begin_chunk").Number())
	require.EqualValues(t, artifactName, request.ByName("begin_chunk").Message().Fields().ByName("name").Number())
	items := request.ByName("batch").Message().Fields().ByName("artifacts")
	require.EqualValues(t, artifactItem, items.Number())
	require.EqualValues(t, artifactName, items.Message().Fields().ByName("name").Number())
}

func TestArtifactNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"jars/a.jar": true, "archives/a.zip#b": true, "files/a..b": true, "cache/0a": true,
		"": false, "/etc/passwd": false, "..": false, "a/../b": false, `a\..\b`: false, `\etc`: false, "a\nb": false, "a\xff": false,
	} {
		err := checkArtifactName(name)
		require.Equal(t, ok, err == nil, "%q: %v", name, err)
		require.True(t, ok || errs.Is(err, errs.InvalidRequest))
	}
	bad := &pb.AddArtifactsRequest_SingleChunkArtifact{Name: "../x"}
	err := checkArtifacts(scanned(t, &pb.AddArtifactsRequest{SessionId: sid, Payload: &pb.AddArtifactsRequest_Batch_{
		Batch: &pb.AddArtifactsRequest_Batch{Artifacts: []*pb.AddArtifactsRequest_SingleChunkArtifact{{Name: "files/a"}, bad}},
	}}))
	require.ErrorContains(t, err, `"../x"`)
	require.NoError(t, checkArtifacts(scanned(t, &pb.AddArtifactsRequest{SessionId: sid})))
	nameless := &pb.AddArtifactsRequest_BeginChunk{BeginChunk: &pb.AddArtifactsRequest_BeginChunkedArtifact{TotalBytes: 1}}
	require.ErrorContains(t, checkArtifacts(scanned(t, &pb.AddArtifactsRequest{SessionId: sid, Payload: nameless})), `""`)
}

// keysOf judges as a gateway without settings does.
func keysOf(t *testing.T) Keys {
	t.Helper()
	c, err := conf.New(nil)
	require.NoError(t, err)
	return conf.NewResolver(c)
}

func TestWhatCannotBeSetCannotBeTakenBack(t *testing.T) {
	d := &Director{Keys: keysOf(t)}
	unset := func(key string) error {
		return d.checkUnset("alice", &pb.ConfigRequest{Operation: &pb.ConfigRequest_Operation{
			OpType: &pb.ConfigRequest_Operation_Unset{Unset: &pb.ConfigRequest_Unset{Keys: []string{"spark.sql.shuffle.partitions", key}}},
		}})
	}
	for _, key := range []string{"spark.redaction.regex", "spark.sql.redaction.options.regex", "SPARK.REDACTION.REGEX", "spark.hadoop.fs.file.impl"} {
		require.True(t, errs.Is(unset(key), errs.OptionNotAllowed), key)
	}
	for _, key := range []string{"spark.sql.ansi.enabled", "spark.my.own", "my.own", "spark.driver.memory"} {
		require.NoError(t, unset(key), key) // Spark judges these
	}
	require.NoError(t, d.checkUnset("alice", &pb.ConfigRequest{}))
}
