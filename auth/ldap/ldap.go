// SPDX-License-Identifier: Apache-2.0

// Package ldap authenticates callers by asking a directory (LDAP, RFC 4511)
// about a user name and a password, by Kyuubi's rules and settings.
//
// # One person, one user
//
// The name is cut at the first / or @ as in Kyuubi, must then be a user name
// (auth.ValidUser), and is folded to lower case before the directory sees it:
// whom the directory vouches for is exactly the user here, whether it compares
// names with case or, as uid, cn and sAMAccountName do, without. A domain behind
// the @ must be the one of the settings if they name one.
//
// # What the directory is asked
//
// Each user name with its password once at a time, whoever waits for it; again
// after Options.CacheTTL if it was good, after 5 s, then 10 s and so on if it was
// not. While the directory cannot be asked, what was good stays so for
// Options.CacheAwayTTL, asked about again every 10 s, and everything else is
// refused with AUTH_UNAVAILABLE.
package ldap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"roundhouse/auth"
	"roundhouse/internal/errs"
)

// Method is the Method of identities made here.
const Method = "LDAP"

const (
	// refusalFloor is how long a refusal takes at least, so that its time does not
	// tell whether there is such a user, unless the directory is slower than that.
	refusalFloor = 100 * time.Millisecond
	// tellEvery is how often the log is told that the directory cannot be asked.
	tellEvery = time.Minute
)

// Options say which directory is asked, and how.
type Options struct {
	Servers Servers
	Rules   Rules
	// Timeout bounds all that one login asks, and the wait for its turn before. Where
	// a connection that lay idle is dead, the login has half of it more.
	Timeout time.Duration
	// CacheTTL is how long an answer stays good, CacheAwayTTL how long while the
	// directory cannot be asked.
	CacheTTL, CacheAwayTTL time.Duration
	Log                    *slog.Logger
}

// Authenticator is an auth.Method. Make it with New; it is safe for concurrent use.
type Authenticator struct {
	o       Options
	pool    *pool
	cache   *cache
	flights singleflight.Group

	toldAway, toldCut atomic.Int64 // when the log was told last, in Unix nanoseconds
}

// New makes the method; nothing is asked before the first login. Errors are
// those of files and filters of the options.
func New(o Options) (*Authenticator, error) {
	if err := o.Rules.check(); err != nil {
		return nil, err
	}
	p, err := newPool(o.Servers, o.Timeout)
	if err != nil {
		return nil, err
	}
	return &Authenticator{o: o, pool: p, cache: newCache(o.CacheTTL, o.CacheAwayTTL)}, nil
}

// Name implements auth.Method.
func (*Authenticator) Name() string { return Method }

// Challenge implements auth.Method.
func (*Authenticator) Challenge() string { return "Basic" }

// Run closes connections that nobody needs, and at the end of ctx all of them.
func (a *Authenticator) Run(ctx context.Context) error {
	a.pool.run(ctx)
	return nil
}

// Check decides about a user name with a password (HTTP Basic).
func (a *Authenticator) Check(ctx context.Context, _ auth.Request, c auth.Credentials) (auth.Identity, error) {
	if c.Scheme != auth.SchemeBasic {
		return auth.Identity{}, auth.ErrNotMine
	}
	floor := time.NewTimer(refusalFloor)
	defer floor.Stop()
	id, err := a.login(ctx, c)
	if err == nil || errs.Is(err, errs.AuthUnavailable) {
		return id, err
	}
	select {
	case <-floor.C:
	case <-ctx.Done():
	}
	return auth.Identity{}, err
}

func (a *Authenticator) login(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	given, password, ok := c.Basic()
	if !ok {
		return auth.Identity{}, errors.New("the Basic credentials are malformed, or without a name or a password")
	}
	user, err := a.o.Rules.user(given)
	if err != nil {
		return auth.Identity{}, err
	}
	key := a.cache.key(user, password)
	if answer, fresh := a.cache.fresh(key); fresh {
		return answer.identity()
	}
	// The goroutine of a flight ends within one Timeout of waiting for its turn and one
	// and a half with a connection; the pool waits at the end for those that have one.
	flight := a.flights.DoChan(string(key[:]), func() (any, error) {
		return a.ask(key, user, password).identity()
	})
	select {
	case done := <-flight:
		id, _ := done.Val.(auth.Identity)
		return id, done.Err
	case <-ctx.Done():
		err := fmt.Errorf("gave up waiting for the directory: %w", context.Cause(ctx))
		if _, good := a.cache.stale(key); good {
			return auth.Identity{}, unavailable(err)
		}
		return auth.Identity{}, err // a refusal, which counts: or guesses given up at once would cost nothing
	}
}

// ask asks the directory and remembers the answer.
func (a *Authenticator) ask(key digest, user, password string) answer {
	if known, fresh := a.cache.fresh(key); fresh { // of a flight that ended a moment ago
		return known
	}
	var groups []string
	err := a.pool.do(func(c *conn) (err error) {
		groups, err = a.o.Rules.verify(c, user, password)
		return err
	})
	var no refusal
	switch {
	case err == nil:
		return a.cache.good(key, auth.Identity{User: user, Groups: groups})
	case errors.As(err, &no):
		return a.cache.bad(key, fmt.Errorf("user %q: %w", user, no))
	}
	a.tell(user, err)
	if known, still := a.cache.stale(key); still {
		return a.cache.goOn(key, known)
	}
	if errors.Is(err, errCut) {
		return a.cache.unknown(key, tooLong(err))
	}
	return answer{err: unavailable(err)}
}

// tell logs a fault now and then: every login meets it.
func (a *Authenticator) tell(user string, err error) {
	told, what := &a.toldAway, "the directory cannot be asked"
	if errors.Is(err, errCut) {
		told, what = &a.toldCut, "the directory gives only a part of a list, so nobody can tell who may sign in: narrow the filter, or raise the directory's limit"
	}
	now, before := time.Now(), told.Load()
	if now.Sub(time.Unix(0, before)) >= tellEvery && told.CompareAndSwap(before, now.UnixNano()) {
		a.o.Log.Warn(what+"; this is said once a minute", "user", user, "error", err)
	}
}

func unavailable(err error) error {
	return errs.Wrap(errs.AuthUnavailable, err,
		"The directory that decides about user names and passwords cannot be asked at the moment. Try again in a minute; "+
			"if it goes on, tell an administrator of this gateway.")
}

func tooLong(err error) error {
	return errs.Wrap(errs.AuthUnavailable, err,
		"The list of people or groups that decides about this login is longer than the directory gives, and trying again does not help. "+
			"Ask an administrator of this gateway: its log names the list.")
}

// refusal is an answer of the directory or of a rule: this login is not good.
type refusal string

func (r refusal) Error() string { return string(r) }

func refuse(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

// user is the one user that a given name stands for.
func (r *Rules) user(given string) (string, error) {
	user := auth.ShortName(given)
	if err := auth.ValidUser(user); err != nil {
		return "", err
	}
	user = strings.ToLower(user) // of ASCII
	if _, domain, ok := strings.Cut(given, "@"); ok && r.Domain != "" && !strings.EqualFold(domain, r.Domain) {
		return "", refuse("user %q: the domain is not %s", user, r.Domain)
	}
	return user, nil
}
