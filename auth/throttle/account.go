// SPDX-License-Identifier: Apache-2.0

package throttle

import (
	"math"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// ledger has the accounts of one kind.
type ledger struct {
	free    int           // failures that cost nothing; as many are forgotten in the longest wait
	share   float64       // what an attempt under way counts for, in failures
	longest time.Duration // wait

	accounts *simplelru.LRU[place, *account]
}

// newLedger makes one; nil is one without a limit.
func newLedger(free int, share float64, longest time.Duration) *ledger {
	if free == 0 {
		return nil
	}
	return &ledger{free: free, share: share, longest: longest, accounts: table[*account]()}
}

// account counts the failures of an address, or of a user at one.
type account struct {
	level float64 // failures not yet forgotten
	// until is the end of the wait, or the time of the last failure if that cost
	// none. Forgetting begins then.
	until time.Time
	// pending counts attempts under way by their credentials: equal ones are one guess.
	pending map[digest]int
}

// count is where an attempt counts: an account of a ledger, which need not be
// there yet.
type count struct {
	in *ledger
	at place
}

// wait is how long an attempt with credentials key has to wait, and for what; 0
// lets it through. Beyond the limit guesses are looked at one at a time, so that many at
// once are no way around it. It makes no account: attempts that are refused must
// not push out the accounts of others.
func (c count) wait(key digest, now time.Time) refusal {
	if c.in == nil {
		return refusal{}
	}
	a, known := c.in.accounts.Peek(c.at)
	if !known {
		return refusal{}
	}
	if wait := a.until.Sub(now); wait > 0 {
		return refusal{wait: wait}
	}
	failures, free := c.in.level(a, now), float64(c.in.free)
	others := len(a.pending)
	if a.pending[key] > 0 || others == 0 || failures+c.in.share*float64(others) < free {
		return refusal{}
	}
	return refusal{wait: firstWait, busy: failures < free}
}

// fail counts a failure.
func (c count) fail(now time.Time) {
	if c.in == nil {
		return
	}
	a := c.account()
	a.level = c.in.level(a, now) + 1
	if a.until.Before(now) {
		a.until = now
	}
	beyond := a.level - float64(c.in.free)
	if beyond <= 0 {
		return
	}
	wait := firstWait.Seconds() * math.Exp2(math.Ceil(beyond)-1)
	if limit := c.in.longest.Seconds(); wait > limit {
		// More failures could not make the wait longer, only the memory of them.
		wait, a.level = limit, a.level-1
	}
	a.until = now.Add(time.Duration(wait * float64(time.Second)))
}

// level is how many failures are not forgotten: after the wait they go evenly,
// the limit's worth in the longest wait.
func (l *ledger) level(a *account, now time.Time) float64 {
	quiet := max(0, now.Sub(a.until))
	return max(0, a.level-float64(l.free)*quiet.Seconds()/l.longest.Seconds())
}

// begin notes an attempt under way, settle ends it.
func (c count) begin(key digest) {
	if c.in == nil {
		return
	}
	a := c.account()
	if a.pending == nil {
		a.pending = map[digest]int{}
	}
	a.pending[key]++
}

func (c count) settle(key digest, now time.Time) {
	if c.in == nil {
		return
	}
	a, known := c.in.accounts.Peek(c.at)
	if !known {
		return
	}
	if a.pending[key] > 1 {
		a.pending[key]--
		return
	}
	if delete(a.pending, key); len(a.pending) > 0 {
		return
	}
	a.pending = nil
	if c.in.level(a, now) == 0 {
		c.in.accounts.Remove(c.at) // it says nothing
	}
}

// account is the account, made if need be.
func (c count) account() *account {
	a, known := c.in.accounts.Get(c.at)
	if !known {
		a = &account{}
		c.in.accounts.Add(c.at, a)
	}
	return a
}
