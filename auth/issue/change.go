// SPDX-License-Identifier: Apache-2.0

package issue

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"roundhouse/auth"
	"roundhouse/internal/errs"
)

// List returns the records of a user, or of everybody for "", oldest first.
func (i *Issuer) List(user string) []Record {
	var all []Record
	for _, e := range i.entries(user) {
		r := i.current(e)
		r.Used = time.Unix(e.used.Load(), 0).UTC()
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Record) int { return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID)) })
	return all
}

// Renew slides the token of the caller as if a session of its were open, and
// returns until when it is good now.
func (i *Issuer) Renew(ctx context.Context, by auth.Identity) (time.Time, error) {
	e, r, known := i.find(by.Token)
	switch {
	case by.Lapsed:
		return time.Time{}, auth.Expired(by)
	case !known:
		return time.Time{}, unknown(by.Token)
	case r.Name != "":
		return r.Until(), nil
	}
	until := i.slide(e, time.Now(), 0)
	return until, i.save(ctx, e)
}

// Revoke ends a token of the caller, or of anybody for an administrator, and
// those that it asked for. A token of somebody else is unknown. It holds at
// once; it is durable, and other gateways hear of it, when Revoke returns without an error
// about the store.
func (i *Issuer) Revoke(ctx context.Context, by auth.Identity, id string) error {
	e, r, err := i.lookup(ctx, id)
	if err != nil {
		return err
	}
	if e == nil || r.User != by.User && !by.Admin {
		return unknown(id)
	}
	_, err = i.revoke(ctx, by, func() []*entry { return []*entry{e} })
	return err
}

// RevokeUser ends every token of a user, in any case of letters, and those that
// the user made for others. It says how many were good. An empty by carries out
// what was asked of another gateway, which tells of it.
func (i *Issuer) RevokeUser(ctx context.Context, by auth.Identity, user string) (int, error) {
	return i.revoke(ctx, by, func() (first []*entry) {
		for _, e := range i.byID {
			if strings.EqualFold(e.User, user) || strings.EqualFold(e.By, user) {
				first = append(first, e)
			}
		}
		return first
	})
}

// revoke ends those that the function finds under the lock, and all that they
// asked for. It goes on when its caller does not wait any more.
func (i *Issuer) revoke(ctx context.Context, by auth.Identity, find func() []*entry) (good int, err error) {
	now := time.Now().UTC()
	fallen, fresh := i.fell(find, now)
	for _, r := range fresh {
		if r.good(now) {
			good++
		}
		i.o.Log.Info("token revoked", "token", r.ID, "user", r.User, "name", r.Name, "by", cmp.Or(by.RealUser, elsewhere))
		if by.User != "" {
			i.o.Changed(by, r, true)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	if _, err := inParallel(fallen, func(e *entry) error { return i.save(ctx, e) }); err != nil {
		i.owed.Store(true)
		return good, notStored(err)
	}
	return good, nil
}

// notStored says what holds of a revocation that the store has not taken.
func notStored(err error) error {
	class := errs.OutOfResources
	if errs.Is(err, errs.StoreAway) {
		class = errs.StoreAway
	}
	return errs.Wrap(class, err, "What was revoked counts at this gateway, but is not stored yet. Until it is, which is tried every %s, "+
		"other gateways accept it, and so does this one after a restart.", retry)
}

// fell marks tokens and all that they asked for at one moment, so that none has
// children meanwhile. fresh are the records of those that were not revoked yet,
// as they were.
func (i *Issuer) fell(find func() []*entry, now time.Time) (fallen []*entry, fresh []Record) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fellLocked(find(), now)
}

// fellLocked is fell for those who hold the lock.
func (i *Issuer) fellLocked(next []*entry, now time.Time) (fallen []*entry, fresh []Record) {
	seen := map[*entry]bool{}
	for len(next) > 0 {
		e := next[len(next)-1]
		next = next[:len(next)-1]
		if seen[e] {
			continue
		}
		seen[e] = true
		fallen = append(fallen, e)
		for child := range i.byParent[e.ID] {
			next = append(next, child)
		}
		if e.Revoked.IsZero() {
			fresh = append(fresh, e.Record)
			e.Revoked, e.unsaved = now, true
		}
	}
	return fallen, fresh
}

func unknown(id string) error { return errs.New(errs.NotFound, "There is no token %.40q.", id) }
