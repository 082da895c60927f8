// SPDX-License-Identifier: Apache-2.0

package throttle

import (
	"math"
	"time"
)

// account counts the failures of an address, or of a user at one. A nil one has
// no limit.
type account struct {
	free    int     // failures that cost nothing
	share   float64 // what an attempt under way counts for, in failures
	longest time.Duration

	level float64 // failures not yet forgotten
	// until is the end of the wait, or the time of the last failure if that cost
	// none. Forgetting begins then.
	until time.Time
	// pending counts attempts under way by their credentials: equal ones are one guess.
	pending map[digest]int
}

// wait is how long an attempt with credentials key has to wait; 0 lets it
// through. Beyond the limit guesses are looked at one at a time, so that many at
// once are no way around it.
func (a *account) wait(now time.Time, key digest) time.Duration {
	if a == nil {
		return 0
	}
	if wait := a.until.Sub(now); wait > 0 {
		return wait
	}
	others := len(a.pending)
	if a.pending[key] > 0 || others == 0 || a.now(now)+a.share*float64(others) < float64(a.free) {
		return 0
	}
	return firstWait
}

// fail counts a failure.
func (a *account) fail(now time.Time) {
	if a == nil {
		return
	}
	a.level = a.now(now) + 1
	if a.until.Before(now) {
		a.until = now
	}
	beyond := a.level - float64(a.free)
	if beyond <= 0 {
		return
	}
	wait := firstWait.Seconds() * math.Exp2(math.Ceil(beyond)-1)
	if limit := a.longest.Seconds(); wait > limit {
		// More failures could not make the wait longer, only the memory of them.
		wait, a.level = limit, a.level-1
	}
	a.until = now.Add(time.Duration(wait * float64(time.Second)))
}

// now is how many failures are not forgotten: after the wait they go evenly, the
// limit's worth in the longest wait.
func (a *account) now(now time.Time) float64 {
	quiet := max(0, now.Sub(a.until))
	return max(0, a.level-float64(a.free)*quiet.Seconds()/a.longest.Seconds())
}

// begin notes an attempt under way, settle ends it.
func (a *account) begin(key digest) {
	if a != nil {
		a.pending[key]++
	}
}

func (a *account) settle(key digest) {
	if a == nil {
		return
	}
	if a.pending[key]--; a.pending[key] <= 0 {
		delete(a.pending, key)
	}
}
