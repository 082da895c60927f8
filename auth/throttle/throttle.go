// SPDX-License-Identifier: Apache-2.0

// Package throttle slows those down who try passwords until one fits.
//
// Failures count for an address, and for a user at an address, never for a user
// alone: whoever fails in alice's name elsewhere cannot keep alice out. Up to a
// limit failures cost nothing; after that each doubles the wait, and meanwhile
// calls are refused before any method sees them. The same password is one guess,
// however often it fails.
//
// Two things keep those unaffected who share an address with an attacker. What
// was good before on the same connection always passes. And a user who came in
// from an address before does not wait for what others failed there, as long as
// failures of users are limited. Neither lets anybody try further passwords, as
// letting good ones pass everywhere would, or forgetting failures after a good
// login.
//
// Tokens and tickets cannot be guessed. They have accounts of their own, which
// bound the work alone: there each failure counts.
package throttle

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"roundhouse/auth"
	"roundhouse/internal/errs"
	"roundhouse/internal/netaddr"
)

const (
	// remembered bounds each table, in entries of some 300 bytes; the ones not used
	// for longest are forgotten first.
	remembered = 20_000
	// firstWait is the wait after the first failure beyond the limit.
	firstWait = time.Second
	// crowd is what an attempt under way counts for at an address, in failures:
	// many people may come at once.
	crowd = 0.25
	// tokens is how many bad tokens or tickets an address may bring in a second for
	// each failure that is free there.
	tokens = 20
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
	longest time.Duration
	blind   []byte // random: what is kept of credentials says nothing about them

	mu sync.Mutex
	// connections and callers are what came in. They are two tables, so that a
	// script with a connection for each call pushes no caller out.
	connections, callers *simplelru.LRU[place, struct{}]
	// failed is when a password was counted at an address.
	failed *simplelru.LRU[place, time.Time]
	// users and passwords count failed passwords of a user at an address and of an
	// address, unguessable what else fails there.
	users, passwords, unguessable *ledger
}

type digest [sha256.Size]byte

// place is a key of the tables: an address, as a whole or for one credential or
// user. It is small whatever a client sends.
type place struct {
	address string
	who     digest
}

// New makes a throttle that has seen nothing yet.
func New(o Options) *Throttle {
	t := &Throttle{longest: o.LongestWait, blind: make([]byte, sha256.Size),
		connections: table[struct{}](), callers: table[struct{}](), failed: table[time.Time](),
		users:       newLedger(o.UserFailures, 1, o.LongestWait),
		passwords:   newLedger(o.AddressFailures, crowd, o.LongestWait),
		unguessable: newLedger(tokens*o.AddressFailures, crowd, firstWait),
	}
	rand.Read(t.blind) // never fails (crypto/rand of Go 1.24)
	return t
}

func table[V any]() *simplelru.LRU[place, V] {
	l, _ := simplelru.NewLRU[place, V](remembered, nil) // fails for a size below one only
	return l
}

// refusal is the cause of a refusal by this package.
type refusal struct {
	wait time.Duration
	busy bool // for attempts under way, not for failures
}

func (r refusal) Error() string { return fmt.Sprintf("throttled for %v", r.wait) }

// RetryAfter is when the next attempt is looked at.
func (r refusal) RetryAfter() time.Duration { return r.wait }

// Watch implements auth.Watcher. It refuses attempts with LIMIT_EXCEEDED while
// one of their accounts has to wait. Calls without credentials are no attempts.
func (t *Throttle) Watch(r auth.Request, c auth.Credentials, decide func() (auth.Identity, error)) (auth.Identity, error) {
	if c.Scheme == "" {
		return decide()
	}
	a := t.attempt(r, c)
	proven, no := t.begin(a)
	if no.wait > 0 {
		return auth.Identity{}, refused(a, no)
	}
	if !proven {
		defer t.settle(a) // after a panic, too
	}
	id, err := decide()
	t.decided(a, err)
	return id, err
}

