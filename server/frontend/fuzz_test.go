// SPDX-License-Identifier: Apache-2.0

package frontend

import (
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

// FuzzOptions puts an option into the metadata of a call and bytes into its
// Config request: what comes out for the launch of an engine is an option that
// clients may choose, on one line.
func FuzzOptions(f *testing.F) {
	set := func(key, value string) []byte {
		raw, err := proto.Marshal(&pb.ConfigRequest{SessionId: "s", Operation: &pb.ConfigRequest_Operation{
			OpType: &pb.ConfigRequest_Operation_Set{Set: &pb.ConfigRequest_Set{Pairs: []*pb.KeyValue{{Key: key, Value: &value}}}},
		}})
		require.NoError(f, err)
		return raw
	}
	f.Add("spark.driver.memory", "2g", set("spark.executor.memory", "1g"))
	f.Add("x-spark.app.name", "a\nspark.master=local", set("spark.driver.extraJavaOptions", "-agentpath:x"))
	f.Add("x-x-spark.jars", "file:///etc/passwd", set("set:hiveconf:spark.master", "yarn"))
	f.Add("kyuubi.session.conf.profile", "../x", set("SPARK.SUBMIT.deployMode", "cluster"))
	c, err := conf.New(nil)
	require.NoError(f, err)
	keys := conf.NewResolver(c)
	d := NewDirector(Director{Keys: keys})
	f.Fuzz(func(t *testing.T, key, value string, request []byte) {
		req, err := proxy.Scan(request)
		if err != nil {
			return
		}
		header := metadata.MD{strings.ToLower(key): {value}}
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
			require.Equal(t, conf.Launch, keys.Classify("alice", k).Kind, k)
			require.False(t, strings.ContainsAny(k+v, "\x00\r\n"), "%q=%q", k, v)
		}
		require.LessOrEqual(t, len(forwardHeader(header)), len(passedHeaders))
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
