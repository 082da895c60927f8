// SPDX-License-Identifier: Apache-2.0

// Package recall asks something slow that may fail, such as a directory service,
// as seldom as answers allow: one question about a key at a time, an answer holds
// for a while, and longer while there is no other or it is long in coming; a failure
// is remembered, too.
package recall

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

const (
	// Again is when a question is asked anew after a failure.
	Again = 10 * time.Second
	// patience is how long a new answer is waited for where there is an old one.
	patience = 200 * time.Millisecond
	// maxKept bounds the memory of answers, and that of failures; those not used for
	// longest are forgotten first.
	maxKept = 10_000
	// maxAsked is how many questions at the same time let no more be asked for which
	// there is an old answer.
	maxAsked = 64
)

// Memory holds answers by key. Its fields are set before its first use; then it
// is safe for concurrent use.
type Memory[T any] struct {
	// Ask answers a question within its ctx.
	Ask func(ctx context.Context, key string) (T, error)
	// Timeout bounds one question.
	Timeout time.Duration
	// Keep is how long an answer holds, Hold how long it does while asking fails or
	// takes more than 200 ms.
	Keep, Hold time.Duration

	asking singleflight.Group
	asked  atomic.Int64 // questions that have no answer yet
	made   sync.Once
	// Failures are apart: names that nobody knows do not push answers out.
	answers, failures *lru.Cache[string, answer[T]]
}

// answer is the outcome of a question.
type answer[T any] struct {
	value T
	err   error
	told  time.Time // when it was answered
	until time.Time // when it is asked again
}

// Get is the answer about a key; an error if there is none, and none held. The
// question outlives a caller who leaves or has the old answer, up to Timeout: others
// may wait for the new one.
func (m *Memory[T]) Get(ctx context.Context, key string) (T, error) {
	a, known := m.known(key)
	if known && time.Now().Before(a.until) {
		return a.value, a.err
	}
	var enough <-chan time.Time // never, without an old answer
	if m.holds(a) {
		if m.asked.Load() >= maxAsked {
			return a.value, nil
		}
		timer := time.NewTimer(patience)
		defer timer.Stop()
		enough = timer.C
	}
	reply := m.asking.DoChan(key, func() (any, error) { // ends within Timeout
		m.asked.Add(1)
		defer m.asked.Add(-1)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.Timeout)
		defer cancel()
		value, err := m.Ask(ctx, key)
		return m.note(key, answer[T]{value: value, err: err}), nil
	})
	select {
	case done := <-reply:
		a = done.Val.(answer[T])
		return a.value, a.err
	case <-enough:
		return a.value, nil
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// known is what was answered last.
func (m *Memory[T]) known(key string) (answer[T], bool) {
	m.made.Do(func() { // New fails for a size below one only
		m.answers, _ = lru.New[string, answer[T]](maxKept)
		m.failures, _ = lru.New[string, answer[T]](maxKept)
	})
	if a, known := m.answers.Get(key); known {
		return a, true
	}
	return m.failures.Get(key)
}

// holds says whether an answer is good enough while there is no newer one.
func (m *Memory[T]) holds(a answer[T]) bool {
	return a.err == nil && time.Now().Before(a.told.Add(m.Hold))
}

// note keeps an answer; there is one at a time about a key. In place of a failure
// an old answer goes on to hold.
func (m *Memory[T]) note(key string, a answer[T]) answer[T] {
	old, _ := m.known(key)
	now := time.Now()
	a.told, a.until = now, now.Add(m.Keep)
	if a.err != nil {
		if m.holds(old) {
			a = old
		}
		a.until = now.Add(Again)
	}
	keep, forget := m.answers, m.failures
	if a.err != nil {
		keep, forget = forget, keep
	}
	keep.Add(key, a)
	forget.Remove(key)
	return a
}
