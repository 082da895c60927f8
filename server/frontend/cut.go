// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"
	"strings"
	"sync"

	"roundhouse/internal/errs"
)

// openCalls are the calls under way, so that those of a user can be cut. The
// zero value is ready for use.
type openCalls struct {
	mu  sync.Mutex
	all map[*place]caller
}

// caller is who makes a call and whose call it is.
type caller struct{ real, user string }

// note remembers a call, or whose it has turned out to be.
func (o *openCalls) note(p *place, user string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = map[*place]caller{}
	}
	o.all[p] = caller{p.id.User, user}
}

func (o *openCalls) forget(p *place) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, p)
}

// matching are the calls under way that are meant.
func (o *openCalls) matching(meant func(caller) bool) (found []*place) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for p, c := range o.all {
		if meant(c) {
			found = append(found, p)
		}
	}
	return found
}

func (o *openCalls) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.all)
}

// begin gives the call a life that Cut can end.
func (p *place) begin(ctx context.Context) {
	p.life, p.end = context.WithCancelCause(ctx)
	p.d.under.note(p, p.user)
}

func (p *place) over() {
	p.d.under.forget(p)
	p.end(nil)
}

// Cut ends the calls of a user, in any case of letters, and those that the user makes for others, with
// why for an answer. It returns how many there were.
func (d *Director) Cut(user string, why error) int {
	return d.cut(why, func(c caller) bool { return strings.EqualFold(c.user, user) || strings.EqualFold(c.real, user) })
}

// CutAll ends all calls under way with why for an answer. It returns how many there
// were.
func (d *Director) CutAll(why error) int {
	return d.cut(why, func(caller) bool { return true })
}

// Calls is how many calls are under way.
func (d *Director) Calls() int { return d.under.count() }

func (d *Director) cut(why error, meant func(caller) bool) int {
	calls, answer := d.under.matching(meant), errs.Status(why).Err()
	for _, p := range calls {
		p.end(answer)
	}
	return len(calls)
}
