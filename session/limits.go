// SPDX-License-Identifier: Apache-2.0

package session

import (
	"slices"

	"roundhouse/conf"
	"roundhouse/internal/errs"
	"roundhouse/internal/netaddr"
)

// Limits say who may have sessions, and how many. For the counts 0 means any
// number.
type Limits struct {
	// PerUser is how many sessions a user may have; nil means any number.
	PerUser func(user string) int
	// PerAddress is how many sessions may be open from one address (of IPv6: one
	// network of /64), PerUserAddress how many of one user from it.
	PerAddress, PerUserAddress int
	// Unlimited are users whose sessions are not counted.
	Unlimited []string
	// DeniedUsers and DeniedAddresses may have none, whatever Unlimited says.
	DeniedUsers, DeniedAddresses []string
}

// Denied refuses users and addresses that a deny list names; the address may
// be empty.
func (l Limits) Denied(user, address string) error {
	if slices.Contains(l.DeniedUsers, user) {
		return errs.New(errs.PermissionDenied, "User %s may not use this gateway (%s). Ask its administrator.", user, conf.LimitDeniedUsers.Key)
	}
	if slices.Contains(l.DeniedAddresses, netaddr.Plain(address)) {
		return errs.New(errs.PermissionDenied, "Nobody may use this gateway from %s (%s). Ask its administrator.", address, conf.LimitDeniedAddresses.Key)
	}
	return nil
}

// pair is a user at an address; one of both is empty where only the other counts.
type pair struct{ user, address string }

// book holds the live sessions and counts them. Counts change in put and end and
// nowhere else, so they are right on every path.
type book struct {
	limits   Limits
	sessions map[Key]*Session
	// openedBy finds the user of a session by who opened it and its id.
	openedBy map[Key]string
	counts   map[pair]int
}

func newBook(l Limits) book {
	return book{limits: l, sessions: map[Key]*Session{}, openedBy: map[Key]string{}, counts: map[pair]int{}}
}

// room refuses one more session of user from address beyond a limit.
func (b *book) room(user, address string) error {
	if slices.Contains(b.limits.Unlimited, user) {
		return nil
	}
	address = netaddr.Network(address)
	perUser := 0
	if b.limits.PerUser != nil {
		perUser = b.limits.PerUser(user)
	}
	const wayOut = "End one of them (spark.stop(), or DELETE /api/v1/sessions/<id>)."
	if n := b.counts[pair{user, ""}]; perUser > 0 && n >= perUser {
		return errs.New(errs.LimitExceeded, "User %s has %d sessions open and may have %d (%s). %s",
			user, n, perUser, conf.LimitSessionsPerUser.Key, wayOut)
	}
	if n, most := b.counts[pair{user, address}], b.limits.PerUserAddress; most > 0 && address != "" && n >= most {
		return errs.New(errs.LimitExceeded, "User %s has %d sessions open from %s and may have %d from one address (%s). %s",
			user, n, address, most, conf.LimitSessionsPerUserAddress.Key, wayOut)
	}
	if n, most := b.counts[pair{"", address}], b.limits.PerAddress; most > 0 && address != "" && n >= most {
		return errs.New(errs.LimitExceeded, "%d sessions are open from %s and %d may be from one address (%s). "+
			"Wait until some of them end, or end own ones (spark.stop(), or DELETE /api/v1/sessions/<id>).",
			n, address, most, conf.LimitSessionsPerAddress.Key)
	}
	return nil
}

func (b *book) put(s *Session) {
	b.sessions[s.Key] = s
	b.openedBy[Key{s.OpenedBy(), s.ID}] = s.User
	b.count(s, 1)
}

// end ends the session of k, once, and gives its place back at that moment: who
// hears of the end may come with the next session. Its id stays taken until
// remove.
func (b *book) end(k Key, e *End) (Lease, bool) {
	s := b.sessions[k]
	if s == nil {
		return nil, false
	}
	lease, first := s.finish(e)
	if first {
		b.count(s, -1)
	}
	return lease, first
}

func (b *book) remove(k Key) {
	if s := b.sessions[k]; s != nil {
		delete(b.sessions, k)
		delete(b.openedBy, Key{s.OpenedBy(), s.ID})
	}
}

// count adds n where s counts, and forgets counts that are zero.
func (b *book) count(s *Session, n int) {
	if slices.Contains(b.limits.Unlimited, s.User) {
		return
	}
	counted := []pair{{s.User, ""}}
	if address := netaddr.Network(s.Address); address != "" {
		counted = append(counted, pair{s.User, address}, pair{"", address})
	}
	for _, p := range counted {
		b.counts[p] += n
		if b.counts[p] == 0 {
			delete(b.counts, p)
		}
	}
}
