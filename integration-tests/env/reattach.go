// SPDX-License-Identifier: Apache-2.0

package env

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	pb "roundhouse/proto/gen/spark/connect"
)

// The retries of Spark's own clients (4.3, RetryPolicy): waits of 50 ms, four
// times as long each time up to a minute, 15 of them.
const (
	mostRetries = 15
	firstWait   = 50 * time.Millisecond
	longestWait = time.Minute
	jitterFrom  = 2 * time.Second
	jitter      = 500 * time.Millisecond
)

// SparkClient is a client in Go that reattaches to its queries as Spark's own
// clients do, and sends a ping after ten idle seconds.
type SparkClient struct {
	pb.SparkConnectServiceClient
	Session string
	User    string
	conn    *grpc.ClientConn
}

// Story is what it took to get the rows of a query.
type Story struct {
	// Reattached counts streams that ended well before the result did.
	Reattached int
	// Retried counts errors after which the client tried again.
	Retried int
	// Restarted counts queries sent again because the engine had not heard of them.
	Restarted int
}

// NewSparkClient makes a client of the gateway at address (host:port), with a
// session id of its own. Its connection ends with the test.
func NewSparkClient(t testing.TB, address, user string, more ...grpc.DialOption) *SparkClient {
	t.Helper()
	return newSparkClient(t, "passthrough:///"+address, user, more...)
}

func newSparkClient(t testing.TB, target, user string, more ...grpc.DialOption) *SparkClient {
	t.Helper()
	conn, err := grpc.NewClient(target, append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(128 << 20)),
		grpc.WithConnectParams(grpc.ConnectParams{ // grpc's default waits up to two minutes, which may miss the last retry
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second, PermitWithoutStream: true}),
	}, more...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &SparkClient{pb.NewSparkConnectServiceClient(conn), uuid.NewString(), user, conn}
}

// Close drops the connection before the test ends; sessions stay.
func (c *SparkClient) Close() { _ = c.conn.Close() }

// Another is the same client with a session of its own.
func (c *SparkClient) Another() *SparkClient {
	next := *c
	next.Session = uuid.NewString()
	return &next
}

// Release ends the session, with the retries of Spark's clients.
func (c *SparkClient) Release(ctx context.Context) error {
	_, err := Retry(ctx, func() error {
		_, err := c.ReleaseSession(ctx, &pb.ReleaseSessionRequest{SessionId: c.Session, UserContext: c.UserContext()})
		return err
	})
	return err
}

// Retry makes a call as often as Spark's clients do, and returns how often it was made
// again.
func Retry(ctx context.Context, call func() error) (retried int, err error) {
	for ladder := (ladder{}); ; {
		if err := call(); err == nil || !retries(err) || !ladder.wait(ctx) {
			return ladder.used, err
		}
	}
}

// UserContext names the client's user.
func (c *SparkClient) UserContext() *pb.UserContext { return &pb.UserContext{UserId: c.User} }

// Version asks for Spark's version: the cheapest call that opens a session.
func (c *SparkClient) Version(ctx context.Context) error {
	_, err := c.AnalyzePlan(ctx, &pb.AnalyzePlanRequest{
		SessionId: c.Session, UserContext: c.UserContext(),
		Analyze: &pb.AnalyzePlanRequest_SparkVersion_{SparkVersion: &pb.AnalyzePlanRequest_SparkVersion{}},
	})
	return err
}

// Query runs SQL and hands each response to each, exactly once and in order,
// whatever happens to connections. The error is the first one that Spark's
// clients would not retry, or the one of each.
func (c *SparkClient) Query(ctx context.Context, sql string, each func(*pb.ExecutePlanResponse) error) (Story, error) {
	q := &query{client: c, operation: uuid.NewString(), sql: sql, releases: make(chan string, 1)}
	ctx, cancel := context.WithCancel(ctx)
	released := make(chan struct{})
	go func() { // waited for below
		defer close(released)
		q.release(ctx)
	}()
	defer func() {
		close(q.releases)
		<-released
		cancel()
	}()
	for {
		r, err := q.next(ctx)
		if err != nil {
			cancel()
			return q.story, fmt.Errorf("operation %s after response %q: %w", q.operation, q.last, err)
		}
		q.last = r.GetResponseId()
		if r.GetResultComplete() != nil {
			q.releaseUntil("")
			return q.story, nil
		}
		if err := each(r); err != nil {
			cancel()
			return q.story, err
		}
		q.releaseUntil(q.last)
	}
}

