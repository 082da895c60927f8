// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"roundhouse/auth"
	"roundhouse/conf"
	"roundhouse/discovery/embedded"
	"roundhouse/engine"
	"roundhouse/engine/enginetest"
	"roundhouse/internal/errs"
	"roundhouse/internal/secret"
	pb "roundhouse/proto/gen/spark/connect"
	"roundhouse/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testEngine is a fake engine as the session manager sees it.
type testEngine struct {
	*enginetest.Engine
	conn   *grpc.ClientConn
	done   chan struct{}
	health atomic.Int32
}

func (e *testEngine) RefID() string                       { return "ref-1" }
func (e *testEngine) Conn() grpc.ClientConnInterface      { return e.conn }
func (e *testEngine) Done() <-chan struct{}               { return e.done }
func (e *testEngine) Err() error                          { return errors.New("engine ref-1 was killed") }
func (e *testEngine) Check(context.Context) engine.Health { return engine.Health(e.health.Load()) }

type testLease struct{ e *testEngine }

func (l testLease) Engine() session.Engine { return l.e }
func (testLease) Release()                 {}

// testEngines has one engine, which is there once ready is closed.
type testEngines struct {
	e        *testEngine
	ready    chan struct{}
	fail     error
	launches atomic.Int32
}

func (t *testEngines) Acquire(ctx context.Context, _ engine.Spec) (session.Lease, error) {
	t.launches.Add(1)
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-t.ready:
		return testLease{t.e}, t.fail
	}
}

func (t *testEngines) Census(context.Context, string) (engine.Census, error) {
	return engine.Census{}, errors.New("silent")
}
func (t *testEngines) Resume(string) (session.Lease, bool)           { return testLease{t.e}, true }
func (t *testEngines) Expect(context.Context, string, time.Duration) {}

func (t *testEngines) Progress(engine.Spec) (string, bool) { return "", false }

type quiet struct{}

func (quiet) CallDone(string, string) {}
func (quiet) HoldStarted()            {}
func (quiet) HoldEnded()              {}

// house is a frontend with one fake engine behind it.
type house struct {
	pb.SparkConnectServiceClient
	conn      *grpc.ClientConn
	engines   *testEngines
	sessions  *session.Manager
	discarded chan string
	director  *Director
	server    *Server
	user, id  string
}

