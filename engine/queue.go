// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"slices"
	"sync"
)

// queue lets a limited number of launches run. Users take turns, so that one
// who wants many engines does not keep the others waiting; the launches of one
// user run in the order of their coming.
type queue struct {
	mu      sync.Mutex
	free    int
	waiting map[string][]*ticket // by user, never empty
	order   []string             // users who wait, next first
}

// ticket is a place in the queue.
type ticket struct {
	user string
	turn chan struct{}
}

func newQueue(limit int) *queue { return &queue{free: limit, waiting: map[string][]*ticket{}} }

// enter takes a place.
func (q *queue) enter(user string) *ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := &ticket{user: user, turn: make(chan struct{})}
	if len(q.waiting[user]) == 0 {
		q.order = append(q.order, user)
	}
	q.waiting[user] = append(q.waiting[user], t)
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
	waited := q.remove(t)
	q.mu.Unlock()
	if !waited { // the turn came at the same moment
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

// slots is how many launches could start at once.
func (q *queue) slots() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.free
}

// admit hands free slots to the next users in turn; mu is held.
func (q *queue) admit() {
	for q.free > 0 && len(q.order) > 0 {
		q.free--
		user := q.order[0]
		first := q.waiting[user][0]
		q.remove(first)
		if len(q.waiting[user]) > 0 { // its next turn comes after everybody's
			q.order = append(q.order[1:], user)
		}
		close(first.turn)
	}
}

// remove takes t out; false if it does not wait. mu is held.
func (q *queue) remove(t *ticket) bool {
	own := q.waiting[t.user]
	i := slices.Index(own, t)
	if i < 0 {
		return false
	}
	q.waiting[t.user] = slices.Delete(own, i, i+1)
	if len(own) == 1 {
		delete(q.waiting, t.user)
		q.order = slices.DeleteFunc(q.order, func(user string) bool { return user == t.user })
	}
	return true
}

// position is 1 for the next in line and 0 for a ticket that does not wait.
func (q *queue) position(t *ticket) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	own := slices.Index(q.waiting[t.user], t)
	if own < 0 {
		return 0
	}
	position, passed := 1, false
	for _, user := range q.order {
		turns := own // each user has one turn for each of ours before this one
		switch {
		case user == t.user:
			passed = true
		case !passed:
			turns++
		}
		position += min(turns, len(q.waiting[user]))
	}
	return position
}
