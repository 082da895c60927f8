// SPDX-License-Identifier: Apache-2.0

package issue

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"roundhouse/internal/errs"
	"roundhouse/internal/recall"
)

// askTime bounds a question to the store while a caller waits.
const askTime = 3 * time.Second

// errNone says that the store has no such record.
var errNone = errors.New("no record of this token")

// with is the record with what the store has: a revocation never goes away, and the
// other moments only grow.
func (r Record) with(stored Record) Record {
	if !stored.Revoked.IsZero() {
		r.Revoked = stored.Revoked
	}
	if stored.SlidUntil.After(r.SlidUntil) {
		r.SlidUntil = stored.SlidUntil
	}
	if stored.Used.After(r.Used) {
		r.Used = stored.Used
	}
	return r
}

// same says whether two states of a record are equal.
func (r Record) same(as Record) bool {
	return r.Revoked.Equal(as.Revoked) && r.SlidUntil.Equal(as.SlidUntil) && r.Used.Equal(as.Used)
}

// raise sets a moment unless it is later already.
func raise(moment *atomic.Int64, to int64) {
	for {
		now := moment.Load()
		if now >= to || moment.CompareAndSwap(now, to) {
			return
		}
	}
}

// newQuestions asks the store about tokens that no record is known of. That there
// is none is remembered for a while.
func newQuestions(store Store) *recall.Memory[Record] {
	return &recall.Memory[Record]{Timeout: askTime, Ask: func(ctx context.Context, id string) (Record, error) {
		r, found, err := store.GetToken(ctx, id)
		if err == nil && !found {
			err = errNone
		}
		return r, err
	}}
}

// lookup finds a record in memory or, as another gateway may have issued the token
// a moment ago, in the store. The entry is nil if there is none; an error says that
// the store cannot be asked.
func (i *Issuer) lookup(ctx context.Context, id string) (*entry, Record, error) {
	if e, r, known := i.find(id); known || uuid.Validate(id) != nil {
		return e, r, nil
	}
	r, err := i.questions.Get(ctx, id)
	if errors.Is(err, errNone) {
		return nil, Record{}, nil
	}
	if err != nil {
		return nil, Record{}, errs.Wrap(errs.AuthUnavailable, err,
			"Token %s is not known at this gateway, and what the others know of it cannot be read at the moment. Try again in a minute.", id)
	}
	e := i.learn(r)
	return e, i.current(e), nil
}

// told hears of each record that a gateway writes, or that it is gone.
func (i *Issuer) told(r Record, gone bool) {
	if !gone {
		i.learn(r)
		return
	}
	if e, _, known := i.find(r.ID); known {
		i.drop(e)
	}
}

// learn takes in what the store has of a token. What memory has beyond that is
// written again. The token falls if its parent has, and takes along what it asked for.
func (i *Issuer) learn(r Record) *entry {
	e, fallen := i.merge(r)
	for _, f := range fallen {
		i.o.Log.Info("token revoked", "token", f.ID, "user", f.User, "name", f.Name, "by", elsewhere)
	}
	return e
}

// elsewhere stands in the log for who did something at another gateway.
const elsewhere = "another gateway"

// merge is learn without the log; fallen are the records that were not revoked so far.
func (i *Issuer) merge(r Record) (e *entry, fallen []Record) {
	i.mu.Lock()
	defer i.mu.Unlock()
	e = i.byID[r.ID]
	if e == nil {
		e = i.insert(r)
	}
	before, now := e.Record, e.with(r)
	e.Revoked, e.SlidUntil, e.Used = now.Revoked, now.SlidUntil, now.Used
	e.unsaved = !now.same(r)
	raise(&e.used, now.Used.Unix())
	if before.Revoked.IsZero() && !now.Revoked.IsZero() {
		fallen = append(fallen, before)
	}
	parent := i.byID[r.Parent]
	if !now.Revoked.IsZero() || parent != nil && !parent.Revoked.IsZero() {
		_, more := i.fellLocked([]*entry{e}, time.Now().UTC())
		fallen = append(fallen, more...)
	}
	if len(fallen) > 0 || e.unsaved && !e.Revoked.IsZero() {
		i.owed.Store(true)
	}
	return e, fallen
}
