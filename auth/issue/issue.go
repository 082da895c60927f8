// SPDX-License-Identifier: Apache-2.0

// Package issue makes the tokens of this gateway and is the method that accepts
// them. A token is rht_ and a compact JWS (RFC 7515) with HMAC-SHA256, whose key
// is derived from the cluster secret, so every gateway that has the secret can
// verify it. What changes about a token (it slides, it is revoked) is a record
// in a store, and a token without a record is worth nothing.
//
// Tokens without a name are for people: they slide while a session of theirs is
// open. Tokens with a name are for jobs and end when they said they would.
package issue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// grain is how precisely the last use of a token is kept, and how often
	// records are looked through.
	grain = time.Minute
	// reload is how often the cluster secret is read again.
	reload = 2 * time.Second
	// perUser bounds the tokens of a user that are good.
	perUser = 1000
	// remembered is how long the record of a token outlives it, for who asks why
	// it does not work any more.
	remembered = 24 * time.Hour
	// storeTime bounds a write that no caller waits for.
	storeTime = 10 * time.Second
)

// Record is what a store keeps of a token, never the token itself.
type Record struct {
	ID   string
	User string
	// Name is set for tokens of jobs.
	Name string
	// Hash is the SHA-256 of the token in hex.
	Hash string
	// Method is how the user had come in.
	Method string
	// Scope are the doors that the token opens.
	Scope []string
	// Parent is the id of the token that asked for this one, and falls with it.
	Parent string
	// Created, Expires and Last are those of the token: it expires at Expires if it
	// never slides, and at Last in any case.
	Created, Expires, Last time.Time
	// SlidUntil is later than Expires once the token has slid.
	SlidUntil time.Time
	// Revoked is zero for a good token.
	Revoked time.Time
	// Used is when the token came in last, to a minute; zero if never.
	Used time.Time
}

// Until is when the token stops being good if it slides no further.
func (r Record) Until() time.Time {
	if r.SlidUntil.After(r.Expires) {
		return r.SlidUntil
	}
	return r.Expires
}

// good says whether the token can be used.
func (r Record) good(now time.Time) bool { return r.Revoked.IsZero() && now.Before(r.Until()) }

// Store keeps records. What PutToken returned for is durable.
type Store interface {
	PutToken(ctx context.Context, r Record) error
	// DeleteToken of an absent record is no error.
	DeleteToken(ctx context.Context, id string) error
	Tokens(ctx context.Context) ([]Record, error)
}

// Options are all required unless noted.
type Options struct {
	// Secrets reads the cluster secret, and those before it that still count; the
	// first one signs.
	Secrets func() ([][]byte, error)
	Store   Store
	// Lifetime is how long a token of a person is good, and by how much it slides;
	// SlideMax is when it ends in any case, both from its making.
	Lifetime, SlideMax time.Duration
	// JobLifetime is the longest life of a token with a name.
	JobLifetime time.Duration
	// Grace is how long an expired token serves to go on with what was begun.
	Grace time.Duration
	// Denied says, with an error, that a user may not use the gateway. May be nil.
	Denied func(user string) error
	// Open says whether a session is open, whose id is that of its user.
	Open func(user, session string) bool
	// Renew is where people get tokens, a URL.
	Renew string
	Log   *slog.Logger
}

// Issuer makes and checks tokens. It is safe for concurrent use.
type Issuer struct {
	o    Options
	keys atomic.Pointer[keyring]

	mu sync.RWMutex
	// byID has every record of the store; entries are replaced, never changed.
	byID map[string]*entry
}

// entry is a record with what is known in memory only. Its record is replaced
// under the issuer's lock.
type entry struct {
	Record
	// used is the last use in epoch seconds, saved what the store has of it.
	used, saved atomic.Int64
	// sessions are those that the token was last seen with.
	sessions sync.Map
	// many counts them.
	many atomic.Int64
}

// New reads the records. It is an error if the store or the secret cannot be
// read.
func New(ctx context.Context, o Options) (*Issuer, error) {
	i := &Issuer{o: o, byID: map[string]*entry{}}
	if o.Denied == nil {
		i.o.Denied = func(string) error { return nil }
	}
	if err := i.loadKeys(); err != nil {
		return nil, err
	}
	records, err := o.Store.Tokens(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the tokens that were issued before: %w", err)
	}
	for _, r := range records {
		i.byID[r.ID] = newEntry(r)
	}
	return i, nil
}

func newEntry(r Record) *entry {
	e := &entry{Record: r}
	if !r.Used.IsZero() {
		e.used.Store(r.Used.Unix())
		e.saved.Store(r.Used.Unix())
	}
	return e
}

// Run slides, saves and sweeps records, and reads changed secrets, until ctx ends.
func (i *Issuer) Run(ctx context.Context) error {
	tend, keys := time.NewTicker(min(grain, i.o.Lifetime/4)), time.NewTicker(reload)
	defer tend.Stop()
	defer keys.Stop()
	reported := ""
	for {
		select {
		case <-ctx.Done():
			i.tend(context.WithoutCancel(ctx)) // the last uses are not lost
			return nil
		case <-tend.C:
			i.tend(ctx)
		case <-keys.C:
			reported = i.reloadKeys(reported)
		}
	}
}

func (i *Issuer) loadKeys() error {
	secrets, err := i.o.Secrets()
	if err == nil && len(secrets) == 0 {
		err = errors.New("there is no cluster secret")
	}
	if err != nil {
		return fmt.Errorf("the key that signs tokens: %w", err)
	}
	if ring := i.keys.Load(); ring == nil || !slices.EqualFunc(ring.secrets, secrets, bytes.Equal) {
		i.keys.Store(newKeyring(secrets))
	}
	return nil
}

// reloadKeys returns the fault that it found, which is logged once.
func (i *Issuer) reloadKeys(reported string) string {
	before := i.keys.Load().ids()
	if err := i.loadKeys(); err != nil {
		if err.Error() != reported {
			i.o.Log.Error("the cluster secret cannot be read, the keys read before go on", "error", err)
		}
		return err.Error()
	}
	if now := i.keys.Load().ids(); now != before {
		i.o.Log.Info("the keys that sign tokens have changed", "keys", now)
	}
	return ""
}

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
	i.mu.Lock()
	delete(i.byID, e.ID)
	i.mu.Unlock()
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

// put changes a record in memory at once, and then in the store.
func (i *Issuer) put(ctx context.Context, e *entry, change func(*Record)) error {
	i.mu.Lock()
	change(&e.Record)
	r := e.Record
	i.mu.Unlock()
	return i.o.Store.PutToken(ctx, r)
}

func (i *Issuer) current(e *entry) Record {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return e.Record
}

func (i *Issuer) find(id string) (*entry, Record, bool) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	e := i.byID[id]
	if e == nil {
		return nil, Record{}, false
	}
	return e, e.Record, true
}

func (i *Issuer) entries() []*entry {
	i.mu.RLock()
	defer i.mu.RUnlock()
	all := make([]*entry, 0, len(i.byID))
	for _, e := range i.byID {
		all = append(all, e)
	}
	return all
}