func newHouse(t *testing.T, settings map[string]string, limits ...Limits) *house {
	t.Helper()
	fake, err := enginetest.New(enginetest.Options{})
	require.NoError(t, err)
	up, err := grpc.NewClient(fake.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	h := &house{user: "alice", id: uuid.NewString(), discarded: make(chan string, 10)}
	h.engines = &testEngines{e: &testEngine{Engine: fake, conn: up, done: make(chan struct{})}, ready: make(chan struct{})}
	close(h.engines.ready)
	store, err := embedded.Open(embedded.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	box, err := secret.NewBox(make([]byte, 32), session.SealLabel)
	require.NoError(t, err)
	h.sessions, err = session.NewManager(session.Options{
		Gateway: "this", Namespace: "kyuubi", Lock: store, Follow: store, Engines: h.engines, Store: store, Box: box, Log: log, Hold: time.Minute, Linger: time.Minute, Unused: time.Hour,
		TombstoneKeep: time.Hour, Tombstones: 100,
	})
	require.NoError(t, err)
	c, err := conf.New(settings)
	require.NoError(t, err)
	planner := &session.Planner{Resolver: conf.NewResolver(c), Namespace: "kyuubi", Python: func(string, map[string]string) string { return "3.11" }, PythonFor: c.EnginePython}
	director := Director{
		Auth: auth.None{}, Sessions: h.sessions, Planner: planner, Keys: planner.Resolver, Observer: quiet{}, Log: log,
		Discard: func(refID, _ string) { h.discarded <- refID },
	}
	for _, l := range limits {
		director.Limits = l
	}
	h.director = NewDirector(director)
	server, err := Listen(ServerOptions{
		Address: "127.0.0.1:0", MaxMessage: 1 << 20, DrainTimeout: time.Second, Log: log,
		Director: h.director,
	})
	require.NoError(t, err)
	h.server = server
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 2)
	go func() { over <- server.Run(ctx) }()
	go func() { over <- h.sessions.Run(ctx) }()
	h.conn, err = grpc.NewClient(server.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	h.SparkConnectServiceClient = pb.NewSparkConnectServiceClient(h.conn)
	t.Cleanup(func() {
		_ = h.conn.Close()
		cancel()
		require.NoError(t, errors.Join(<-over, <-over))
		_ = up.Close()
		fake.Close()
		require.NoError(t, store.Close())
	})
	return h
}

func (h *house) userContext() *pb.UserContext { return &pb.UserContext{UserId: h.user} }

func (h *house) version(ctx context.Context) error {
	_, err := h.AnalyzePlan(ctx, &pb.AnalyzePlanRequest{
		SessionId: h.id, UserContext: h.userContext(),
		Analyze: &pb.AnalyzePlanRequest_SparkVersion_{SparkVersion: &pb.AnalyzePlanRequest_SparkVersion{}},
	})
	return err
}

func (h *house) set(ctx context.Context, pairs ...string) (*pb.ConfigResponse, error) {
	set := &pb.ConfigRequest_Set{}
	for i := 0; i < len(pairs); i += 2 {
		set.Pairs = append(set.Pairs, &pb.KeyValue{Key: pairs[i], Value: &pairs[i+1]})
	}
	return h.Config(ctx, &pb.ConfigRequest{
		SessionId: h.id, UserContext: h.userContext(),
		Operation: &pb.ConfigRequest_Operation{OpType: &pb.ConfigRequest_Operation_Set{Set: set}},
	})
}

func (h *house) get(t *testing.T, key string) string {
	t.Helper()
	r, err := h.Config(t.Context(), &pb.ConfigRequest{
		SessionId: h.id, UserContext: h.userContext(),
		Operation: &pb.ConfigRequest_Operation{OpType: &pb.ConfigRequest_Operation_GetWithDefault{GetWithDefault: &pb.ConfigRequest_GetWithDefault{
			Pairs: []*pb.KeyValue{{Key: key, Value: proto.String("unset")}},
		}}},
	})
	require.NoError(t, err)
	return r.Pairs[0].GetValue()
}

func (h *house) release(ctx context.Context, reconnect bool) error {
	_, err := h.ReleaseSession(ctx, &pb.ReleaseSessionRequest{SessionId: h.id, UserContext: h.userContext(), AllowReconnect: reconnect})
	return err
}

func TestFirstSetIsSplitIntoLaunchAndRuntimeOptions(t *testing.T) {
	h := newHouse(t, nil)
	for range 2 { // PySpark sends it twice
		r, err := h.set(t.Context(), "spark.driver.memory", "2g", "spark.sql.shuffle.partitions", "7")
		require.NoError(t, err)
		require.Empty(t, r.Warnings)
	}
	s, _ := h.sessions.Lookup(session.Key{User: "alice", ID: h.id})
	require.Equal(t, "2048m", s.Plan.Spec.Options["spark.driver.memory"])
	require.Regexp(t, `^o-[0-9a-f]{12}$`, s.Plan.Spec.Subdomain)
	require.Equal(t, "7", h.get(t, "spark.sql.shuffle.partitions"))
	require.Equal(t, "unset", h.get(t, "spark.driver.memory"), "launch options do not reach the session")
}

func TestLaterLaunchOptionIsAnsweredWithOneWarning(t *testing.T) {
	h := newHouse(t, nil)
	require.NoError(t, h.version(t.Context()))
	r, err := h.set(t.Context(), "spark.driver.memory", "4g")
	require.NoError(t, err)
	require.Len(t, r.Warnings, 1)
	require.Contains(t, r.Warnings[0], "spark.driver.memory")
}

func TestRefusedOptionLaunchesNothing(t *testing.T) {
	h := newHouse(t, nil)
	for _, key := range []string{"spark.driver.extraJavaOptions", "spark.drivr.memory"} {
		_, err := h.set(t.Context(), key, "2g")
		require.Equal(t, codes.InvalidArgument, status.Code(err), key)
		require.ErrorContains(t, err, "[GATEWAY.OPTION_NOT_ALLOWED]", key)
	}
	require.Zero(t, h.engines.launches.Load())
}

func TestOptionsOfTheConnectionString(t *testing.T) {
	h := newHouse(t, nil)
	ctx := metadata.AppendToOutgoingContext(t.Context(),
		"spark.executor.memory", "2048m", "x-spark.sql.autobroadcastjointhreshold", "17", "authorization", "Bearer x", "other", "y")
	require.NoError(t, h.version(ctx))
	s, _ := h.sessions.Lookup(session.Key{User: "alice", ID: h.id})
	require.Equal(t, "2048m", s.Plan.Spec.Options["spark.executor.memory"])
	require.Equal(t, "17", h.get(t, "spark.sql.autoBroadcastJoinThreshold"), "runtime options are set before the first call")
}

func TestClientWithoutItsPythonIsToldEarly(t *testing.T) {
	h := newHouse(t, nil)
	r, err := h.Config(t.Context(), &pb.ConfigRequest{
		SessionId: h.id, UserContext: h.userContext(), ClientType: proto.String("_SPARK_CONNECT_PYTHON spark/4.3.0 os/linux python/3.9.1"),
		Operation: &pb.ConfigRequest_Operation{OpType: &pb.ConfigRequest_Operation_GetAll{GetAll: &pb.ConfigRequest_GetAll{}}},
	})
	require.NoError(t, err)
	require.Len(t, r.Warnings, 1)
	require.Contains(t, r.Warnings[0], "kyuubi.engine.spark.python.3.9")
}

func TestNoOtherRPCOpensASession(t *testing.T) {
	h := newHouse(t, nil)
	ctx, user := t.Context(), h.userContext()
	_, err := h.Interrupt(ctx, &pb.InterruptRequest{SessionId: h.id, UserContext: user, ClientType: proto.String("go")})
	require.NoError(t, err)
	_, err = h.ArtifactStatus(ctx, &pb.ArtifactStatusesRequest{SessionId: h.id, UserContext: user, Names: []string{"x"}})
	require.NoError(t, err)
	_, err = h.ReleaseExecute(ctx, &pb.ReleaseExecuteRequest{SessionId: h.id, UserContext: user, OperationId: "o"})
	require.NoError(t, err)
	_, err = h.FetchErrorDetails(ctx, &pb.FetchErrorDetailsRequest{SessionId: h.id, UserContext: user, ErrorId: "e"})
	require.NoError(t, err)
	require.NoError(t, h.release(ctx, false))
	_, err = h.CloneSession(ctx, &pb.CloneSessionRequest{SessionId: h.id, UserContext: user})
	require.ErrorContains(t, err, "SESSION_CHANGED")
	_, err = h.GetStatus(ctx, &pb.GetStatusRequest{SessionId: h.id, UserContext: user})
	require.ErrorContains(t, err, "SESSION_CHANGED")
	require.ErrorContains(t, h.reattach(t, &pb.ReattachExecuteRequest{}), "OPERATION_NOT_FOUND", "its client sends the query again")
	require.ErrorContains(t, h.reattach(t, &pb.ReattachExecuteRequest{LastResponseId: proto.String("r")}), "SESSION_CHANGED")
	require.ErrorContains(t, h.reattach(t, &pb.ReattachExecuteRequest{ClientObservedServerSideSessionId: proto.String("old")}), "SESSION_CHANGED")
	err = h.conn.Invoke(ctx, "/spark.connect.SparkConnectService/OfTheFuture", &pb.ConfigRequest{SessionId: h.id}, &pb.ConfigResponse{})
	require.ErrorContains(t, err, "SESSION_CHANGED")
	_, err = h.Config(ctx, &pb.ConfigRequest{SessionId: h.id, UserContext: user, ClientObservedServerSideSessionId: proto.String("old")})
	require.ErrorContains(t, err, "SESSION_CHANGED", "a client that had a session is told that it is gone")
	require.Zero(t, h.engines.launches.Load())
}

// reattach asks for the results of an operation and returns the error.
func (h *house) reattach(t *testing.T, in *pb.ReattachExecuteRequest) error {
	t.Helper()
	in.SessionId, in.UserContext, in.OperationId = h.id, h.userContext(), "o"
	s, err := h.ReattachExecute(t.Context(), in)
	require.NoError(t, err)
	_, err = s.Recv()
	return err
}

func TestReleasedSessionIsClosedAndWithReconnectFree(t *testing.T) {
	h := newHouse(t, nil)
	require.NoError(t, h.version(t.Context()))
	require.NoError(t, h.release(t.Context(), false))
	require.ErrorContains(t, h.version(t.Context()), "SESSION_CLOSED")
	require.NoError(t, h.release(t.Context(), false), "releasing twice is fine")
	h.id = uuid.NewString()
	require.NoError(t, h.version(t.Context()))
	require.NoError(t, h.release(t.Context(), true))
	require.NoError(t, h.version(t.Context()))
}

func TestSessionsOfAnotherUserAreOutOfReach(t *testing.T) {
	h := newHouse(t, nil)
	_, err := h.set(t.Context(), "spark.sql.shuffle.partitions", "7")
	require.NoError(t, err)
	h.user = "bob"
	require.NotEqual(t, "7", h.get(t, "spark.sql.shuffle.partitions"))
	require.Len(t, h.engines.e.Sessions(), 2)
}

func TestClonesAreRoutedAlsoWithoutAGivenID(t *testing.T) {
	h := newHouse(t, nil)
	_, err := h.set(t.Context(), "spark.sql.shuffle.partitions", "7")
	require.NoError(t, err)
	r, err := h.CloneSession(t.Context(), &pb.CloneSessionRequest{SessionId: h.id, UserContext: h.userContext()})
	require.NoError(t, err)
	h.id = r.NewSessionId
	require.Equal(t, "7", h.get(t, "spark.sql.shuffle.partitions"))
	require.EqualValues(t, 1, h.engines.launches.Load())
}

func TestDeadEngineGivesSessionChanged(t *testing.T) {
	for name, health := range map[string]engine.Health{"dead": engine.Dead, "silent": engine.Silent} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, nil)
			require.NoError(t, h.version(t.Context()))
			h.engines.e.health.Store(int32(health))
			h.engines.e.Close()
			err := h.version(t.Context())
			require.ErrorContains(t, err, "INVALID_HANDLE.SESSION_CHANGED")
			require.ErrorContains(t, err, "ref-1")
			require.Equal(t, "ref-1", <-h.discarded)
			require.ErrorContains(t, h.version(t.Context()), "SESSION_CHANGED", "and to every later call")
			require.NoError(t, h.release(t.Context(), false), "leaving works")
		})
	}
}

