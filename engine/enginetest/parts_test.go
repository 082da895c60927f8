// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	connect "roundhouse/proto/gen/spark/connect"
)

func TestResponsesKeepTheNewest(t *testing.T) {
	r := newResponses()
	for i := range int64(5) {
		r.append(item{kind: kindBatch, start: i})
	}
	one := r.items[0].size()
	for index := 1; index <= 4; index++ {
		_, ok, err := r.consume(index, 2*one)
		require.True(t, ok)
		require.Nil(t, err)
	}
	require.Equal(t, 2, r.first, "two responses before the one just sent are kept")
	_, _, err := r.consume(1, 2*one)
	require.Equal(t, "INVALID_CURSOR.POSITION_NOT_AVAILABLE", err.shape.class)
	require.Equal(t, r.id(1), err.params["responseId"])
	i, ok, err := r.consume(2, 2*one)
	require.True(t, ok)
	require.Nil(t, err)
	require.Equal(t, int64(1), i.start)
	_, ok, err = r.consume(6, 2*one)
	require.False(t, ok, "not produced yet")
	require.Nil(t, err)
}

func TestResponseIDs(t *testing.T) {
	r := newResponses()
	r.append(item{})
	r.append(item{})
	for index := 1; index <= 2; index++ {
		got, err := r.index(r.id(index))
		require.Nil(t, err)
		require.Equal(t, index, got)
	}
	other := newResponses()
	for _, id := range []string{r.id(3), r.id(0), other.id(1), "", "text"} {
		_, err := r.index(id)
		require.NotNil(t, err, id)
	}
}

func TestFIFOForgetsTheOldest(t *testing.T) {
	f := newFIFO[int, string](2)
	f.put(1, "a")
	f.put(2, "b")
	f.put(1, "c")
	require.Equal(t, "c", f.m[1])
	f.put(3, "d")
	require.False(t, f.has(1))
	require.True(t, f.has(2))
	v, ok := f.take(3)
	require.True(t, ok)
	require.Equal(t, "d", v)
	_, ok = f.take(3)
	require.False(t, ok)
}

// sweeper is a session manager whose clock the test is.
func sweeper(t *testing.T, o Options) (*sessions, *session) {
	t.Helper()
	m := newSessions(t.Context(), o.withDefaults())
	t.Cleanup(func() { m.closeAll(); m.work.Wait() })
	s, err := m.obtain(call{request: &connect.ConfigRequest{SessionId: uuidFormat}})
	require.NoError(t, err)
	return m, s
}

func TestIdleSessionExpires(t *testing.T) {
	var told []SessionEvent
	m, s := sweeper(t, Options{OnSession: func(e SessionEvent) { told = append(told, e) }})
	accessed := time.Unix(0, s.accessed.Load())
	m.sweep(accessed.Add(time.Hour))
	require.Len(t, m.list(), 1)
	m.sweep(accessed.Add(time.Hour + 1))
	require.Empty(t, m.list())
	require.Equal(t, ReasonExpired, told[1].Reason)
}

func TestSessionThatNeverExpires(t *testing.T) {
	m, s := sweeper(t, Options{SessionTimeout: -1})
	m.sweep(time.Unix(0, s.accessed.Load()).Add(1000 * time.Hour))
	require.Len(t, m.list(), 1)
}

func TestOperationWithoutStreamIsAbandoned(t *testing.T) {
	m, s := sweeper(t, Options{SessionTimeout: -1})
	x, err := s.start(newExecution(m.ctx, "op", &connect.ExecutePlanRequest{}, work{before: time.Hour}))
	require.NoError(t, err)
	sender, sparkErr := x.attach(s, blockedStream{}, "")
	require.Nil(t, sparkErr)
	m.sweep(time.Now().Add(time.Hour))
	require.Equal(t, stateRunning, s.states()["op"], "a stream is attached")
	sender.detach()
	m.sweep(time.Now().Add(4 * time.Minute))
	require.Equal(t, stateRunning, s.states()["op"])
	m.sweep(time.Now().Add(6 * time.Minute))
	require.Equal(t, stateCancelled, s.states()["op"])
}

// blockedStream is never written to.
type blockedStream struct{ responseStream }

func (blockedStream) Context() context.Context { return context.Background() }
