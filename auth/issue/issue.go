// SPDX-License-Identifier: Apache-2.0

// Package issue makes the tokens of this gateway and is the method that accepts
// them. A token is rht_ and a compact JWS (RFC 7515) with HMAC-SHA256, whose key
// is derived from the cluster secret, so every gateway that has the secret can
// verify it. What changes about a token (it slides, it is revoked) is a record
// in a store, and a token without a record is worth nothing.
//
// Tokens without a name are for people: they slide while a session of theirs is
// open. Tokens with a name are for jobs and end when they said they would.
package issue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"roundhouse/auth"
	"roundhouse/internal/recall"
)

const (
	// grain is how precisely the last use of a token is kept, and how often
	// records are looked through.
	grain = time.Minute
	// reload is how often the cluster secret is read again, retry how often
	// revocations are written that the store has not taken.
	reload, retry = 2 * time.Second, 2 * time.Second
	// perUser bounds the tokens of a user that are kept.
	perUser = 1000
	// remembered is how long the record of a token outlives it, for who asks why
	// it does not work any more.
	remembered = 24 * time.Hour
	// storeTime bounds what is written whether a caller waits or not.
	storeTime = 10 * time.Second
)

// Store keeps records; several gateways may write to it. What PutToken returned for
// is durable.
type Store interface {
	// PutToken creates or replaces a record. A Revoked that is stored stays.
	PutToken(ctx context.Context, r Record) error
	// GetToken finds what any gateway wrote.
	GetToken(ctx context.Context, id string) (r Record, found bool, err error)
	// DeleteToken of an absent record is no error.
	DeleteToken(ctx context.Context, id string) error
	Tokens(ctx context.Context) ([]Record, error)
	// FollowTokens tells, until ctx ends, of all records and then of each that a
	// gateway writes or deletes; of those that are gone it sets the ID. A store with one
	// gateway may tell nothing.
	FollowTokens(ctx context.Context, told func(r Record, gone bool)) error
}

// Options are all required unless noted.
type Options struct {
	// Secrets reads the cluster secret, and those before it that still count; the
	// first one signs.
	Secrets func() ([][]byte, error)
	Store   Store
	// Lifetime is how long a token of a person is good, and by how much it slides;
	// SlideMax is when it ends in any case, both from its making.
	Lifetime, SlideMax time.Duration
	// JobLifetime is the longest life of a token with a name.
	JobLifetime time.Duration
	// Grace is how long an expired token serves to go on with what was begun.
	Grace time.Duration
	// Denied says, with an error, that a user may not use the gateway. May be nil.
	Denied func(user string) error
	// Refused are accounts of the system, as in auth.Chain: they never come in, so
	// no tokens are made for them.
	Refused []string
	// Open says whether a session of a user is open.
	Open func(user, session string) bool
	// Renew is where people get tokens, a URL.
	Renew string
	// Changed is told of each token that is issued or revoked, and by whom. May be
	// nil.
	Changed func(by auth.Identity, r Record, revoked bool)
	Log     *slog.Logger
}

// Issuer makes and checks tokens. It is safe for concurrent use.
type Issuer struct {
	o    Options
	keys atomic.Pointer[keyring]
	// questions are those to the store about unknown tokens.
	questions *recall.Memory[Record]
	// owed says that the store may lack revocations.
	owed atomic.Bool

	mu sync.RWMutex
	// byID and byHash have every record of the store.
	byID, byHash     map[string]*entry
	byUser, byParent index
}

// New reads the records. It is an error if the store or the secret cannot be
// read.
func New(ctx context.Context, o Options) (*Issuer, error) {
	i := &Issuer{o: o, byID: map[string]*entry{}, byHash: map[string]*entry{}, byUser: index{}, byParent: index{}}
	i.questions = newQuestions(o.Store)
	if o.Denied == nil {
		i.o.Denied = func(string) error { return nil }
	}
	if o.Changed == nil {
		i.o.Changed = func(auth.Identity, Record, bool) {}
	}
	if err := i.loadKeys(); err != nil {
		return nil, err
	}
	records, err := o.Store.Tokens(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the tokens that were issued before: %w", err)
	}
	for _, r := range records {
		i.learn(r)
	}
	return i, nil
}

// Run slides, saves and sweeps records, hears of those of other gateways, and reads
// changed secrets, until ctx ends.
func (i *Issuer) Run(ctx context.Context) error {
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return i.follow(ctx) })
	parts.Go(func() error { i.keep(ctx); return nil })
	return parts.Wait()
}

// follow ends with an error only if it ends before its time.
func (i *Issuer) follow(ctx context.Context) error {
	if err := i.o.Store.FollowTokens(ctx, i.told); ctx.Err() == nil {
		return fmt.Errorf("tokens of other gateways are not heard of any more: %w", err)
	}
	return nil
}

func (i *Issuer) keep(ctx context.Context) {
	tend, keys, owed := time.NewTicker(min(grain, i.o.Lifetime/4)), time.NewTicker(reload), time.NewTicker(retry)
	defer tend.Stop()
	defer keys.Stop()
	defer owed.Stop()
	reported := ""
	var stuck faults
	for {
		select {
		case <-ctx.Done():
			stuck.report(i.o.Log, i.tend(context.WithoutCancel(ctx))) // the last uses are not lost
			return
		case <-tend.C:
			stuck.report(i.o.Log, i.tend(ctx))
		case <-owed.C:
			stuck.report(i.o.Log, i.pay(ctx))
		case <-keys.C:
			reported = i.reloadKeys(reported)
		}
	}
}

func (i *Issuer) loadKeys() error {
	secrets, err := i.o.Secrets()
	if err == nil && len(secrets) == 0 {
		err = errors.New("there is no cluster secret")
	}
	if err != nil {
		return fmt.Errorf("the key that signs tokens: %w", err)
	}
	if ring := i.keys.Load(); ring == nil || !slices.EqualFunc(ring.secrets, secrets, bytes.Equal) {
		i.keys.Store(newKeyring(secrets))
	}
	return nil
}

// reloadKeys returns the fault that it found, which is logged once.
func (i *Issuer) reloadKeys(reported string) string {
	before := i.keys.Load().ids()
	if err := i.loadKeys(); err != nil {
		if err.Error() != reported {
			i.o.Log.Error("the cluster secret cannot be read, the keys read before go on", "error", err)
		}
		return err.Error()
	}
	if now := i.keys.Load().ids(); now != before {
		i.o.Log.Info("the keys that sign tokens have changed", "keys", now)
	}
	return ""
}
