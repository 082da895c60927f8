// SPDX-License-Identifier: Apache-2.0

package issue

import (
	"context"
	"log/slog"
	"slices"
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

// tend goes through all records once, and writes those that need it.
func (i *Issuer) tend(ctx context.Context) outcome {
	now := time.Now()
	return i.write(ctx, func(e *entry) bool { return i.update(e, now) }, func(ctx context.Context, e *entry) error {
		if i.over(i.current(e), now) {
			return i.remove(ctx, e)
		}
		return i.save(ctx, e)
	})
}

// pay writes revocations that the store may lack.
func (i *Issuer) pay(ctx context.Context) outcome {
	if !i.owed.Swap(false) {
		return outcome{}
	}
	o := i.write(ctx, func(e *entry) bool {
		i.mu.RLock()
		defer i.mu.RUnlock()
		return e.unsaved && !e.Revoked.IsZero()
	}, i.save)
	if o.err != nil {
		i.owed.Store(true)
	}
	return o
}

// write does something with all entries that are due.
func (i *Issuer) write(ctx context.Context, due func(*entry) bool, do func(context.Context, *entry) error) (o outcome) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	all := slices.DeleteFunc(i.entries(""), func(e *entry) bool { return !due(e) })
	o.due = len(all)
	o.failed, o.err = inParallel(all, func(e *entry) error { return do(ctx, e) })
	return o
}

// outcome is how writing went.
type outcome struct {
	due    int
	failed int64
	err    error
}

// faults logs the first of a row of failures, and the end of the row.
type faults struct{ last bool }

func (f *faults) report(log *slog.Logger, o outcome) {
	switch {
	case o.err != nil && !f.last:
		log.Warn("records of tokens could not be written, they are tried again until they are", "records", o.failed, "error", o.err)
	case o.err == nil && o.due > 0 && f.last:
		log.Info("records of tokens are written again")
	}
	f.last = o.err != nil || o.due == 0 && f.last
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
	if used := e.used.Load(); used > e.Used.Unix() {
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

// remove deletes a record that serves for nothing any more, and forgets it. If
// another gateway, whom this one did not hear, has let the token slide, it stays.
func (i *Issuer) remove(ctx context.Context, e *entry) error {
	if err := e.take(ctx); err != nil {
		return err
	}
	defer e.leave()
	r, found, err := i.o.Store.GetToken(ctx, e.ID)
	if err != nil {
		return err
	}
	if found {
		i.learn(r)
	}
	if i.end(i.current(e)).After(time.Now()) {
		return nil
	}
	if err := i.o.Store.DeleteToken(ctx, e.ID); err != nil {
		return err
	}
	i.drop(e)
	return nil
}
