// SPDX-License-Identifier: Apache-2.0

package session

import (
	"slices"

	lru "github.com/hashicorp/golang-lru/v2"

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

// unlimited says whether the sessions of user are not counted.
func (l Limits) unlimited(user string) bool { return slices.Contains(l.Unlimited, user) }

// count says whether some limit counts sessions of user.
func (l Limits) count(user string) bool {
	return !l.unlimited(user) && (l.PerAddress > 0 || l.PerUserAddress > 0 || l.PerUser != nil && l.PerUser(user) > 0)
}

// pair is a user at an address; one of both is empty where only the other counts.
type pair struct{ user, address string }

// book holds the live sessions, those of all gateways, and counts them. A session is
// counted once, by count, and end takes that back, so counts are right on every path.
type book struct {
	limits   Limits
	sessions map[Key]*Session
	// openedBy finds the user of a session by who opened it and its id.
	openedBy map[Key]string
	// counted are the sessions that count, in counts and, by engine space, in spaces.
	counted map[*Session]bool
	counts  map[pair]int
	spaces  map[string]int
	// used says which of so many uses was the last one of an engine space: each session
	// of any gateway is one.
	used *lru.Cache[string, uint64]
	uses uint64
}

// usesKept bounds the engine spaces whose use is remembered.
const usesKept = 10_000

func newBook(l Limits) (book, error) {
	used, err := lru.New[string, uint64](usesKept)
	return book{
		limits: l, sessions: map[Key]*Session{}, openedBy: map[Key]string{},
		counted: map[*Session]bool{}, counts: map[pair]int{}, spaces: map[string]int{}, used: used,
	}, err
}

// room refuses one more session of user from address beyond a limit.
func (b *book) room(user, address string) error {
	if b.limits.unlimited(user) {
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
}

// end ends s, once, and gives its place back at that moment: who hears of the end may
// come with the next session. Its id stays taken until remove.
func (b *book) end(s *Session, e *End) (Lease, bool) {
	lease, first := s.finish(e)
	if first && b.counted[s] {
		b.add(s, -1)
		delete(b.counted, s)
	}
	return lease, first
}

func (b *book) remove(s *Session) {
	if b.sessions[s.Key] == s {
		delete(b.sessions, s.Key)
		delete(b.openedBy, Key{s.OpenedBy(), s.ID})
	}
}

// count counts s, which has not ended.
func (b *book) count(s *Session) {
	b.add(s, 1)
	b.counted[s] = true
	b.uses++
	b.used.Add(s.Plan.Spec.Path(), b.uses)
}

func (b *book) add(s *Session, n int) {
	change(b.spaces, s.Plan.Spec.Path(), n)
	if b.limits.unlimited(s.User) {
		return
	}
	change(b.counts, pair{s.User, ""}, n)
	if address := netaddr.Network(s.Address); address != "" {
		change(b.counts, pair{s.User, address}, n)
		change(b.counts, pair{"", address}, n)
	}
}

// change adds n to a count, and forgets one that is zero.
func change[K comparable](counts map[K]int, k K, n int) {
	counts[k] += n
	if counts[k] == 0 {
		delete(counts, k)
	}
}

// choose is the member of its pool that a session with the plan p gets.
func (b *book) choose(p Plan) int {
	counts, used := make([]int, p.Pool.Size), make([]uint64, p.Pool.Size)
	for i := range counts {
		p.Spec.Subdomain = p.Pool.Subdomain(i)
		counts[i] = b.spaces[p.Spec.Path()]
		used[i], _ = b.used.Get(p.Spec.Path())
	}
	return p.Pool.choose(counts, used)
}
