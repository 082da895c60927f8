// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"sync"
	"time"
)

// ringSize is how many events are kept.
const ringSize = 1000

// Types of events.
const (
	eventOpened   = "session-opened"
	eventClosed   = "session-closed"
	eventDraining = "draining"
	eventStopping = "stopping"
)

// event is one line of the history; texts that do not apply are empty.
type event struct {
	Seq       int64  `json:"seq"`
	TimeMs    int64  `json:"timeMs"`
	Type      string `json:"type"`
	User      string `json:"user"`
	SessionID string `json:"sessionId"`
	Reason    string `json:"reason"`
	Detail    string `json:"detail"`
}

// eventBatch answers a poll; Lost says that some asked-for events are gone.
type eventBatch struct {
	Events []event `json:"events"`
	Last   int64   `json:"last"`
	Lost   bool    `json:"lost"`
}

// events is the ring of what happened.
type events struct {
	mu struct {
		sync.Mutex
		ring []event
		last int64
		news chan struct{} // closed and replaced at each event
	}
}

func newEvents() *events {
	e := &events{}
	e.mu.news = make(chan struct{})
	return e
}

// add numbers and dates an event.
func (e *events) add(ev event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.last++
	ev.Seq, ev.TimeMs = e.mu.last, time.Now().UnixMilli()
	e.mu.ring = append(e.mu.ring, ev)
	if len(e.mu.ring) > ringSize {
		e.mu.ring = e.mu.ring[1:]
	}
	close(e.mu.news)
	e.mu.news = make(chan struct{})
}

// after gives the events newer than seq. Without any it waits for the first,
// for so long at most.
func (e *events) after(ctx context.Context, seq int64, wait time.Duration) eventBatch {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		batch, news := e.since(seq)
		if len(batch.Events) > 0 {
			return batch
		}
		select {
		case <-news:
		case <-timer.C:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
}

func (e *events) since(seq int64) (eventBatch, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	batch := eventBatch{Events: []event{}, Last: e.mu.last}
	for _, ev := range e.mu.ring {
		if ev.Seq > seq {
			batch.Events = append(batch.Events, ev)
		}
	}
	batch.Lost = int64(len(batch.Events)) < e.mu.last-seq
	return batch, e.mu.news
}

func (e *events) newest() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mu.last
}
