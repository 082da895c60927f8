// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"sync"
	"time"
)

const (
	// period is how long a count holds.
	period = time.Minute
	// perPeriod is how many lines one source gets in that time.
	perPeriod = 20
	// maxSources is how many sources are told apart; those beyond share one.
	maxSources = 10_000
)

// quota bounds what one source can write in a minute.
type quota struct {
	now func() time.Time

	mu      sync.Mutex
	began   time.Time
	sources map[string]*used
}

// used is what a source has written, and what was not written of it. A source
// that is old was silent for a period.
type used struct {
	written, unwritten int
	old                bool
}

func newQuota() *quota { return &quota{now: time.Now, sources: map[string]*used{}} }

// take asks for a line of a source, which may have most of them in a period. It
// says how many were refused before, for the line that tells of them. All
// sources beyond maxSources share one.
func (q *quota) take(source string, most int) (unwritten int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now := q.now(); now.Sub(q.began) >= period {
		q.began = now
		q.renew()
	}
	u := q.sources[source]
	if u == nil {
		if len(q.sources) >= maxSources {
			source = ""
		}
		if u = q.sources[source]; u == nil {
			u = &used{}
			q.sources[source] = u
		}
	}
	if u.written >= most {
		u.unwritten++
		return 0, false
	}
	u.written, u.old = u.written+1, false
	unwritten, u.unwritten = u.unwritten, 0
	return unwritten, true
}

// renew begins a period. Who lost lines is remembered for one more, to tell of
// them.
func (q *quota) renew() {
	for source, u := range q.sources {
		if u.unwritten == 0 || u.old {
			delete(q.sources, source)
			continue
		}
		u.written, u.old = 0, true
	}
}
