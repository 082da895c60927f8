// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// isNext says whether it is the turn of a ticket.
func isNext(t *ticket) bool {
	select {
	case <-t.turn:
		return true
	default:
		return false
	}
}

// TestUsersTakeTurns: ten launches of one user do not keep another one waiting
// for longer than one launch.
func TestUsersTakeTurns(t *testing.T) {
	q := newQueue(1)
	running := q.enter("eve")
	require.True(t, isNext(running))
	var flood []*ticket
	for range 10 {
		flood = append(flood, q.enter("eve"))
	}
	alice, bob := q.enter("alice"), q.enter("bob")
	again := q.enter("alice")
	require.Equal(t, 5, q.position(again))
	for i, next := range []*ticket{flood[0], alice, bob, flood[1], again, flood[2], flood[3]} {
		require.Equal(t, 1, q.position(next), i)
		q.done()
		require.True(t, isNext(next), i)
	}
}

// TestPositionsArePromises: whatever waits, launches start in the order that
// their positions said.
func TestPositionsArePromises(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		q := newQueue(1)
		q.enter("first")
		var all []*ticket
		for range 1 + r.IntN(30) {
			all = append(all, q.enter(fmt.Sprint("user", r.IntN(4))))
		}
		slices.SortFunc(all, func(a, b *ticket) int {
			return q.position(a) - q.position(b)
		})
		for i, next := range all {
			require.Equal(t, len(all)-i, q.position(all[len(all)-1]), "seed %d", seed)
			q.done()
			require.True(t, isNext(next), "seed %d: %d", seed, i)
		}
	}
}

// giveUp waits in vain.
func giveUp(gone context.Context, q *queue, t *ticket) {
	if q.wait(gone, t) == nil { // the turn and the end were both there
		q.done()
	}
}

// TestQueueForgetsWhoLeft: a ticket that is given up costs no slot, in line or
// at its turn.
func TestQueueForgetsWhoLeft(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		q := newQueue(2)
		gone, leave := context.WithCancelCause(t.Context())
		leave(errors.New("gone"))
		var waiting []*ticket
		for range 40 {
			waiting = append(waiting, q.enter(fmt.Sprint("user", r.IntN(5))))
			if i := r.IntN(len(waiting)); r.IntN(2) == 0 {
				giveUp(gone, q, waiting[i])
				waiting = slices.Delete(waiting, i, i+1)
			}
		}
		for len(waiting) > 0 {
			i := slices.IndexFunc(waiting, isNext)
			require.GreaterOrEqual(t, i, 0, "seed %d: somebody must have the turn", seed)
			q.done()
			waiting = slices.Delete(waiting, i, i+1)
		}
		require.Equal(t, 2, q.slots(), "seed %d", seed)
		require.Empty(t, q.waiting)
		require.Empty(t, q.order)
	}
}
