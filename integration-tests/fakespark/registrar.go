// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"
)

// registration makes the engine known to gateways.
type registration interface {
	// Run registers and keeps that up until ctx ends.
	Run(ctx context.Context)
	// deregister takes it back, and waits so long for it.
	deregister(ctx context.Context, why verdict, wait time.Duration) answerKind
	// settle is for how long sessions may still come after that.
	settle() time.Duration
}

// listener hears how the registration goes.
type listener struct {
	registered   func(welcome)
	deregistered func() // somebody else took the registration back
	ended        func(ending)
}

// registrar keeps the engine registered at its gateway: it registers, repeats that as a
// heartbeat and retries while the gateway is away. One goroutine makes all
// calls, so no heartbeat overtakes a deregistration.
type registrar struct {
	listener
	client   *client
	node     string
	giveUpAt time.Time
	asks     chan ask

	// Only Run touches these.
	known bool // the gateway accepted a registration
	gone  bool // it was taken back
	retry time.Duration
}

// ask is the wish to deregister.
type ask struct {
	why   verdict
	reply chan<- answerKind
}

func newRegistrar(c *client, node string, giveUpAt time.Time, l listener) *registrar {
	return &registrar{listener: l, client: c, node: node, giveUpAt: giveUpAt, retry: firstRetry, asks: make(chan ask)}
}

// settle implements registration: a gateway that agreed sends no more sessions.
func (r *registrar) settle() time.Duration { return 0 }

// Run registers until ctx ends.
func (r *registrar) Run(ctx context.Context) {
	defer r.client.http.CloseIdleConnections()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-r.asks:
			a.reply <- r.takeBack(ctx, a.why)
		case <-timer.C:
			if next, again := r.beat(ctx); again {
				timer.Reset(next)
			}
		}
	}
}

// deregister asks Run to take the registration back and waits so long for the
// answer.
func (r *registrar) deregister(ctx context.Context, why verdict, wait time.Duration) answerKind {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	reply := make(chan answerKind, 1)
	select {
	case r.asks <- ask{why, reply}:
	case <-ctx.Done():
		return answerNone
	}
	select {
	case kind := <-reply:
		return kind
	case <-ctx.Done():
		return answerNone
	}
}

func (r *registrar) takeBack(ctx context.Context, why verdict) answerKind {
	if r.gone {
		return answerOK
	}
	kind := r.client.deregister(ctx, why)
	r.gone = kind != answerBusy
	return kind
}

// beat registers once and says when to do so again.
func (r *registrar) beat(ctx context.Context) (next time.Duration, again bool) {
	if r.gone {
		return 0, false
	}
	kind, w := r.client.register(ctx, r.node)
	switch kind {
	case answerOK:
		r.retry = firstRetry
		if !r.known {
			r.known = true
			r.registered(w)
		}
		return w.heartbeat(), true
	case answerRefused:
		r.ended(failure("the gateway refused the registration (403): key or path is not the one it knows"))
		return 0, false
	case answerUnwanted:
		r.ended(ending{exitOrderly, verdict{"stopped", "The gateway does not want this engine (410)."}})
		return 0, false
	}
	if !r.known && time.Now().After(r.giveUpAt) {
		r.ended(failure("the gateway did not accept the registration within the initialize timeout"))
		return 0, false
	}
	next = r.retry
	r.retry = min(2*r.retry, lastRetry)
	return next, true
}
