// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "roundhouse/proto/gen/spark/connect"
)

// opening are the targets that open a session where there is none.
var opening = []string{"AddArtifacts", "AnalyzePlan", "Config", "Config set", "ExecutePlan"}

// query is a running query of somebody.
type query struct {
	ids
	rows chan int // the rows, when it has ended well
	errs chan error
}

// run runs a query in a new session; text is for the fake engine or for Spark.
func (p *person) run(text string) query {
	p.t.Helper()
	q := query{ids: ids{session: p.open(), operation: uuid.NewString()}, rows: make(chan int, 1), errs: make(chan error, 1)}
	q.failure = p.fail(q.session)
	request := &pb.ExecutePlanRequest{
		SessionId: q.session, UserContext: &pb.UserContext{UserId: p.user}, OperationId: proto.String(q.operation), Plan: sql(text),
		RequestOptions: []*pb.ExecutePlanRequest_RequestOption{{RequestOption: &pb.ExecutePlanRequest_RequestOption_ReattachOptions{
			ReattachOptions: &pb.ReattachOptions{Reattachable: true},
		}}},
	}
	stream, err := pb.NewSparkConnectServiceClient(p.conn).ExecutePlan(p.context(p.t.Context()), request)
	require.NoError(p.t, err)
	_, err = stream.Recv() // it runs
	require.NoError(p.t, err)
	go q.read(stream) // ends with the query or the test's context
	return q
}

func (q query) read(stream interface {
	Recv() (*pb.ExecutePlanResponse, error)
}) {
	for rows, complete := 0, false; ; {
		m, err := stream.Recv()
		switch {
		case err != nil && complete:
			q.rows <- rows
			return
		case err != nil:
			q.errs <- fmt.Errorf("after %d rows: %w", rows, err)
			return
		}
		rows += int(m.GetArrowBatch().GetRowCount())
		complete = complete || m.GetResultComplete() != nil
	}
}

// requireRunning wants the query to go on.
func (q query) requireRunning(t *testing.T) {
	t.Helper()
	select {
	case n := <-q.rows:
		require.FailNow(t, "the query is over too soon to tell", "%d rows", n)
	case err := <-q.errs:
		require.NoError(t, err, "the query")
	default:
	}
}

// requireEnd waits until the query has ended well, with so many rows.
func (q query) requireEnd(t *testing.T, rows int) {
	t.Helper()
	select {
	case n := <-q.rows:
		require.Equal(t, rows, n)
	case err := <-q.errs:
		require.NoError(t, err, "the query")
	case <-time.After(2 * callTimeout):
		require.FailNow(t, "the query does not end")
	}
}

// fail runs a query that fails and returns the id of its error.
func (p *person) fail(session string) string {
	p.t.Helper()
	request := &pb.ExecutePlanRequest{SessionId: session, UserContext: &pb.UserContext{UserId: p.user}, Plan: sql("SELECT raise_error('secret of alice')")}
	_, err := p.send(p.context(p.t.Context()), "ExecutePlan", [][]byte{encode(p.t, request)})
	require.ErrorContains(p.t, err, "secret of alice")
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.Metadata["errorId"] != "" {
			return info.Metadata["errorId"]
		}
	}
	require.FailNow(p.t, "the error has no id")
	return ""
}

var anyUUID = regexp.MustCompile(`[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}`)

// tries is what a person gets for a request about ids: all that is seen of it,
// with the ids taken out.
func (p *person) tries(to target, i ids) string {
	p.t.Helper()
	replies, err := p.send(p.context(p.t.Context()), to.method, [][]byte{join(text(1, i.session), as("alice"), to.body(p.t, i))})
	seen := fmt.Sprintf("%q, %v, details %v", replies, err, status.Convert(err).Details())
	if p.real { // its replies hold times
		seen = fmt.Sprintf("%v, details %v", err, status.Convert(err).Details())
	}
	return anyUUID.ReplaceAllString(seen, "UUID")
}

