// SPDX-License-Identifier: Apache-2.0

// Package jwt authenticates callers by tokens of an issuer that the gateway
// trusts: JSON Web Tokens (RFC 7519) as OpenID Connect providers make them,
// verified by the issuer's public keys.
//
// # Which tokens
//
// A token must have the compact form and at most 8 KiB. iss, sub, aud and exp are
// required, and nbf and iat are believed, with 30 s for clocks that differ. The
// algorithm must be one of the issuer's settings and fit the key; tokens without
// a signature and those signed with a shared secret are no algorithm here. Keys
// that a token brings or points to (jwk, jku, x5c, x5u) are not looked at. A name
// that stands twice in one JSON object and every extension that has to be
// understood (crit) make a token void: two readers could see two tokens.
//
// # Which user
//
// The user is a claim of the settings. A name with a domain is only taken if the
// issuer is trusted for that domain, and then loses it (auth.ShortName).
//
// # Which keys
//
// Those of a file, or those that the issuer publishes, found by OpenID Connect
// Discovery or at the address of the settings. They are fetched in the background
// and for a key that is not known, never more often than keySet allows. While the
// issuer is away the keys that are known stay good.
package jwt

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"

	"roundhouse/auth"
)

// Method is the Method of identities made here.
const Method = "JWT"

const (
	// maxToken bounds a token, in bytes.
	maxToken = 8 << 10
	// answers bounds the cache of good tokens; those not used for longest are
	// forgotten first.
	answers = 20_000
	// answerTTL is how long a good token is not looked at again, so how long a key
	// that its issuer withdrew can still be used.
	answerTTL = time.Minute
)

// Options say whose tokens are good.
type Options struct {
	// Issuers have different URLs.
	Issuers []Issuer
	// Refresh is how often keys are fetched again.
	Refresh time.Duration
	Log     *slog.Logger
}

// Authenticator is an auth.Method. Make it with New; it is safe for concurrent
// use. Without Run no issuer is ever asked for keys.
type Authenticator struct {
	issuers map[string]*issuer
	blind   []byte // random
	good    *lru.Cache[digest, answer]
}

// digest is the keyed hash of a token.
type digest [sha256.Size]byte

// answer is what a good token says.
type answer struct {
	id    auth.Identity
	until time.Time
}

// New makes the method; no issuer is asked yet. Errors are those of files of the
// options, and name the issuer.
func New(o Options) (*Authenticator, error) {
	a := &Authenticator{issuers: map[string]*issuer{}, blind: make([]byte, sha256.Size)}
	rand.Read(a.blind)                           // never fails (crypto/rand of Go 1.24)
	a.good, _ = lru.New[digest, answer](answers) // fails for a size below one only
	for _, trusted := range o.Issuers {
		i, err := newIssuer(trusted, o)
		if err != nil {
			return nil, fmt.Errorf("the issuer %s: %w", trusted.URL, err)
		}
		a.issuers[trusted.URL] = i
	}
	return a, nil
}

// Name implements auth.Method.
func (*Authenticator) Name() string { return Method }

// Challenge implements auth.Method.
func (*Authenticator) Challenge() string { return "Bearer" }

// Run fetches the keys of the issuers, at once and again and again, until ctx
// ends.
func (a *Authenticator) Run(ctx context.Context) error {
	var all errgroup.Group
	for _, i := range a.issuers {
		all.Go(func() error {
			i.keys.run(ctx)
			return nil
		})
	}
	return all.Wait()
}

// Check decides about the bearer tokens of the issuers. It knows nothing of
// others, which may be tokens of another method. The error is of class
// AUTH_UNAVAILABLE if the issuer would have to be asked for the key and cannot.
func (a *Authenticator) Check(ctx context.Context, _ auth.Request, c auth.Credentials) (auth.Identity, error) {
	if c.Scheme != auth.SchemeBearer || len(c.Value) > maxToken {
		return auth.Identity{}, auth.ErrNotMine
	}
	key := a.key(c.Value)
	if known, ok := a.good.Get(key); ok && time.Now().Before(known.until) {
		return known.id, nil
	}
	t, err := parse(c.Value)
	if err != nil {
		return auth.Identity{}, auth.ErrNotMine
	}
	i, ok := a.issuers[t.issuer]
	if !ok {
		return auth.Identity{}, auth.ErrNotMine
	}
	id, err := i.verify(ctx, t)
	if err != nil {
		return auth.Identity{}, fmt.Errorf("a token of %s: %w", t.issuer, err)
	}
	until := time.Now().Add(answerTTL)
	if end := id.Expires.Add(leeway); end.Before(until) {
		until = end
	}
	a.good.Add(key, answer{id, until})
	return id, nil
}

func (a *Authenticator) key(token string) digest {
	h := hmac.New(sha256.New, a.blind)
	h.Write([]byte(token))
	return digest(h.Sum(nil))
}
