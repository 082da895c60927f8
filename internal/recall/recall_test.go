// SPDX-License-Identifier: Apache-2.0

package recall

import (
	"context"
	"errors"
	"sync/atomic"
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

// hanging is a Memory with answers about keys that are due again at once, whose next
// questions have no answer; asked counts these.
func hanging(t *testing.T, keys ...string) (m *Memory[string], asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	m = &Memory[string]{Timeout: 5 * time.Second, Hold: time.Hour, Ask: func(context.Context, string) (string, error) {
		return "old", nil
	}}
	for _, key := range keys {
		_, err := m.Get(t.Context(), key)
		require.NoError(t, err)
	}
	m.Ask = func(ctx context.Context, _ string) (string, error) {
		asked.Add(1)
		<-ctx.Done()
		return "", ctx.Err()
	}
	return m, asked
}

// TestNobodyWaitsLongForAnotherAnswer while there is one that holds; only who has none
// waits all the time of a question.
func TestNobodyWaitsLongForAnotherAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, asked := hanging(t, "a")
		get := func(key, want string, wantErr error, took time.Duration) {
			t.Helper()
			started := time.Now()
			got, err := m.Get(t.Context(), key)
			require.ErrorIs(t, err, wantErr)
			require.Equal(t, want, got)
			require.Equal(t, took, time.Since(started))
		}
		get("a", "old", nil, patience)
		get("a", "old", nil, patience)
		require.EqualValues(t, 1, asked.Load())
		get("b", "", context.DeadlineExceeded, m.Timeout)
		get("a", "old", nil, 0) // the question has failed, which is remembered
		require.EqualValues(t, 2, asked.Load())
		time.Sleep(m.Hold)
		get("a", "", context.DeadlineExceeded, m.Timeout)
	})
}

// TestLateAnswer: one that nobody waited for holds.
func TestLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := hanging(t, "a")
		m.Ask = func(context.Context, string) (string, error) {
			time.Sleep(time.Second)
			return "new", nil
		}
		for _, want := range []string{"old", "new"} {
			got, err := m.Get(t.Context(), "a")
			require.NoError(t, err)
			require.Equal(t, want, got)
			time.Sleep(time.Second)
		}
	})
}

// TestQuestionsThatNobodyWaitsForAreBounded.
func TestQuestionsThatNobodyWaitsForAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := make([]string, 2*maxAsked)
		for i := range keys {
			keys[i] = string(rune('a' + i))
		}
		m, asked := hanging(t, keys...)
		for _, key := range keys {
			go func() { _, _ = m.Get(t.Context(), key) }() // waited for by the bubble
			synctest.Wait()
		}
		require.EqualValues(t, maxAsked, asked.Load())
		require.Equal(t, asked.Load(), m.asked.Load())
		time.Sleep(m.Timeout)
		synctest.Wait()
		require.Zero(t, m.asked.Load())
	})
}

// TestMemoryIsBounded: an answer that is asked for stays however many others there
// are, and names that nobody knows push none out.
func TestMemoryIsBounded(t *testing.T) {
	nobody := errors.New("nobody")
	m := &Memory[string]{Timeout: time.Second, Keep: time.Minute, Hold: time.Hour}
	for range 2 {
		for i := range maxKept {
			m.note(string(rune(i)), answer[string]{err: nobody})
		}
		m.note("known", answer[string]{value: "one"})
		m.note("known too", answer[string]{value: "two"})
	}
	for i := range maxKept + 1 {
		m.note("!"+string(rune(i)), answer[string]{err: nobody})
	}
	require.Equal(t, 2, m.answers.Len())
	require.Equal(t, maxKept, m.failures.Len())
	for i := range maxKept {
		_, err := m.Get(t.Context(), "known")
		require.NoError(t, err)
		m.note("?"+string(rune(i)), answer[string]{})
	}
	require.Equal(t, maxKept, m.answers.Len())
	_, known := m.known("known")
	require.True(t, known)
	_, known = m.known("known too")
	require.False(t, known)
	m.note("known", answer[string]{err: nobody})
	a, _ := m.known("known")
	require.NoError(t, a.err, "a failure does not replace an answer that holds")
}
