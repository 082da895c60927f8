// SPDX-License-Identifier: Apache-2.0

// Package throttle slows those down who try credentials until some fit.
//
// Failures count for an address, and for a user at an address, never for a user
// alone: whoever fails in alice's name elsewhere cannot keep alice out. Up to a
// limit failures cost nothing; after that each doubles the wait, and meanwhile
// calls are refused before any method sees them.
//
// Two things keep those unaffected who share an address with an attacker. What
// was good before on the same connection always passes. And a user who came in
// from an address before does not wait for what others failed there. Neither
// lets anybody try further passwords, as letting good ones pass everywhere would.
package throttle

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"roundhouse/auth"
	"roundhouse/internal/errs"
)

const (
	// remembered bounds each table, in entries; the ones not used for longest are
	// forgotten first.
	remembered = 20_000
	// firstWait is the wait after the first failure beyond the limit.
	firstWait = time.Second
	// networkBits is how much of an IPv6 address is one customer's.
	networkBits = 64
	// crowd is what an attempt under way counts for at an address, in failures:
	// many people may come at once.
	crowd = 0.25
)

// Options are limits.
type Options struct {
	// UserFailures and AddressFailures are how many failures cost nothing, for one
	// user at one address and for an address; 0 is no limit.
	UserFailures, AddressFailures int
	// LongestWait bounds the wait; without failures all are forgotten after it.
	LongestWait time.Duration
}

// Throttle is an auth.Watcher. Make it with New; it is safe for concurrent use.
type Throttle struct {
	o     Options
	blind []byte // random: what is kept of credentials says nothing about them

	mu sync.Mutex
	// good is what came in, by connection and credentials and as a caller at an
	// address.
	good *simplelru.LRU[string, struct{}]
	// users are keyed by address and user, addresses by the address.
	users, addresses *simplelru.LRU[string, *account]
}

type digest [sha256.Size]byte

// New makes a throttle that has seen nothing yet.
func New(o Options) *Throttle {
	t := &Throttle{o: o, blind: make([]byte, sha256.Size)}
	rand.Read(t.blind)                                                   // never fails (crypto/rand of Go 1.24)
	t.good, _ = simplelru.NewLRU[string, struct{}](remembered, nil)      // fails for a size below one only
	t.users, _ = simplelru.NewLRU[string, *account](remembered, nil)     // as above
	t.addresses, _ = simplelru.NewLRU[string, *account](remembered, nil) // as above
	return t
}

// refusal is the cause of a refusal by this package.
type refusal struct{ wait time.Duration }

func (r refusal) Error() string { return fmt.Sprintf("throttled for %v", r.wait) }

// RetryAfter is when the next attempt is looked at.
func (r refusal) RetryAfter() time.Duration { return r.wait }

// Before implements auth.Watcher. It refuses attempts with LIMIT_EXCEEDED while
// one of their accounts has to wait. Calls without credentials are no attempts.
func (t *Throttle) Before(r auth.Request, c auth.Credentials) error {
	if c.Scheme == "" {
		return nil
	}
	a, now := t.attempt(r, c), time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, proven := t.good.Get(a.connection); proven {
		return nil
	}
	byUser, byAddress := t.accounts(a)
	wait := byUser.wait(now, a.key)
	if _, known := t.good.Get(a.caller); !known {
		wait = max(wait, byAddress.wait(now, a.key))
	}
	if wait > 0 {
		return refused(a, wait)
	}
	byUser.begin(a.key)
	byAddress.begin(a.key)
	return nil
}

func refused(a attempt, wait time.Duration) error {
	seconds := max(1, int(math.Ceil(wait.Seconds())))
	return errs.Wrap(errs.LimitExceeded, refusal{time.Duration(seconds) * time.Second},
		"Too many logins from %s failed, so this one was not looked at. Correct the user name, password or token, "+
			"and try again in %d s; until then further attempts change nothing.", a.network, seconds)
}

// Decided implements auth.Watcher.
func (t *Throttle) Decided(r auth.Request, c auth.Credentials, _ auth.Identity, err error) {
	if c.Scheme == "" || errors.As(err, new(refusal)) {
		return
	}
	a, now := t.attempt(r, c), time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	byUser, byAddress := t.accounts(a)
	byUser.settle(a.key)
	byAddress.settle(a.key)
	switch {
	case err == nil:
		t.succeed(a)
	case errs.Is(err, errs.Unauthenticated):
		byUser.fail(now)
		byAddress.fail(now)
		t.good.Remove(a.connection)
	}
}

// succeed forgets what a user failed at an address. What the address failed
// stays: who has an account must not thereby get more guesses at others.
func (t *Throttle) succeed(a attempt) {
	t.users.Remove(a.user)
	if a.scheme != auth.SchemeNegotiate { // each of these is used once
		t.good.Add(a.connection, struct{}{})
		t.good.Add(a.caller, struct{}{})
	}
}

// accounts are what an attempt counts for; nil where there is no limit.
func (t *Throttle) accounts(a attempt) (byUser, byAddress *account) {
	if a.user != "" && t.o.UserFailures > 0 {
		byUser = t.account(t.users, a.user)
		byUser.free, byUser.share = t.o.UserFailures, 1
	}
	if t.o.AddressFailures > 0 {
		byAddress = t.account(t.addresses, a.network)
		byAddress.free, byAddress.share = t.o.AddressFailures, crowd
	}
	return byUser, byAddress
}

func (t *Throttle) account(table *simplelru.LRU[string, *account], key string) *account {
	a, known := table.Get(key)
	if !known {
		a = &account{longest: t.o.LongestWait, pending: map[digest]int{}}
		table.Add(key, a)
	}
	return a
}

// attempt is a call with credentials, by what it is counted and known by.
type attempt struct {
	scheme string
	key    digest // of the credentials
	// network is where the call comes from, connection its very connection with
	// these credentials.
	network, connection string
	// user is a user at an address, "" if the credentials name none; caller is
	// that, or the credentials at an address.
	user, caller string
}

func (t *Throttle) attempt(r auth.Request, c auth.Credentials) attempt {
	h := hmac.New(sha256.New, t.blind)
	h.Write([]byte(c.Scheme + " " + c.Value))
	a := attempt{scheme: c.Scheme, key: digest(h.Sum(nil)), network: network(r.Peer)}
	if r.Peer != nil {
		a.connection = r.Peer.String() + " " + string(a.key[:])
	}
	a.caller = a.network + " " + string(a.key[:])
	if name, _, ok := c.Basic(); ok { // spellings of one name count as one
		a.user = a.network + " " + strings.ToLower(auth.ShortName(name))
		a.caller = a.user
	}
	return a
}

// network is the part of an address that one attacker has: all of IPv4, the
// network of IPv6.
func network(peer net.Addr) string {
	tcp, ok := peer.(*net.TCPAddr)
	if !ok {
		return "this machine"
	}
	address := tcp.AddrPort().Addr().Unmap()
	if address.Is4() {
		return address.String()
	}
	return netip.PrefixFrom(address.WithZone(""), networkBits).Masked().String()
}
