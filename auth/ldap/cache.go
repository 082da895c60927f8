// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"roundhouse/auth"
)

const (
	// answers bounds the cache; those not used for longest are forgotten first.
	answers = 20_000
	// firstBad is how long a refusal is believed at first. Each further one of the
	// same password doubles it up to longestBad: clients that go on with an old
	// password must not lock its owner's account.
	firstBad, longestBad = 5 * time.Second, time.Minute
	// staleTTL is how long the directory is not asked again about an answer that
	// stands in for its own.
	staleTTL = 10 * time.Second
)

type digest [sha256.Size]byte

// answer is what is known about a user name with a password.
type answer struct {
	id  auth.Identity
	err error // nil if the login is good

	until, awayUntil time.Time
	wait             time.Duration // of a refusal
}

func (a answer) identity() (auth.Identity, error) { return a.id, a.err }

// cache keeps answers by a keyed hash of name and password.
type cache struct {
	blind        []byte // random
	ttl, awayTTL time.Duration
	answers      *lru.Cache[digest, answer]
}

func newCache(ttl, awayTTL time.Duration) *cache {
	c := &cache{blind: make([]byte, sha256.Size), ttl: ttl, awayTTL: awayTTL}
	rand.Read(c.blind)                              // never fails (crypto/rand of Go 1.24)
	c.answers, _ = lru.New[digest, answer](answers) // fails for a size below one only
	return c
}

// key is the keyed hash; a user name holds no NUL, so no two pairs share one.
func (c *cache) key(user, password string) digest {
	h := hmac.New(sha256.New, c.blind)
	h.Write([]byte(user + "\x00" + password))
	return digest(h.Sum(nil))
}

// fresh is an answer that needs no asking.
func (c *cache) fresh(key digest) (answer, bool) {
	a, ok := c.answers.Get(key)
	return a, ok && time.Now().Before(a.until)
}

// stale is a good answer to go on with while the directory cannot be asked.
func (c *cache) stale(key digest) (answer, bool) {
	a, ok := c.answers.Get(key)
	return a, ok && a.err == nil && time.Now().Before(a.awayUntil)
}

// goOn gives a stale answer for a while without asking.
func (c *cache) goOn(key digest, a answer) answer {
	a.until = time.Now().Add(staleTTL)
	if a.awayUntil.Before(a.until) {
		a.until = a.awayUntil
	}
	c.answers.Add(key, a)
	return a
}

// unknown remembers for a while that the directory cannot tell, although it was
// asked. It is no refusal: those before go on to count.
func (c *cache) unknown(key digest, err error) answer {
	before, _ := c.answers.Get(key)
	a := answer{err: err, until: time.Now().Add(staleTTL), wait: before.wait}
	c.answers.Add(key, a)
	return a
}

func (c *cache) good(key digest, id auth.Identity) answer {
	now := time.Now()
	a := answer{id: id, until: now.Add(c.ttl), awayUntil: now.Add(max(c.ttl, c.awayTTL))}
	c.answers.Add(key, a)
	return a
}

func (c *cache) bad(key digest, err error) answer {
	before, _ := c.answers.Get(key)
	a := answer{err: err, wait: min(max(firstBad, 2*before.wait), longestBad)}
	a.until = time.Now().Add(a.wait)
	c.answers.Add(key, a)
	return a
}
