// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
)

// Two things that happen at the same moment, in the order that is worse.

func TestTurnThatComesWithTheEndOfTheWaitIsNotLost(t *testing.T) {
	q := newQueue(1)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("left"))
	for range 100 { // wait picks at random between a turn and an end
		ticket := q.enter("alice")
		if q.wait(ctx, ticket) == nil {
			q.done()
		}
	}
	require.NoError(t, q.wait(t.Context(), q.enter("alice")), "the slot is still there")
}

func TestWaiterThatLeavesWithTheOutcomeGivesItsLeaseBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		staying := w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		_, l, err := w.m.join(userSpec("alice"), "unused")
		require.NoError(t, err)
		_, err = w.register(w.launcher.launches()[0])
		require.NoError(t, err)
		engine := (<-staying).lease.Engine()
		require.Equal(t, 2, engine.Leases())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.Error(t, w.m.leave(ctx, l))
		require.Equal(t, 1, engine.Leases())
	})
}

func TestRegistrationThatComesWithTheCancelLeavesNoRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		result := w.acquire(ctx, userSpec("alice"))
		synctest.Wait()
		l := w.m.mu.starting[w.launcher.launches()[0].RefID]
		cancel(ErrReleased)
		<-result
		synctest.Wait() // all of the launch is cleaned up
		_, err := w.m.admit(l, discovery.Node{Address: "127.0.0.1:1", RefID: l.refID}, keysOf(clusterSecret, l.refID))
		require.ErrorIs(t, err, ErrGone)
		require.Empty(t, w.store.records)
		require.Empty(t, w.m.Engines())
	})
}

func TestInheritedLaunchThatNobodyComesForIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		process := w.launcher.process(w.launcher.launches()[0].RefID)
		w.launcher.old[process.id.PID] = process
		w.stop()
		w.start(func(o *Options) { o.Linger = time.Minute })
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		require.NotEmpty(t, process.Status())
		require.Empty(t, w.store.records)
	})
}