// begin says whether an attempt is known to be good, else how long it has to
// wait, and notes it as under way if it has not to.
func (t *Throttle) begin(a attempt) (proven bool, no refusal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, proven := t.connections.Get(a.connection); proven {
		return true, refusal{}
	}
	now := time.Now()
	no = a.user.wait(a.key, now)
	unlimited := a.guessable && a.user.in == nil // but by the address
	if unlimited || !t.callers.Contains(a.caller) {
		if address := a.address.wait(a.key, now); address.wait > no.wait {
			no = address
		}
	}
	if no.wait == 0 {
		a.user.begin(a.key)
		a.address.begin(a.key)
	}
	return false, no
}

func refused(a attempt, no refusal) error {
	seconds := max(1, int(math.Ceil(no.wait.Seconds())))
	no.wait = time.Duration(seconds) * time.Second
	if no.busy {
		return errs.Wrap(errs.LimitExceeded, no, "Many logins from %s are being checked at the moment; try again in %d s.",
			a.address.at.address, seconds)
	}
	return errs.Wrap(errs.LimitExceeded, no,
		"Too many logins from %s failed, so this one was not looked at. Correct the user name, password or token, "+
			"and try again in %d s; until then further attempts change nothing.", a.address.at.address, seconds)
}

func (t *Throttle) settle(a attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	a.user.settle(a.key, now)
	a.address.settle(a.key, now)
}

// decided notes an outcome. A good login forgets no failure: a client that works
// beside the attacker must not thereby get the attacker more guesses.
func (t *Throttle) decided(a attempt, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	switch {
	case err == nil && !a.once:
		t.connections.Add(a.connection, struct{}{})
		t.callers.Add(a.caller, struct{}{})
	case errs.Is(err, errs.Unauthenticated):
		t.connections.Remove(a.connection)
		if a.guessable && t.again(a.guess, now) {
			return
		}
		a.user.fail(now)
		a.address.fail(now)
	}
}

// again says whether a guess was counted before, else notes that it is now.
func (t *Throttle) again(guess place, now time.Time) bool {
	if counted, ok := t.failed.Get(guess); ok && now.Sub(counted) < t.longest {
		return true
	}
	t.failed.Add(guess, now)
	return false
}

// attempt is a call with credentials, by what it is counted and known by.
type attempt struct {
	key       digest // of the credentials
	once      bool   // they are good for one call
	guessable bool   // they are a password
	// connection are the credentials on this very connection, guess those at this
	// address, caller the user they name at this address, or else they themselves.
	connection, guess, caller place
	user, address             count // no user if they name none or users have no limit
}

func (t *Throttle) attempt(r auth.Request, c auth.Credentials) attempt {
	key, here := t.hash(c.Scheme+" "+c.Value), network(r.Peer)
	guess := place{here, key}
	a := attempt{key: key, once: c.Scheme == auth.SchemeNegotiate, guessable: c.Scheme == auth.SchemeBasic,
		connection: place{fmt.Sprint(r.Peer), key}, guess: guess, caller: guess,
		address: count{t.unguessable, place{address: here}}}
	if a.guessable {
		a.address.in = t.passwords
	}
	if name, _, ok := c.Basic(); ok { // spellings of one name count as one
		a.caller = place{here, t.hash(" " + strings.ToLower(auth.ShortName(name)))}
		a.user = count{t.users, a.caller}
	}
	return a
}

// hash tells texts apart and says nothing about them.
func (t *Throttle) hash(text string) digest {
	h := hmac.New(sha256.New, t.blind)
	h.Write([]byte(text))
	return digest(h.Sum(nil))
}

// network is the part of an address that one attacker has.
func network(peer net.Addr) string {
	if tcp, ok := peer.(*net.TCPAddr); ok {
		return netaddr.Network(tcp.IP.String())
	}
	return "this machine"
}
