// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/engine/enginetest"
	"roundhouse/integration-tests/env"
)

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
		s := u.SparkClient.Another()
		if err := s.Version(ctx); err != nil {
			return err
		}
		return s.Release(ctx)
	}
	return u.Version(ctx)
}

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
