// SPDX-License-Identifier: Apache-2.0

package discoverytest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
)

// Lock is the suite of discovery.Locker.
func Lock(t *testing.T, open func(t *testing.T) discovery.Locker) {
	for name, test := range map[string]func(*testing.T, discovery.Locker){
		"one holder at a time":          oneHolder,
		"paths are apart":               pathsApart,
		"a waiter obeys its context":    waiterGivesUp,
		"an ended context gets no lock": lockObeysContext,
		"unlocking twice unlocks once":  unlockTwice,
		"a waiter that gave up is gone": lockAfterGivingUp,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func lock(t *testing.T, l discovery.Locker, path string) func() error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	unlock, err := l.Lock(ctx, path)
	require.NoError(t, err)
	return unlock
}

func oneHolder(t *testing.T, l discovery.Locker) {
	var holders, most atomic.Int32
	var wg sync.WaitGroup
	faults := make([]error, 10)
	for i := range faults {
		wg.Go(func() {
			unlock, err := l.Lock(t.Context(), space)
			if faults[i] = err; err != nil {
				return
			}
			if n := holders.Add(1); n > most.Load() {
				most.Store(n)
			}
			holders.Add(-1)
			unlock()
		})
	}
	wg.Wait()
	for _, err := range faults {
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, most.Load())
}

func pathsApart(t *testing.T, l discovery.Locker) {
	defer lock(t, l, space)()
	defer lock(t, l, other)()
}

func waiterGivesUp(t *testing.T, l discovery.Locker) {
	defer lock(t, l, space)()
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	go func() { // read below
		_, err := l.Lock(ctx, space)
		gaveUp <- err
	}()
	select {
	case err := <-gaveUp:
		require.FailNow(t, "did not wait", "%v", err)
	default:
	}
	cancel()
	require.ErrorIs(t, <-gaveUp, context.Canceled)
}

func lockObeysContext(t *testing.T, l discovery.Locker) {
	_, err := l.Lock(cancelled(t), space)
	require.ErrorIs(t, err, context.Canceled)
	lock(t, l, space)()
}

func unlockTwice(t *testing.T, l discovery.Locker) {
	first := lock(t, l, space)
	first()
	second := lock(t, l, space)
	first()
	requireHeld(t, l)
	second()
	lock(t, l, space)()
}

func lockAfterGivingUp(t *testing.T, l discovery.Locker) {
	unlock := lock(t, l, space)
	requireHeld(t, l)
	requireHeld(t, l)
	unlock()
	lock(t, l, space)()
}

// requireHeld shows that the lock of space cannot be had now.
func requireHeld(t *testing.T, l discovery.Locker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), heldFor)
	defer cancel()
	_, err := l.Lock(ctx, space)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
