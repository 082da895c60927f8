// SPDX-License-Identifier: Apache-2.0

package issue

import (
	"context"
	"time"
)

// tend goes through all records once.
func (i *Issuer) tend(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	now := time.Now()
	for _, e := range i.entries() {
		var err error
		if i.over(e.Record, now) {
			err = i.remove(ctx, e)
		} else {
			err = i.update(ctx, e, now)
		}
		if err != nil {
			i.o.Log.Warn("the record of a token could not be written, it is tried again", "token", e.ID, "user", e.User, "error", err)
		}
	}
}

// over says whether nobody needs the record any more.
func (i *Issuer) over(r Record, now time.Time) bool {
	end := r.Until()
	if !r.Revoked.IsZero() {
		end = r.Revoked
	}
	return now.After(end.Add(i.o.Grace + remembered))
}

func (i *Issuer) remove(ctx context.Context, e *entry) error {
	i.drop(i.current(e))
	return i.o.Store.DeleteToken(ctx, e.ID)
}

// update slides a token that has an open session, and saves when it was used.
func (i *Issuer) update(ctx context.Context, e *entry, now time.Time) error {
	r, changed := i.current(e), false
	if r.good(now) && r.Name == "" && i.inUse(e) {
		changed = slide(&r, now, (r.Expires.Sub(r.Created))/slideSteps)
	}
	if used := e.used.Load(); used != e.saved.Load() {
		r.Used, changed = time.Unix(used, 0).UTC().Truncate(grain), true
		e.saved.Store(used)
	}
	if !changed {
		return nil
	}
	return i.put(ctx, e, func(now *Record) { now.SlidUntil, now.Used = r.SlidUntil, r.Used })
}

// slideSteps is how often at most a record is written within a lifetime for
// the token's sliding.
const slideSteps = 12

// slide moves the end of a token to a lifetime from now, if that gains more
// than the least, or all that can be gained.
func slide(r *Record, now time.Time, least time.Duration) bool {
	end := now.Add(r.Expires.Sub(r.Created))
	if end.After(r.Last) {
		end = r.Last
	}
	gain := end.Sub(r.Until())
	if gain <= 0 || gain < least && !end.Equal(r.Last) {
		return false
	}
	r.SlidUntil = end.UTC()
	return true
}