// query is one operation under way.
type query struct {
	client    *SparkClient
	operation string
	sql       string
	stream    grpc.ServerStreamingClient[pb.ExecutePlanResponse] // nil: reattach
	started   bool
	last      string // id of the last response
	story     Story
	releases  chan string // the newest wish to release; "" is all
}

// next returns the next response over as many streams as it takes.
func (q *query) next(ctx context.Context) (*pb.ExecutePlanResponse, error) {
	ladder := ladder{}
	for {
		r, err := q.receive(ctx)
		switch {
		case err == nil:
			return r, nil
		case errors.Is(err, io.EOF):
			q.story.Reattached++
		case unheard(err) && q.last == "":
			q.story.Restarted++
			q.started = false
		case !retries(err) || !ladder.wait(ctx):
			return nil, err
		default:
			q.story.Retried++
		}
	}
}

// receive takes a response from the stream, which it opens if there is none.
// After an error there is none.
func (q *query) receive(ctx context.Context) (r *pb.ExecutePlanResponse, err error) {
	if q.stream == nil {
		q.stream, err = q.open(ctx)
	}
	if err == nil {
		r, err = q.stream.Recv()
	}
	if err != nil {
		q.stream = nil
	}
	return r, err
}

func (q *query) open(ctx context.Context) (grpc.ServerStreamingClient[pb.ExecutePlanResponse], error) {
	c := q.client
	if !q.started {
		q.started = true
		return c.ExecutePlan(ctx, &pb.ExecutePlanRequest{
			SessionId: c.Session, UserContext: c.UserContext(), OperationId: &q.operation,
			Plan: &pb.Plan{OpType: &pb.Plan_Root{Root: &pb.Relation{RelType: &pb.Relation_Sql{Sql: &pb.SQL{Query: q.sql}}}}},
			RequestOptions: []*pb.ExecutePlanRequest_RequestOption{{
				RequestOption: &pb.ExecutePlanRequest_RequestOption_ReattachOptions{ReattachOptions: &pb.ReattachOptions{Reattachable: true}},
			}},
		})
	}
	in := &pb.ReattachExecuteRequest{SessionId: c.Session, UserContext: c.UserContext(), OperationId: q.operation}
	if q.last != "" {
		in.LastResponseId = &q.last
	}
	return c.ReattachExecute(ctx, in)
}

// releaseUntil asks for a release of all up to a response; a newer wish takes
// the place of one that still waits.
func (q *query) releaseUntil(id string) {
	select {
	case <-q.releases:
	default:
	}
	q.releases <- id
}

// release tells the engine what it may forget, beside the query.
func (q *query) release(ctx context.Context) {
	for id := range q.releases {
		in := &pb.ReleaseExecuteRequest{SessionId: q.client.Session, UserContext: q.client.UserContext(), OperationId: q.operation}
		if id == "" {
			in.Release = &pb.ReleaseExecuteRequest_ReleaseAll_{ReleaseAll: &pb.ReleaseExecuteRequest_ReleaseAll{}}
		} else {
			in.Release = &pb.ReleaseExecuteRequest_ReleaseUntil_{ReleaseUntil: &pb.ReleaseExecuteRequest_ReleaseUntil{ResponseId: id}}
		}
		ladder := ladder{}
		for {
			if _, err := q.client.ReleaseExecute(ctx, in); err == nil || !retries(err) || !ladder.wait(ctx) {
				break // the engine forgets an operation without a client by itself
			}
		}
	}
}

// unheard says that the engine knows no such operation or session.
func unheard(err error) bool {
	text := status.Convert(err).Message()
	return strings.Contains(text, "INVALID_HANDLE.OPERATION_NOT_FOUND") || strings.Contains(text, "INVALID_HANDLE.SESSION_NOT_FOUND")
}

// retries says whether Spark's clients try again after an error.
func retries(err error) bool {
	s := status.Convert(err)
	for _, d := range s.Details() {
		if _, ok := d.(*errdetails.RetryInfo); ok {
			return true
		}
	}
	return s.Code() == codes.Unavailable || s.Code() == codes.Internal && strings.Contains(s.Message(), "INVALID_CURSOR.DISCONNECTED")
}

// ladder are the waits between the attempts of one call.
type ladder struct {
	used int
	next time.Duration
}

// wait waits for the next attempt; false when there is none.
func (l *ladder) wait(ctx context.Context) bool {
	if l.used == mostRetries {
		return false
	}
	l.used++
	pause := max(l.next, firstWait)
	l.next = min(4*pause, longestWait)
	if pause >= jitterFrom {
		pause += rand.N(jitter)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
