// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"roundhouse/engine/enginetest"
	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

// The limits of the abuse test, and how far beyond them the abuser tries to go.
const (
	maxSessions = 10
	maxEngines  = 2
	maxCalls    = 20
	abuse       = 100
)

// noise is what the 99th percentile may be over twice the quiet one: the abuser
// and its engines share the machine with everybody, not only the gateway.
const noise = 20 * time.Millisecond

// rounds is how often the whole is measured until the bound holds: a machine
// that is busy with something else fails one round, a gateway that lets an abuser
// disturb others fails all.
const rounds = 3

// refusalBound is how fast an abuser must be refused, in the median.
const refusalBound = 50 * time.Millisecond

// TestOneAbuserAndNineOthers: nobody but the abuser notices. Quiet times and
// attacks alternate, so that whatever else the machine does meets both alike.
func TestOneAbuserAndNineOthers(t *testing.T) {
	g := start(t, map[string]string{
		"kyuubi.server.limit.connections.per.user": strconv.Itoa(maxSessions),
		"kyuubi.server.limit.engines.per.user":     strconv.Itoa(maxEngines),
		"kyuubi.server.limit.calls.per.user":       strconv.Itoa(maxCalls),
	})
	var users []*normalUser
	for i := range 9 {
		users = append(users, newNormalUser(t, g, fmt.Sprintf("user%d", i)))
	}
	a := newAbuser(t, g)
	most := watchEngines(t, g, a.over)
	unnoticed := false
	for n := 0; n < rounds && !unnoticed; n++ {
		quiet, loud := a.round(t, users)
		t.Logf("nine users, quiet: %v", quiet)
		t.Logf("nine users, beside the abuser: %v", loud)
		unnoticed = loud.at(0.99) <= 2*quiet.at(0.99)+noise
	}
	close(a.over)
	t.Logf("the abuser: %d attempts, got %d, refused %v", a.attempts, a.got, a.refused)
	t.Logf("refused by limit: %v", a.byLimit)
	require.Empty(t, a.other, "an abuser is refused, and nothing else")
	require.Greater(t, len(a.refused), a.attempts*9/10)
	for _, limit := range []string{"calls.per.user", "connections.per.user", "engines.per.user"} {
		require.NotZero(t, a.byLimit[limit], limit)
	}
	require.Equal(t, maxEngines, <-most)
	require.True(t, unnoticed, "the 99th percentile of the others is beyond twice the quiet one, in each of the rounds")
	require.Less(t, a.refused.at(0.5), refusalBound)
}

// round lets the users work in quiet times and beside attacks, in turns.
func (a *abuser) round(t *testing.T, users []*normalUser) (quiet, loud summary) {
	t.Helper()
	window := env.Duration(2*time.Second, 15*time.Second)
	for _, attack := range []func(context.Context, time.Duration){a.engines, a.sessions, a.calls, a.everything} {
		quiet = append(quiet, work(t, users, window)...)
		end := a.begin(attack, window)
		loud = append(loud, work(t, users, window)...)
		end()
	}
	return quiet, loud
}

// limitName finds the setting that a refusal names.
var limitName = regexp.MustCompile(`kyuubi\.server\.limit\.([a-z.]*[a-z])`)

// summary are durations.
type summary []time.Duration

