// SPDX-License-Identifier: Apache-2.0

package issue

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// writers bounds the writes at once; the store makes them durable together.
	writers = 64
	// slideSteps is how often at most a record is written within a lifetime for
	// the token's sliding.
	slideSteps = 12
)

// tend goes through all records once.
func (i *Issuer) tend(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	now := time.Now()
	var due []*entry
	for _, e := range i.entries("") {
		if i.update(e, now) {
			due = append(due, e)
		}
	}
	failed, err := inParallel(due, func(e *entry) error {
		if i.over(i.current(e), now) {
			return i.remove(ctx, e)
		}
		return i.save(ctx, e)
	})
	if err != nil {
		i.o.Log.Warn("records of tokens could not be written, they are tried again", "records", failed, "error", err)
	}
}

// inParallel does something with all entries, and returns for how many it failed and
// the first error.
func inParallel(all []*entry, do func(*entry) error) (failed int64, err error) {
	var group errgroup.Group // waited for below
	group.SetLimit(writers)
	var faults atomic.Int64
	for _, e := range all {
		group.Go(func() error {
			err := do(e)
			if err != nil {
				faults.Add(1)
			}
			return err
		})
	}
	err = group.Wait()
	return faults.Load(), err
}

// end is from when on the token serves for nothing.
func (i *Issuer) end(r Record) time.Time {
	if !r.Revoked.IsZero() {
		return r.Revoked
	}
	return r.Until().Add(i.o.Grace)
}

// over says whether nobody needs the record any more.
func (i *Issuer) over(r Record, now time.Time) bool { return now.After(i.end(r).Add(remembered)) }

// update slides a token that has an open session and notes when it was used. It
// says whether the store is to hear of the record.
func (i *Issuer) update(e *entry, now time.Time) bool {
	if i.inUse(e) {
		i.slide(e, now, e.Expires.Sub(e.Created)/slideSteps)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if used := e.used.Load(); used != e.Used.Unix() {
		e.Used, e.unsaved = time.Unix(used, 0).UTC(), true
	}
	return e.unsaved || i.over(e.Record, now)
}

// slide moves the end of a token that is good to a lifetime from now, if that
// gains more than the least, or all that can be gained. It returns the end.
func (i *Issuer) slide(e *entry, now time.Time, least time.Duration) time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	end := now.Add(e.Expires.Sub(e.Created))
	if end.After(e.Last) {
		end = e.Last
	}
	gain := end.Sub(e.Until())
	if e.good(now) && gain > 0 && (gain >= least || end.Equal(e.Last)) {
		e.SlidUntil, e.unsaved = end.UTC(), true
	}
	return e.Until()
}

// save stores a record that the store has otherwise. One at a time writes it and
// takes it as it is then, so what is stored last is what holds.
func (i *Issuer) save(ctx context.Context, e *entry) error {
	if err := e.take(ctx); err != nil {
		return err
	}
	defer e.leave()
	i.mu.Lock()
	r, needed := e.Record, e.unsaved && i.byID[e.ID] == e
	e.unsaved = false
	i.mu.Unlock()
	if !needed {
		return nil
	}
	err := i.o.Store.PutToken(ctx, r)
	if err != nil {
		i.mu.Lock()
		e.unsaved = true
		i.mu.Unlock()
	}
	return err
}

// remove deletes a record and forgets it.
func (i *Issuer) remove(ctx context.Context, e *entry) error {
	if err := e.take(ctx); err != nil {
		return err
	}
	defer e.leave()
	if err := i.o.Store.DeleteToken(ctx, e.ID); err != nil {
		return err
	}
	i.drop(e)
	return nil
}
