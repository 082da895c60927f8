// SPDX-License-Identifier: Apache-2.0

// Package hostile holds the tests with clients, options, paths, headers, files
// and engines that mean harm: the real gateway binary with token
// authentication, and behind it engines that record what reaches them.
package hostile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // for compressed forgeries
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

func TestMain(m *testing.M) {
	encoding.RegisterCompressor(nonsense{}) // allowed before the first connection only
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// The people of these tests. Their tokens are what engines must never see.
const (
	aliceToken = "a11ce-token-4f1d8c0b7a6e5d4c"
	bobToken   = "b0b-token-9e8d7c6b5a493827"
	rootToken  = "r00t-token-1a2b3c4d5e6f7081"
)

// house is a gateway with recording engines.
type house struct {
	*env.Gateway
	t       *testing.T
	records string   // of fake engines
	folders []string // of real ones: event logs, scratch
}

// start starts a gateway with token authentication and fake engines that record.
func start(t *testing.T, settings map[string]string) *house {
	t.Helper()
	h := &house{t: t, records: t.TempDir()}
	conf := guarded(t)
	maps.Copy(conf, env.FakeSpark(t, "spark.fake.record", h.records))
	maps.Copy(conf, settings)
	h.Gateway = env.Prepare(t, conf)
	h.Token = rootToken
	h.StartUntilCleanup()
	return h
}

// startReal starts a gateway with token authentication and real Spark, one
// that writes event logs and shows its web pages.
func startReal(t *testing.T) *house {
	t.Helper()
	h := &house{t: t}
	conf := guarded(t)
	conf["spark.driver.memory"] = "700m"
	h.folders = []string{t.TempDir(), t.TempDir()}
	conf["spark.eventLog.dir"], conf["spark.local.dir"] = "file:"+h.folders[0], h.folders[1]
	conf["spark.ui.enabled"], conf["spark.ui.port"], conf["spark.ui.prometheus.enabled"] = "true", "0", "true"
	conf["spark.eventLog.enabled"] = "true"
	h.Gateway = env.Prepare(t, conf)
	h.Token = rootToken
	h.StartUntilCleanup()
	return h
}

// guarded are the settings of token authentication.
func guarded(t *testing.T) map[string]string {
	t.Helper()
	conf := env.Tokens(t, aliceToken+" alice", bobToken+" bob", rootToken+" root admin")
	conf["kyuubi.authentication.refused.users"] = "hdfs" // root is an administrator like any other here
	return conf
}

// arrived is one request message as an engine got it.
type arrived struct {
	Engine string
	Method string              `json:"method"`
	Header map[string][]string `json:"header"`
	Raw    []byte              `json:"raw"`
	Error  string              `json:"error"`
}

// arrivals are all request messages that reached engines so far.
func (h *house) arrivals() []arrived {
	h.t.Helper()
	var all []arrived
	h.eachRecord("calls-*.jsonl", func(name string, decode func(any)) {
		a := arrived{Engine: name}
		decode(&a)
		all = append(all, a)
	})
	return all
}

// eachRecord calls take for each line of the records whose name fits the pattern.
// decode reads that line.
func (h *house) eachRecord(pattern string, take func(name string, decode func(any))) {
	h.t.Helper()
	files, err := filepath.Glob(filepath.Join(h.records, pattern))
	require.NoError(h.t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(h.t, err)
		for line := range bytes.Lines(text) {
			take(filepath.Base(file), func(to any) { require.NoError(h.t, json.Unmarshal(line, to)) })
		}
	}
}

// launched is what a launch gave to spark-submit.
type launched struct {
	Args       []string          `json:"args"`
	Env        []string          `json:"env"`
	Dir        string            `json:"dir"`
	Properties map[string]string `json:"properties"`
}

// launches are all launches so far, ordered by their time.
func (h *house) launches() []launched {
	h.t.Helper()
	var all []launched
	h.eachRecord("launch-*.json", func(_ string, decode func(any)) {
		var l launched
		decode(&l)
		all = append(all, l)
	})
	const at = "spark.kyuubi.engine.submit.time" // epoch milliseconds
	slices.SortFunc(all, func(a, b launched) int { return strings.Compare(a.Properties[at], b.Properties[at]) })
	return all
}

// forget removes the record of a launch.
func (h *house) forget(l launched) {
	h.t.Helper()
	require.NoError(h.t, os.Remove(filepath.Join(h.records, "launch-"+l.Properties["spark.kyuubi.ha.engine.ref.id"]+".json")))
}

// rawCodec carries messages as they are.
type rawCodec struct{}

func (rawCodec) Name() string                  { return "proto" }
func (rawCodec) Marshal(v any) ([]byte, error) { return v.([]byte), nil }
func (rawCodec) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = slices.Clone(b)
	return nil
}

// nonsense is a compression that no gateway knows.
type nonsense struct{}

func (nonsense) Name() string                                 { return "nonsense" }
func (nonsense) Compress(w io.Writer) (io.WriteCloser, error) { return nopCloser{w}, nil }
func (nonsense) Decompress(r io.Reader) (io.Reader, error)    { return r, nil }

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// person makes calls with a token.
type person struct {
	t     *testing.T
	conn  *grpc.ClientConn
	user  string
	token string
	real  bool // the engines are real Spark
}

func (h *house) person(user, token string) *person {
	h.t.Helper()
	p := dialPerson(h.t, h.GRPC, token)
	p.user, p.real = user, h.records == ""
	return p
}

func dialPerson(t *testing.T, address, token string) *person {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &person{t: t, conn: conn, token: token}
}

// context carries the token and more metadata.
func (p *person) context(ctx context.Context, more ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, append([]string{"authorization", "Bearer " + p.token}, more...)...)
}

// callTimeout bounds one call; a first call waits for an engine.
const callTimeout = 60 * time.Second

// send sends messages as they are and returns the answers.
func (p *person) send(ctx context.Context, method string, messages [][]byte, opts ...grpc.CallOption) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	s, err := p.conn.NewStream(ctx, desc, "/spark.connect.SparkConnectService/"+method, append(opts, grpc.ForceCodec(rawCodec{}))...)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		if err := s.SendMsg(m); err != nil {
			break // the reason comes with the answer
		}
	}
	if err := s.CloseSend(); err != nil {
		return nil, err
	}
	var got [][]byte
	for {
		var reply []byte
		switch err := s.RecvMsg(&reply); {
		case errors.Is(err, io.EOF):
			return got, nil
		case err != nil:
			return got, err
		}
		got = append(got, reply)
	}
}

// open opens a session of the person and returns its id.
func (p *person) open() string {
	p.t.Helper()
	id := uuid.NewString()
	_, err := pb.NewSparkConnectServiceClient(p.conn).AnalyzePlan(p.context(p.t.Context()), &pb.AnalyzePlanRequest{
		SessionId: id, UserContext: &pb.UserContext{UserId: p.user},
		Analyze: &pb.AnalyzePlanRequest_SparkVersion_{SparkVersion: &pb.AnalyzePlanRequest_SparkVersion{}},
	})
	require.NoError(p.t, err)
	return id
}

// encode is m as bytes.
func encode(t testing.TB, m proto.Message) []byte {
	t.Helper()
	raw, err := proto.Marshal(m)
	require.NoError(t, err)
	return raw
}

// sql is a plan of a SQL text.
func sql(text string) *pb.Plan {
	return &pb.Plan{OpType: &pb.Plan_Root{Root: &pb.Relation{RelType: &pb.Relation_Sql{Sql: &pb.SQL{Query: text}}}}}
}