// at is the quantile q.
func (s summary) at(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// String is what people want to know of them.
func (s summary) String() string {
	return fmt.Sprintf("%d, median %v, p99 %v, longest %v", len(s), s.at(0.5).Round(10*time.Microsecond),
		s.at(0.99).Round(10*time.Microsecond), s.at(1).Round(10*time.Microsecond))
}

// normalUser has a session on a warm engine and works a little.
type normalUser struct{ *env.SparkClient }

func newNormalUser(t *testing.T, g *env.Gateway, name string) *normalUser {
	t.Helper()
	c := env.NewSparkClient(t, g.GRPC, name)
	require.NoError(t, c.Version(t.Context()))
	return &normalUser{c}
}

// work lets all users work for a time, and returns how long each piece took. No
// piece may fail.
func work(t *testing.T, users []*normalUser, during time.Duration) summary {
	t.Helper()
	var all sync.WaitGroup
	took := make([]summary, len(users))
	failed := make(chan error, len(users))
	until := time.Now().Add(during)
	for i, u := range users {
		all.Go(func() {
			for n := 0; time.Now().Before(until); n++ {
				began := time.Now()
				if err := u.piece(t.Context(), n); err != nil {
					failed <- fmt.Errorf("%s, piece %d: %w", u.User, n, err)
					return
				}
				took[i] = append(took[i], time.Since(began))
				<-time.After(20 * time.Millisecond) // a person thinks
			}
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		require.NoError(t, err, "all that normal users do succeeds")
	default:
	}
	return slices.Concat(took...)
}

// piece is a call, a query with its rows, or a session of its own.
func (u *normalUser) piece(ctx context.Context, n int) error {
	switch n % 5 {
	case 1, 3:
		var check enginetest.RowCheck
		if _, err := u.Query(ctx, "SELECT rows(2000, 8192, 0)", check.Add); err != nil {
			return err
		}
		if check.Rows != 2000 {
			return fmt.Errorf("%d of 2000 rows", check.Rows)
		}
		return nil
	case 4:
		s := another(u.SparkClient)
		if err := s.Version(ctx); err != nil {
			return err
		}
		return s.Release(ctx)
	}
	return u.Version(ctx)
}

// abuser tries to get a hundred times of everything that is limited.
type abuser struct {
	t       *testing.T
	clients []*env.SparkClient
	issuing sync.WaitGroup // what makes attempts
	work    sync.WaitGroup // the attempts
	over    chan struct{}  // closed after the last attack

	mu       sync.Mutex
	attempts int
	got      int
	refused  summary
	byLimit  map[string]int
	other    []string // errors that are no limit
}

func newAbuser(t *testing.T, g *env.Gateway) *abuser {
	t.Helper()
	a := &abuser{t: t, over: make(chan struct{}), byLimit: map[string]int{}}
	for range 5 {
		c := env.NewSparkClient(t, g.GRPC, "eve")
		require.NoError(t, c.Version(wants(t.Context(), "1024m")))
		a.clients = append(a.clients, c)
	}
	return a
}

// begin attacks for a time; end waits until all attempts are made, and gives up
// what was got.
func (a *abuser) begin(attack func(context.Context, time.Duration), during time.Duration) (end func()) {
	ctx, cancel := context.WithCancel(a.t.Context())
	attack(ctx, during)
	return func() {
		a.issuing.Wait()
		cancel()
		a.work.Wait()
	}
}

func (a *abuser) engines(ctx context.Context, during time.Duration) {
	a.spread(ctx, abuse*maxEngines, during, func(c *env.SparkClient, n int) error {
		return another(c).Version(wants(ctx, fmt.Sprintf("%dm", 1024+n)))
	})
}

func (a *abuser) sessions(ctx context.Context, during time.Duration) {
	a.spread(ctx, abuse*maxSessions, during, func(c *env.SparkClient, _ int) error { return another(c).Version(wants(ctx, "1024m")) })
}

func (a *abuser) calls(ctx context.Context, during time.Duration) {
	a.spread(ctx, abuse*maxCalls, during, func(c *env.SparkClient, _ int) error { return endless(ctx, c) })
}

func (a *abuser) everything(ctx context.Context, during time.Duration) {
	a.engines(ctx, during)
	a.sessions(ctx, during)
	a.calls(ctx, during)
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
			a.work.Go(func() { a.note(ctx, func() error { return attempt(a.clients[i%len(a.clients)], i) }) })
		}
	})
}

func (a *abuser) note(ctx context.Context, attempt func() error) {
	began := time.Now()
	err := attempt()
	took := time.Since(began)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.attempts++
	switch {
	case err == nil || ctx.Err() != nil || status.Code(err) == codes.DeadlineExceeded:
		a.got++ // or held to the end
	case status.Code(err) == codes.ResourceExhausted && limitName.MatchString(err.Error()):
		a.refused = append(a.refused, took)
		a.byLimit[limitName.FindStringSubmatch(err.Error())[1]]++
	default:
		a.other = append(a.other, err.Error())
	}
}

// watchEngines looks at the abuser's engines until over is closed, and then
// tells the most that it saw: by REST, and by what runs on the machine.
func watchEngines(t *testing.T, g *env.Gateway, over chan struct{}) <-chan int {
	t.Helper()
	most := make(chan int, 1)
	go func() { // ends with over
		seen := 0
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			seen = max(seen, len(enginesOf(g, "eve")), len(env.Marked(g.Home+"/work/eve/")))
			select {
			case <-tick.C:
			case <-over:
				most <- seen
				return
			}
		}
	}()
	return most
}

// residentBytes is the memory of the gateway process.
func residentBytes(t *testing.T, g *env.Gateway) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.PID()))
	require.NoError(t, err)
	pages, err := strconv.ParseInt(strings.Fields(string(raw))[1], 10, 64)
	require.NoError(t, err)
	return pages * int64(os.Getpagesize())
}
