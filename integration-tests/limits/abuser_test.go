// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"context"
	"fmt"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

// abuser tries to get a hundred times of everything that is limited.
type abuser struct {
	t       *testing.T
	clients []*env.SparkClient
	issuing sync.WaitGroup // what makes attempts
	work    sync.WaitGroup // the attempts

	mu       sync.Mutex
	attempts int
	ended    int // of attempts
	got      int // succeeded
	held     int // went on until the abuser gave up
	refused  summary
	byLimit  map[string]int
	other    []string // errors that are no limit
}

func newAbuser(t *testing.T, g *env.Gateway) *abuser {
	t.Helper()
	a := &abuser{t: t, byLimit: map[string]int{}}
	for range 5 {
		c := env.NewSparkClient(t, g.GRPC, "eve")
		require.NoError(t, c.Version(wants(t.Context(), "1024m")))
		a.clients = append(a.clients, c)
	}
	t.Cleanup(func() { // attempts end with the context of the test at the latest
		a.issuing.Wait()
		a.work.Wait()
	})
	return a
}

// attack makes attempts for a time. As many of them as holds are let in and
// stay; all others end at once.
type attack struct {
	name  string
	begin func(context.Context, time.Duration)
	holds int
}

func (a *abuser) attacks() []attack {
	return []attack{
		{"engines", a.engines, 0},
		{"sessions", a.sessions, 0},
		{"calls", a.calls, maxCalls},
		{"everything", func(ctx context.Context, during time.Duration) {
			a.engines(ctx, during)
			a.sessions(ctx, during)
			a.calls(ctx, during)
		}, maxCalls},
	}
}

// answerBound is how soon after the last attempt all have ended but those that
// may stay.
const answerBound = 5 * time.Second

// begin attacks for a time; end waits until all attempts are made and answered,
// and gives up what was got.
func (a *abuser) begin(at attack, during time.Duration) (end func()) {
	ctx, cancel := context.WithCancel(a.t.Context())
	at.begin(ctx, during)
	return func() {
		a.t.Helper()
		defer cancel()
		a.issuing.Wait()
		env.Eventually(a.t, answerBound, fmt.Sprintf("all but %d attempts are answered", at.holds), func() bool {
			a.mu.Lock()
			defer a.mu.Unlock()
			return a.attempts-a.ended == at.holds
		})
		cancel()
		a.work.Wait()
	}
}

func (a *abuser) engines(ctx context.Context, during time.Duration) {
	a.spread(ctx, abuse*maxEngines, during, func(c *env.SparkClient, n int) error {
		return c.Another().Version(wants(ctx, fmt.Sprintf("%dm", 1024+n)))
	})
}

func (a *abuser) sessions(ctx context.Context, during time.Duration) {
	a.spread(ctx, abuse*maxSessions, during, func(c *env.SparkClient, _ int) error { return c.Another().Version(wants(ctx, "1024m")) })
}

func (a *abuser) calls(ctx context.Context, during time.Duration) {
	a.spread(ctx, abuse*maxCalls, during, func(c *env.SparkClient, _ int) error { return endless(ctx, c) })
}

// endless begins a query that does not end, and stays.
func endless(ctx context.Context, c *env.SparkClient) error {
	s, err := c.ExecutePlan(ctx, &pb.ExecutePlanRequest{
		SessionId: c.Session, UserContext: c.UserContext(), OperationId: proto.String(uuid.NewString()),
		Plan: &pb.Plan{OpType: &pb.Plan_Root{Root: &pb.Relation{RelType: &pb.Relation_Sql{Sql: &pb.SQL{
			Query: "SELECT java_method('java.lang.Thread', 'sleep', 3600000L)",
		}}}}},
	})
	for err == nil {
		_, err = s.Recv()
	}
	return err
}

// spread makes n attempts, evenly over most of the time, each without waiting for
// the others; on a busy machine those that are late are made up for.
func (a *abuser) spread(ctx context.Context, n int, over time.Duration, attempt func(*env.SparkClient, int) error) {
	a.issuing.Go(func() {
		began := time.Now()
		for i := range n {
			due := began.Add(over * 9 / 10 * time.Duration(i) / time.Duration(n))
			select {
			case <-time.After(time.Until(due)):
			case <-ctx.Done():
				return
			}
			a.mu.Lock()
			a.attempts++
			a.mu.Unlock()
			a.work.Go(func() { a.note(ctx, func() error { return attempt(a.clients[i%len(a.clients)], i) }) })
		}
	})
}

// limitName finds the setting that a refusal names.
var limitName = regexp.MustCompile(`kyuubi\.server\.limit\.([a-z.]*[a-z])`)

// note makes an attempt and writes down what became of it.
func (a *abuser) note(ctx context.Context, attempt func() error) {
	began := time.Now()
	err := attempt()
	took := time.Since(began)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended++
	switch {
	case err == nil:
		a.got++
	case status.Code(err) == codes.Canceled && ctx.Err() != nil:
		a.held++
	case status.Code(err) == codes.ResourceExhausted && limitName.MatchString(err.Error()):
		a.refused = append(a.refused, took)
		a.byLimit[limitName.FindStringSubmatch(err.Error())[1]]++
	default:
		a.other = append(a.other, err.Error())
	}
}
