// SPDX-License-Identifier: Apache-2.0

package recall

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestAnswersHold: for a while, longer while there is no other, and not for ever;
// a failure is remembered.
func TestAnswersHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, answer, fault := 0, "one", error(nil)
		silent := errors.New("silent")
		m := &Memory[string]{Timeout: time.Second, Keep: time.Minute, Hold: 5 * time.Minute, Ask: func(ctx context.Context, key string) (string, error) {
			asked++
			_, bounded := ctx.Deadline()
			require.True(t, bounded)
			return answer + " of " + key, fault
		}}
		get := func(want string, wantErr error, wantAsked int) {
			t.Helper()
			for range 3 {
				got, err := m.Get(t.Context(), "a")
				require.ErrorIs(t, err, wantErr)
				if wantErr == nil {
					require.Equal(t, want, got)
				}
			}
			require.Equal(t, wantAsked, asked)
		}
		get("one of a", nil, 1)
		answer = "two"
		get("one of a", nil, 1)
		time.Sleep(m.Keep)
		get("two of a", nil, 2)
		fault = silent
		time.Sleep(m.Keep)
		get("two of a", nil, 3)
		time.Sleep(m.Hold - m.Keep - 1)
		get("two of a", nil, 4)
		time.Sleep(Again)
		get("", silent, 5)
		fault = nil
		time.Sleep(Again - 1)
		get("", silent, 5)
		time.Sleep(1)
		get("two of a", nil, 6)
	})
}

// TestOneQuestionAtATime, and a caller who leaves takes nobody's answer away.
func TestOneQuestionAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, answer := 0, make(chan string)
		m := &Memory[string]{Timeout: time.Minute, Keep: time.Minute, Ask: func(ctx context.Context, _ string) (string, error) {
			asked++
			return <-answer, ctx.Err()
		}}
		left, got := make(chan error, 1), make(chan string, 3)
		ctx, leave := context.WithCancel(t.Context())
		go func() { // waited for by left
			_, err := m.Get(ctx, "a")
			left <- err
		}()
		synctest.Wait()
		for range cap(got) {
			go func() { // waited for by got
				value, _ := m.Get(t.Context(), "a")
				got <- value
			}()
		}
		synctest.Wait()
		leave()
		require.ErrorIs(t, <-left, context.Canceled)
		answer <- "one"
		for range cap(got) {
			require.Equal(t, "one", <-got)
		}
		require.Equal(t, 1, asked)
	})
}

func TestMemoryIsBounded(t *testing.T) {
	m := &Memory[int]{Keep: time.Minute}
	for i := range maxKept + 1 {
		m.note(string(rune(i)), answer[int]{value: i})
	}
	require.Len(t, m.kept, 1)
}
