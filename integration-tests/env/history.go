// SPDX-License-Identifier: Apache-2.0

package env

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/engine/enginetest"
	pb "roundhouse/proto/gen/spark/connect"
)

// History checks the responses of one query of a fake engine: every response once,
// and every row once, unchanged and in order. The zero value is ready.
type History struct {
	enginetest.RowCheck
	responses map[string]bool
}

// Add takes the next response.
func (h *History) Add(r *pb.ExecutePlanResponse) error {
	if h.responses[r.GetResponseId()] {
		return fmt.Errorf("response %s came twice", r.GetResponseId())
	}
	if h.responses == nil {
		h.responses = map[string]bool{}
	}
	h.responses[r.GetResponseId()] = true
	return h.RowCheck.Add(r)
}

// KillInAQuery kills what serves a query of so many rows, a batch of so many bytes every ten milliseconds,
// when a random row of it has come and the last quarter is still outstanding. All rows must come. It returns
// the longest wait for a response.
func (c *SparkClient) KillInAQuery(t testing.TB, random *rand.Rand, rows int64, batchBytes int, kill func()) (story Story, stall time.Duration) {
	t.Helper()
	const delay = 10
	var h History
	now, reached := 1+random.Int64N(rows*3/4), make(chan struct{})
	var once sync.Once
	done := make(chan error, 1)
	go func() { // waited for below
		last := time.Now()
		var err error
		story, err = c.Query(t.Context(), fmt.Sprintf("SELECT * FROM rows(%d, %d, %d)", rows, batchBytes, delay),
			func(r *pb.ExecutePlanResponse) error {
				stall, last = max(stall, time.Since(last)), time.Now()
				err := h.Add(r)
				if h.Rows >= now {
					once.Do(func() { close(reached) })
				}
				return err
			})
		done <- err
	}()
	select {
	case <-reached:
	case err := <-done:
		require.FailNow(t, "the query ended before the kill", "row %d: %v", now, err)
	}
	<-time.After(time.Duration(random.Int64N(int64(delay * time.Millisecond)))) // anywhere between two batches
	kill()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(2 * time.Minute):
		require.FailNow(t, "the query does not end")
	}
	require.Equal(t, rows, h.Rows)
	return story, stall
}
