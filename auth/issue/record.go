// SPDX-License-Identifier: Apache-2.0

package issue

import (
	"context"
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
	// proof is nil until the token itself came in.
	proof atomic.Pointer[proof]
}

// proof is what a good signature said, under the keys of its time.
type proof struct {
	ring *keyring
	told claims
}

func newEntry(r Record) *entry {
	e := &entry{Record: r}
	if !r.Used.IsZero() {
		e.used.Store(r.Used.Unix())
		e.saved.Store(r.Used.Unix())
	}
	return e
}

// insert takes a record into memory. The caller holds the lock.
func (i *Issuer) insert(r Record) {
	e := newEntry(r)
	i.byID[r.ID], i.byHash[r.Hash] = e, e
}

// drop forgets a record.
func (i *Issuer) drop(r Record) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.byID, r.ID)
	delete(i.byHash, r.Hash)
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

func (i *Issuer) entries() []*entry {
	i.mu.RLock()
	defer i.mu.RUnlock()
	all := make([]*entry, 0, len(i.byID))
	for _, e := range i.byID {
		all = append(all, e)
	}
	return all
}
