// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"slices"
	"sync"
)

// queue lets a limited number of launches run, in the order of their coming.
type queue struct {
	mu      sync.Mutex
	free    int
	waiting []*ticket
}

// ticket is a place in the queue.
type ticket struct{ turn chan struct{} }

func newQueue(limit int) *queue { return &queue{free: limit} }

// enter takes a place.
func (q *queue) enter() *ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := &ticket{turn: make(chan struct{})}
	q.waiting = append(q.waiting, t)
	q.admit()
	return t
}

// wait returns when it is the turn of t, which then holds a slot until done, or
// with the cause of ctx, and then t has no slot.
func (q *queue) wait(ctx context.Context, t *ticket) error {
	select {
	case <-t.turn:
		return nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	i := slices.Index(q.waiting, t)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	q.mu.Unlock()
	if i < 0 { // the turn came at the same moment
		q.done()
	}
	return context.Cause(ctx)
}

// done gives a slot back.
func (q *queue) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free++
	q.admit()
}

// position is 1 for the next in line and 0 for a ticket that does not wait.
func (q *queue) position(t *ticket) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Index(q.waiting, t) + 1
}

// admit hands free slots to the first in line; mu is held.
func (q *queue) admit() {
	for q.free > 0 && len(q.waiting) > 0 {
		q.free--
		close(q.waiting[0].turn)
		q.waiting = q.waiting[1:]
	}
}
