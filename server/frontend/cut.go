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

func (o *openCalls) of(user string) (found []*place) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for p, c := range o.all {
		if strings.EqualFold(c.user, user) || strings.EqualFold(c.real, user) {
			found = append(found, p)
		}
	}
	return found
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
	calls, answer := d.under.of(user), errs.Status(why).Err()
	for _, p := range calls {
		p.end(answer)
	}
	return len(calls)
}
