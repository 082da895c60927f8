// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"

	"roundhouse/engine/enginetest"
	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

// rows is a query whose rows can be checked: SQL, and what takes in each response and
// tells at the end whether all rows came.
type rows func() (sql string, add func(*pb.ExecutePlanResponse) error, complete func() error)

// fakeRows are rows of fake engines, in batches of so many bytes, each after so many milliseconds.
func fakeRows(count int64, bytes, pause int) rows {
	return func() (string, func(*pb.ExecutePlanResponse) error, func() error) {
		check := &enginetest.RowCheck{}
		return fmt.Sprintf("SELECT rows(%d, %d, %d)", count, bytes, pause), check.Add, func() error { return complete(check.Rows, count) }
	}
}

// sparkRows are rows that Spark makes in about two seconds.
func sparkRows() (string, func(*pb.ExecutePlanResponse) error, func() error) {
	const count = 200
	var got int64
	add := func(r *pb.ExecutePlanResponse) error {
		got += r.GetArrowBatch().GetRowCount()
		return nil
	}
	sql := fmt.Sprintf("SELECT id, java_method('java.lang.Thread', 'sleep', 20L) FROM range(0, %d, 1, 4)", count)
	return sql, add, func() error { return complete(got, count) }
}

func complete(got, want int64) error {
	if got != want {
		return fmt.Errorf("%d rows of %d", got, want)
	}
	return nil
}

// crowd are clients that work all the time.
type crowd struct {
	rows rows
	ctx  context.Context
	stop context.CancelFunc // they end after what they do
	over context.CancelFunc // they end at once
	work sync.WaitGroup

	mu struct {
		sync.Mutex
		killed    map[string]bool // engines
		queries   int
		sessions  int
		explained int // errors that told that the engine was killed
		story     env.Story
		faults    []error
	}
}

// worker is one client: it keeps a session for so many queries, with options.
type worker struct {
	env.SparkClient
	keeps   int
	options []string
}

// startClients starts so many clients of each kind: those that know both gateways, those that reach one by
// a link, those with short sessions, and one with engines for its sessions alone. It waits until all users have an
// engine, which what is measured first must have as well.
func (s *site) startClients(t *testing.T, each int, r rows) *crowd {
	t.Helper()
	c := &crowd{rows: r}
	var now context.Context
	now, c.over = context.WithCancel(t.Context())
	c.ctx, c.stop = context.WithCancel(now)
	c.mu.killed = map[string]bool{}
	var all []worker
	for i := range each {
		user := []string{"alice", "bob"}[i%2]
		all = append(all, worker{*s.Client(i%2, user), 1000, nil}, worker{*s.Client(i%2, user), 3, nil},
			worker{*env.NewSparkClient(t, s.links[(i+1)%2].Addr, user), 20, nil}) // the first one at the gateway that is measured
	}
	all = append(all, worker{*s.Client(1, "carol"), 5, []string{"kyuubi.engine.share.level", "CONNECTION"}})
	for i, w := range all {
		c.work.Go(func() { c.loop(now, w, i) }) // finish waits
	}
	t.Cleanup(func() { c.over(); c.work.Wait() })
	users := min(each, 2) + 1
	env.Eventually(t, 2*time.Minute, "all users have an engine", func() bool { return len(s.running()) >= users })
	return c
}

// expect says that an engine is killed now.
func (c *crowd) expect(ref string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.killed[ref] = true
}

func (c *crowd) loop(ctx context.Context, w worker, number int) {
	defer w.Close()
	ctx = metadata.AppendToOutgoingContext(ctx, w.options...)
	for c.ctx.Err() == nil {
		c.session(ctx, w, number)
	}
}

// session is one session of a client from its first query to its end.
func (c *crowd) session(ctx context.Context, w worker, number int) {
	w.Session = uuid.NewString()
	c.mu.Lock()
	c.mu.sessions++
	c.mu.Unlock()
	for used := 0; used < w.keeps && c.ctx.Err() == nil; used++ {
		story, err := c.query(ctx, w)
		if c.note(number, story, err) {
			return
		}
		select {
		case <-time.After(rand.N(200 * time.Millisecond)):
		case <-c.ctx.Done():
		}
	}
	c.note(number, env.Story{}, w.Release(ctx))
}

func (c *crowd) query(ctx context.Context, w worker) (env.Story, error) {
	sql, add, complete := c.rows()
	story, err := w.Query(ctx, sql, add)
	if err == nil {
		err = complete()
	}
	return story, err
}

// note counts what a client saw. It returns true for an error that says that the engine of the session
// was killed, as it was.
func (c *crowd) note(number int, story env.Story, err error) (gone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.queries++
	c.mu.story.Retried += story.Retried
	c.mu.story.Reattached += story.Reattached
	c.mu.story.Restarted += story.Restarted
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return false
	case c.explained(err):
		c.mu.explained++
		return true
	}
	c.mu.faults = append(c.mu.faults, fmt.Errorf("client %d at %s: %w", number, time.Now().Format(time.TimeOnly), err))
	return false
}

// explained says whether err tells of an engine that was killed, in Spark's own words.
func (c *crowd) explained(err error) bool {
	if !strings.Contains(err.Error(), "INVALID_HANDLE.SESSION_CHANGED") {
		return false
	}
	for ref := range c.mu.killed {
		if strings.Contains(err.Error(), ref) {
			return true
		}
	}
	return false
}

// requireWell wants no unexplained error so far.
func (c *crowd) requireWell(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Empty(t, c.mu.faults)
}

// finish lets the clients end what they do.
func (c *crowd) finish(t *testing.T) {
	t.Helper()
	c.stop()
	ended := make(chan struct{})
	go func() { c.work.Wait(); close(ended) }() // ends with the clients
	select {
	case <-ended:
	case <-time.After(2 * time.Minute):
		require.FailNow(t, "the clients do not end")
	}
	c.requireWell(t)
	t.Logf("%d calls and queries in %d sessions, %+v, %d sessions lost their engine and were told so, no other error",
		c.mu.queries, c.mu.sessions, c.mu.story, c.mu.explained)
	require.NotZero(t, c.mu.story.Retried, "the faults were felt")
}