// compare has a person try everything on foreign and on unknown ids: both look
// alike, and neither shows anything of alice.
func compare(t *testing.T, p *person, all []string, foreign, unknown ids) {
	t.Helper()
	for _, name := range all {
		to := targets()[name]
		got, want := p.tries(to, foreign), p.tries(to, unknown)
		require.Equal(t, want, got, "%s by %s", name, p.user)
		require.NotContains(t, got, "secret of alice", name)
	}
}

// without are the names of all targets but some.
func without(some ...string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(targets())), func(name string) bool { return slices.Contains(some, name) })
}

// TestForeignIDsReachNothing: bob knows the ids of alice's session, running
// query and error. Nothing that he does with them reaches her engine or tells
// him that they exist, and her query goes on.
func TestForeignIDsReachNothing(t *testing.T) {
	h := start(t, nil)
	alice := h.person("alice", aliceToken)
	const rows = 60_000 // for 15 s
	running := alice.run(fmt.Sprintf("SELECT rows(%d, 160, 5)", rows))
	before := h.arrivals() // alice's engine is the only one yet
	tryEverything(t, h.person("bob", bobToken), h.person("root", rootToken), running)
	after := h.arrivals()
	require.Len(t, slices.DeleteFunc(slices.Clone(after), func(a arrived) bool { return a.Engine != before[0].Engine }), len(before), "her engine heard nothing")
	require.Greater(t, len(after), len(before), "his own did")
	running.requireEnd(t, rows)
	own, unknown := alice.tries(targets()["FetchErrorDetails"], running.ids), alice.tries(targets()["FetchErrorDetails"], ids{session: running.session, failure: uuid.NewString()})
	require.NotEqual(t, unknown, own, "alice herself sees the difference")
	require.NoError(t, h.quiet(alice, running.session))
	require.Equal(t, 1, runningUsers(h)["alice"])
	sameTime(t, h.person("bob", bobToken), running.ids)
}

// tryEverything has bob try before, while and after he has a session of the
// same id himself, and root end one that is not his. An administrator's rights
// are for REST: here root is a stranger too. The query runs all the time.
func tryEverything(t *testing.T, bob, root *person, running query) {
	t.Helper()
	foreign, began := running.ids, time.Now()
	unknown := ids{session: uuid.NewString(), operation: uuid.NewString(), failure: uuid.NewString()}
	compare(t, bob, without(append(opening, "ReleaseSession")...), foreign, unknown)
	compare(t, bob, opening, foreign, unknown)
	compare(t, bob, without(append(opening, "ReleaseSession")...), foreign, unknown)
	compare(t, bob, []string{"ReleaseSession"}, foreign, unknown)
	compare(t, root, without(opening...), foreign, unknown)
	t.Logf("everything was tried in %v", time.Since(began).Round(time.Millisecond))
	running.requireRunning(t)
}

// quiet says whether a session still answers.
func (h *house) quiet(p *person, session string) error {
	_, err := p.send(p.context(h.t.Context()), "AnalyzePlan", [][]byte{analyze(h.t, session)})
	return err
}

// sameTime compares how long the answers to foreign and unknown ids take. A
// difference that is none of the gateway's does not come three times.
func sameTime(t *testing.T, p *person, foreign ids) {
	t.Helper()
	for try := 1; ; try++ {
		a, b := medians(p, foreign)
		t.Logf("median of a foreign id %v, of an unknown one %v", a, b)
		limit := max(time.Millisecond, b/2)
		if try < 3 && (a-b).Abs() >= limit {
			continue
		}
		require.Less(t, (a - b).Abs(), limit)
		return
	}
}

// medians are how long an answer takes; calls about the two kinds of ids take
// turns, so that both have the same noise.
func medians(p *person, foreign ids) (known, unknown time.Duration) {
	const trials = 150
	to := targets()["FetchErrorDetails"]
	lasts := func(i ids) time.Duration {
		began := time.Now()
		p.tries(to, i)
		return time.Since(began)
	}
	var all [2][]time.Duration
	for range trials {
		all[0] = append(all[0], lasts(foreign))
		all[1] = append(all[1], lasts(ids{session: uuid.NewString(), operation: uuid.NewString(), failure: uuid.NewString()}))
	}
	slices.Sort(all[0])
	slices.Sort(all[1])
	return all[0][trials/2], all[1][trials/2]
}