func TestBrokenHopToALivingEngineIsUnavailable(t *testing.T) {
	h := newHouse(t, nil)
	require.NoError(t, h.version(t.Context()))
	s, err := h.ExecutePlan(t.Context(), &pb.ExecutePlanRequest{
		SessionId: h.id, UserContext: h.userContext(), OperationId: proto.String(uuid.NewString()),
		Plan: sqlPlan("SELECT rows(1000000, 1000, 1000)"),
	})
	require.NoError(t, err)
	_, err = s.Recv()
	require.NoError(t, err)
	h.engines.e.CutConnections()
	for err == nil {
		_, err = s.Recv()
	}
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.ErrorContains(t, err, "[GATEWAY.ENGINE_UNREACHABLE]")
	require.NoError(t, h.version(t.Context()), "the session goes on")

	h.engines.e.health.Store(int32(engine.Unknown))
	require.NoError(t, h.engines.e.conn.Close())
	err = h.version(t.Context())
	require.Equal(t, codes.Unavailable, status.Code(err), "no verdict on the engine for what the gateway lacks")
	require.ErrorContains(t, err, "lacks descriptors")
	require.Empty(t, h.discarded)
}

func sqlPlan(text string) *pb.Plan {
	return &pb.Plan{OpType: &pb.Plan_Root{Root: &pb.Relation{RelType: &pb.Relation_Sql{Sql: &pb.SQL{Query: text}}}}}
}

