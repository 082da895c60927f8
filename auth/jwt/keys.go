// SPDX-License-Identifier: Apache-2.0

package jwt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"roundhouse/internal/errs"
)

const (
	// floor is the least time between two fetches that unknown keys cause, as long
	// as keys are not to be fetched more often anyway.
	floor = time.Minute
	// retryAfter is the pause after a fetch that failed.
	retryAfter = 5 * time.Second
	// fetchTimeout bounds a fetch, patience the wait for one.
	fetchTimeout, patience = 4 * time.Second, 5 * time.Second
	// leastRSA and mostRSA bound RSA keys, in bits (NIST SP 800-131A asks for 2048).
	leastRSA, mostRSA = 2048, 8192
)

// source fetches all public keys of an issuer.
type source func(ctx context.Context) ([]jose.JSONWebKey, error)

// keySet knows the keys of one issuer. Only run fetches, so one at a time, and
// decides how often; whoever misses a key wakes it.
type keySet struct {
	issuer  string
	fetch   source
	refresh time.Duration
	log     *slog.Logger
	wake    chan struct{}
	current atomic.Pointer[fetched]
}

// fetched is the outcome of a fetch. It is immutable but for next.
type fetched struct {
	keys []jose.JSONWebKey // of the last fetch that went well
	at   time.Time
	err  error
	next chan struct{} // closed when the next fetch is over
}

// errNotAsked is the error before the first fetch.
var errNotAsked = errors.New("not asked yet")

func newKeySet(issuer string, fetch source, o Options) *keySet {
	k := &keySet{issuer: issuer, fetch: fetch, refresh: o.Refresh, log: o.Log, wake: make(chan struct{}, 1)}
	k.current.Store(&fetched{err: errNotAsked, next: make(chan struct{})})
	return k
}

// load fetches now, for a source that is a file. All of its keys must fit one of
// the algorithms.
func (k *keySet) load(algorithms []string) error {
	now := k.attempt(context.Background())
	for n, key := range now.keys {
		fits := false
		for _, algorithm := range algorithms {
			fits = fits || fit(key, algorithm)
		}
		if !fits {
			return fmt.Errorf("key %d of the file does not fit %s, or is too short", n+1, strings.Join(algorithms, ", "))
		}
	}
	return now.err
}

// run fetches at once, unless load did, and then every refresh; after a failure
// and for unknown keys sooner. It ends with ctx.
func (k *keySet) run(ctx context.Context) {
	timer := time.NewTimer(k.pause())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-k.wake:
			if !k.current.Load().old(k.refresh) {
				continue
			}
		}
		before := k.current.Load()
		now := k.attempt(ctx)
		if ctx.Err() != nil {
			return
		}
		k.tell(before, now)
		timer.Reset(k.pause())
	}
}

// pause is how long run waits for its next fetch.
func (k *keySet) pause() time.Duration {
	switch now := k.current.Load(); {
	case now.at.IsZero():
		return 0
	case now.err != nil:
		return min(retryAfter, k.refresh)
	default:
		return k.refresh
	}
}

// attempt fetches once. Keys that are known outlive a failure.
func (k *keySet) attempt(ctx context.Context) *fetched {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	keys, err := k.fetch(ctx)
	before := k.current.Load()
	if err != nil {
		keys = before.keys
	}
	now := &fetched{keys: keys, at: time.Now(), err: err, next: make(chan struct{})}
	k.current.Store(now)
	close(before.next)
	return now
}

// tell logs what changed.
func (k *keySet) tell(before, now *fetched) {
	switch failedBefore := before.err != nil && before.err != errNotAsked; {
	case now.err != nil && !failedBefore:
		k.log.Warn("the keys of an issuer of tokens cannot be fetched; those known stay good, and it is asked again and again",
			"issuer", k.issuer, "known", len(now.keys), "error", now.err)
	case now.err == nil && before.err != nil:
		k.log.Info("the keys of an issuer of tokens are known", "issuer", k.issuer, "keys", len(now.keys))
	}
}

// old says whether a key that is missing may have been published since.
func (f *fetched) old(refresh time.Duration) bool {
	pause := floor
	if f.err != nil {
		pause = retryAfter
	}
	return f.at.IsZero() || time.Since(f.at) >= min(pause, refresh)
}

// find returns the keys that a token of a key id ("" for none) and an algorithm
// may be signed with. For one that is not known it has the issuer asked, if that
// was not done a moment ago, and waits until ctx ends or patience does. The error
// is of class AUTH_UNAVAILABLE if the issuer cannot be asked.
func (k *keySet) find(ctx context.Context, kid, algorithm string) ([]crypto.PublicKey, error) {
	now := k.current.Load()
	keys := now.candidates(kid, algorithm)
	if len(keys) == 0 && now.old(k.refresh) {
		now = k.wait(ctx, now)
		keys = now.candidates(kid, algorithm)
	}
	switch {
	case len(keys) > 0:
		return keys, nil
	case now.err != nil:
		return nil, errs.Wrap(errs.AuthUnavailable, now.err, "The issuer of this token, %s, cannot be asked for its keys at the moment. "+
			"Try again in a minute; if it goes on, tell an administrator of this gateway.", k.issuer)
	}
	return nil, fmt.Errorf("the issuer publishes no key %.80q for %s", kid, algorithm)
}

// wait waits for the fetch after now, and returns its outcome.
func (k *keySet) wait(ctx context.Context, now *fetched) *fetched {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case k.wake <- struct{}{}:
	default: // somebody else did
	}
	select {
	case <-now.next:
		return k.current.Load()
	case <-ctx.Done():
		return &fetched{keys: now.keys, err: fmt.Errorf("gave up waiting for the issuer: %w", ctx.Err())}
	}
}

// candidates are the keys for a key id and an algorithm. A key without an id, as
// those of a file, may be any.
func (f *fetched) candidates(kid, algorithm string) (found []crypto.PublicKey) {
	for _, key := range f.keys {
		if (kid == "" || key.KeyID == "" || key.KeyID == kid) && fit(key, algorithm) {
			found = append(found, key.Key)
		}
	}
	return found
}

// fit says whether a key is one for signatures of an algorithm (RFC 7517 section
// 4, RFC 7518 section 3).
func fit(k jose.JSONWebKey, algorithm string) bool {
	if k.Use != "" && k.Use != "sig" || k.Algorithm != "" && k.Algorithm != algorithm {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		return (strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")) && bits >= leastRSA && bits <= mostRSA
	case *ecdsa.PublicKey:
		curves := map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
		return curves[algorithm] == key.Curve.Params().Name
	case ed25519.PublicKey:
		return algorithm == string(jose.EdDSA)
	}
	return false
}
