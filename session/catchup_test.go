// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/internal/errs"
)

// slowLock holds up whoever has a lock until it may go on.
type slowLock struct {
	*gatewayStore
	took atomic.Int32
	pace func()
}

func (l *slowLock) Lock(ctx context.Context, path string) (func() error, error) {
	unlock, err := l.gatewayStore.Lock(ctx, path)
	if err == nil {
		l.took.Add(1)
		l.pace()
	}
	return unlock, err
}

// slow is a third gateway, which locks at a pace and hears of others only then.
func (h *house) slow(t *testing.T, pace func()) (*member, *slowLock) {
	t.Helper()
	c := h.options(t, "c", Limits{})
	c.store.lag = time.Hour
	lock := &slowLock{gatewayStore: c.store, pace: pace}
	c.Lock = lock
	h.start(t, c)
	lock.took.Store(0)
	return c, lock
}

// TestManyCatchUpTogether: however many ask, the lock is taken for those who wait already and once
// more for those who came meanwhile, and the store does not count as away.
func TestManyCatchUpTogether(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		c, lock := h.slow(t, func() { <-time.After(100 * time.Millisecond) })
		defer c.die()
		began := time.Now()
		var calls sync.WaitGroup
		for range 100 {
			calls.Go(func() { require.True(t, c.catchUp(t.Context())) })
		}
		calls.Wait()
		require.LessOrEqual(t, lock.took.Load(), int32(2))
		require.LessOrEqual(t, time.Since(began), 200*time.Millisecond)
		require.False(t, c.away())
	})
}

// TestWhoCatchesUpHearsAllOfBefore: what another one began to ask earlier is not enough.
func TestWhoCatchesUpHearsAllOfBefore(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		next := make(chan struct{}, 3)
		next <- struct{}{} // at the start
		c, lock := h.slow(t, func() { <-next })
		defer c.die()
		var calls sync.WaitGroup
		calls.Go(func() { require.True(t, c.catchUp(t.Context())) })
		synctest.Wait()
		h.a.open(t, h.key)
		calls.Go(func() {
			require.True(t, c.catchUp(t.Context()))
			s, _ := c.Lookup(h.key)
			require.NotNil(t, s)
		})
		gone, cancel := context.WithCancel(t.Context())
		calls.Go(func() { require.False(t, c.catchUp(gone)) })
		synctest.Wait()
		cancel()
		next <- struct{}{}
		next <- struct{}{}
		calls.Wait()
		require.Equal(t, int32(2), lock.took.Load())
	})
}

// TestStoreThatDoesNotAnswerIsAway for all who ask then.
func TestStoreThatDoesNotAnswerIsAway(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		pass(lateInterval / 2) // the wait does not end just when it is tried again
		h.a.store.setSilent(true)
		began := time.Now()
		var calls sync.WaitGroup
		for range 100 {
			calls.Go(func() { require.False(t, h.a.catchUp(t.Context())) })
		}
		synctest.Wait()
		calls.Go(func() { require.False(t, h.a.catchUp(t.Context())) })
		calls.Wait()
		require.Equal(t, knownPatience, time.Since(began))
		require.True(t, h.a.away())
	})
}

// TestEngineThatCannotBeUsedHereIsNotLookedUp: nobody's call waits for what others have recorded.
func TestEngineThatCannotBeUsedHereIsNotLookedUp(t *testing.T) {
	twoGateways(t, Limits{}, func(t *testing.T, h *house) {
		h.a.engines.learn(&fakeEngine{id: "far", done: make(chan struct{})})
		h.a.engines.launch = "far"
		h.a.open(t, h.key)
		c, lock := h.slow(t, func() {})
		defer c.die()
		c.Unusable = func(refID string) error { return errors.New(refID + " has no relay") }
		lock.took.Store(0)
		err := <-h.held(t, c)
		require.True(t, errs.Is(err, errs.EngineElsewhere), "%v", err)
		require.Zero(t, lock.took.Load())
	})
}
