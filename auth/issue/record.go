// SPDX-License-Identifier: Apache-2.0

package issue

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
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
	// Parent is the id of the token that asked for this one, which falls with it.
	Parent string
	// By is the user who asked for the token.
	By string
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

// entry is a record with what is known in memory only.
type entry struct {
	// Record is replaced in parts under the issuer's lock: SlidUntil, Revoked and Used.
	Record
	// unsaved says, under the same lock, that the store has it otherwise.
	unsaved bool
	// turn has who writes the record to the store, or deletes it there.
	turn chan struct{}
	// used is the last use in epoch seconds.
	used atomic.Int64
	// sessions are those that the token was last seen with, by place.
	sessions sync.Map
	// many counts them.
	many atomic.Int64
	// proof is nil until the token itself came in.
	proof atomic.Pointer[proof]
}

// take waits for the turn to write the record; leave gives it back.
func (e *entry) take(ctx context.Context) error {
	select {
	case e.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (e *entry) leave() { <-e.turn }

// place is a session and whose it is.
type place struct{ user, session string }

// proof is what a good signature said, under the keys of its time.
type proof struct {
	ring *keyring
	told claims
}

// index finds entries by what several have in common.
type index map[string]map[*entry]bool

func (x index) add(key string, e *entry) {
	if x[key] == nil {
		x[key] = map[*entry]bool{}
	}
	x[key][e] = true
}

func (x index) remove(key string, e *entry) {
	if delete(x[key], e); len(x[key]) == 0 {
		delete(x, key)
	}
}

// insert takes a record into memory. The caller holds the lock.
func (i *Issuer) insert(r Record) *entry {
	e := &entry{Record: r, turn: make(chan struct{}, 1)}
	e.used.Store(r.Used.Unix())
	i.byID[r.ID], i.byHash[r.Hash] = e, e
	i.byUser.add(r.User, e)
	i.byParent.add(r.Parent, e)
	return e
}

// drop forgets an entry.
func (i *Issuer) drop(e *entry) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.byID, e.ID)
	delete(i.byHash, e.Hash)
	i.byUser.remove(e.User, e)
	i.byParent.remove(e.Parent, e)
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

// read verifies a token, once for each set of keys if it has a record.
func (i *Issuer) read(text, hash string) (claims, error) {
	ring := i.keys.Load()
	i.mu.RLock()
	e := i.byHash[hash]
	i.mu.RUnlock()
	if e == nil {
		return ring.verify(text)
	}
	if p := e.proof.Load(); p != nil && p.ring == ring {
		return p.told, nil
	}
	told, err := ring.verify(text)
	if err == nil {
		e.proof.Store(&proof{ring, told})
	}
	return told, err
}

// entries are those of a user, or all for "".
func (i *Issuer) entries(user string) []*entry {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if user == "" {
		return slices.Collect(maps.Values(i.byID))
	}
	return slices.Collect(maps.Keys(i.byUser[user]))
}