func TestSessionThatTheEngineClosedIsChanged(t *testing.T) {
	h := newHouse(t, nil)
	require.NoError(t, h.version(t.Context()))
	require.True(t, h.engines.e.CloseSession("alice", h.id))
	err := h.version(t.Context())
	require.ErrorContains(t, err, "INVALID_HANDLE.SESSION_CHANGED")
	require.ErrorContains(t, err, "idle")
}

func TestFailedLaunchIsToldAndTheNextCallStartsAfresh(t *testing.T) {
	h := newHouse(t, nil)
	h.engines.fail = errs.New(errs.EngineLaunchFailed, "No memory.")
	err := h.version(t.Context())
	require.Equal(t, codes.FailedPrecondition, status.Code(err))
	h.engines.fail = nil
	require.NoError(t, h.version(t.Context()))
}

func TestSessionIDsAreUUIDs(t *testing.T) {
	h := newHouse(t, nil)
	for _, id := range []string{"", "x", "../../etc", "{" + sid + "}", "urn:uuid:" + sid} {
		h.id = id
		require.Equal(t, codes.InvalidArgument, status.Code(h.version(t.Context())), id)
	}
	require.Zero(t, h.engines.launches.Load())
}

func TestHealth(t *testing.T) {
	h := newHouse(t, nil)
	r, err := healthpb.NewHealthClient(h.conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	require.NoError(t, err)
	require.Equal(t, healthpb.HealthCheckResponse_SERVING, r.Status)
	long := &healthpb.HealthCheckRequest{Service: strings.Repeat("x", 2<<20)}
	r, err = healthpb.NewHealthClient(h.conn).Check(t.Context(), long)
	require.NoError(t, err, "what is too large for this server is not even read")
	require.Equal(t, healthpb.HealthCheckResponse_SERVING, r.Status)
	watch, err := healthpb.NewHealthClient(h.conn).Watch(t.Context(), long)
	require.NoError(t, err)
	_, err = watch.Recv()
	require.Equal(t, codes.Unimplemented, status.Code(err))
}

func (h *house) interrupt(t *testing.T, client string) (*pb.InterruptResponse, error) {
	t.Helper()
	return h.Interrupt(t.Context(), &pb.InterruptRequest{
		SessionId: h.id, UserContext: h.userContext(), ClientType: proto.String(client),
		InterruptType: pb.InterruptRequest_INTERRUPT_TYPE_TAG, Interrupt: &pb.InterruptRequest_OperationTag{OperationTag: "mine"},
	})
}

// execute starts a query with a tag and returns its first error.
func (h *house) execute(ctx context.Context, operation, tag string) error {
	s, err := h.ExecutePlan(ctx, &pb.ExecutePlanRequest{
		SessionId: h.id, UserContext: h.userContext(), OperationId: &operation, Tags: []string{tag}, Plan: sqlPlan("SELECT 1"),
	})
	if err != nil {
		return err
	}
	_, err = s.Recv()
	return err
}

func TestInterruptEndsTheHeldCallThatIsMeant(t *testing.T) {
	h := newHouse(t, nil)
	h.engines.ready = make(chan struct{})
	operation := uuid.NewString()
	mine, others := make(chan error, 1), make(chan error, 1)
	go func() { mine <- h.execute(t.Context(), operation, "mine") }()
	go func() { others <- h.execute(t.Context(), uuid.NewString(), "yours") }()
	require.Eventually(t, func() bool { return h.engines.launches.Load() > 0 }, 5*time.Second, time.Millisecond)
	got, err := h.interrupt(t, "go")
	require.NoError(t, err)
	require.Equal(t, []string{operation}, got.InterruptedIds)
	err = <-mine
	require.Equal(t, codes.Canceled, status.Code(err))
	require.ErrorContains(t, err, "[GATEWAY.INTERRUPTED]")
	close(h.engines.ready)
	require.NoError(t, <-others, "the launch goes on for the others")
}

func TestInterruptBesideAnOpeningSessionReachesTheEngine(t *testing.T) {
	h := newHouse(t, nil)
	got := make(chan error, 1)
	go func() { _, err := h.interrupt(t, "_SPARK_CONNECT_PYTHON spark/4.3.0"); got <- err }()
	require.NoError(t, h.version(t.Context()))
	require.NoError(t, <-got, "PySpark gets the engine's answer with its server_side_session_id")
}

func TestConfAfterACloneIsTheParents(t *testing.T) {
	h := newHouse(t, nil)
	url := metadata.AppendToOutgoingContext(t.Context(), "spark.sql.shuffle.partitions", "5")
	require.NoError(t, h.version(url))
	_, err := h.set(url, "spark.sql.shuffle.partitions", "9")
	require.NoError(t, err)
	r, err := h.CloneSession(url, &pb.CloneSessionRequest{SessionId: h.id, UserContext: h.userContext()})
	require.NoError(t, err)
	h.id = r.NewSessionId
	require.Equal(t, "9", h.get(t, "spark.sql.shuffle.partitions"))
}

func TestOperationsAreCounted(t *testing.T) {
	h := newHouse(t, nil)
	require.NoError(t, h.version(t.Context()))
	s, _ := h.sessions.Lookup(session.Key{User: "alice", ID: h.id})
	require.Zero(t, s.Operations(), "an analysis is no operation")
	for range 2 {
		require.NoError(t, h.execute(t.Context(), uuid.NewString(), "tag"))
	}
	require.Equal(t, 2, s.Operations())
}
