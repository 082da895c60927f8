// SPDX-License-Identifier: Apache-2.0

// Package recall asks something slow that may fail, such as a directory service,
// as seldom as answers allow: one question about a key at a time, an answer holds
// for a while, and longer while there is no other; a failure is remembered, too.
package recall

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// Again is when a question is asked anew after a failure.
	Again = 10 * time.Second
	// maxKept bounds the memory of answers; beyond it all are asked again.
	maxKept = 10_000
)

// Memory holds answers by key. Its fields are set before its first use; then it
// is safe for concurrent use.
type Memory[T any] struct {
	// Ask answers a question within its ctx.
	Ask func(ctx context.Context, key string) (T, error)
	// Timeout bounds one question.
	Timeout time.Duration
	// Keep is how long an answer holds, Hold how long it does while asking fails.
	Keep, Hold time.Duration

	asking singleflight.Group
	mu     sync.Mutex
	kept   map[string]answer[T]
}

// answer is the outcome of a question.
type answer[T any] struct {
	value T
	err   error
	told  time.Time // when it was answered
	until time.Time // when it is asked again
}

// Get is the answer about a key; an error if there is none, and none held. The
// question outlives a caller who leaves: others may wait for the answer.
func (m *Memory[T]) Get(ctx context.Context, key string) (T, error) {
	m.mu.Lock()
	a, known := m.kept[key]
	m.mu.Unlock()
	if known && time.Now().Before(a.until) {
		return a.value, a.err
	}
	asked := m.asking.DoChan(key, func() (any, error) { // ends within Timeout
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.Timeout)
		defer cancel()
		value, err := m.Ask(ctx, key)
		return m.note(key, answer[T]{value: value, err: err}), nil
	})
	select {
	case done := <-asked:
		a = done.Val.(answer[T])
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// note keeps an answer. In place of a failure an old answer goes on to hold.
func (m *Memory[T]) note(key string, a answer[T]) answer[T] {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	a.told, a.until = now, now.Add(m.Keep)
	if a.err != nil {
		if old, known := m.kept[key]; known && old.err == nil && now.Before(old.told.Add(m.Hold)) {
			a = old
		}
		a.until = now.Add(Again)
	}
	if m.kept == nil || len(m.kept) >= maxKept {
		m.kept = map[string]answer[T]{}
	}
	m.kept[key] = a
	return a
}
