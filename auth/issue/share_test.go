// SPDX-License-Identifier: Apache-2.0

package issue

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"roundhouse/auth"
	"roundhouse/internal/errs"
)

// tell wakes followers; the lock is held.
func (s *shelf) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *shelf) GetToken(_ context.Context, id string) (Record, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	r, found := s.records[id]
	return r, found, s.fail
}

func (s *shelf) questions() int { s.mu.Lock(); defer s.mu.Unlock(); return s.asked }

func (s *shelf) FollowTokens(ctx context.Context, told func(Record, bool)) error {
	known := map[string]Record{}
	for {
		s.mu.Lock()
		now, changed, away := maps.Clone(s.records), s.changed, s.fail != nil
		s.mu.Unlock()
		if !away {
			tellChanges(known, now, told)
			known = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

func tellChanges(before, now map[string]Record, told func(Record, bool)) {
	for id, r := range now {
		if old, was := before[id]; !was || !r.same(old) {
			told(r, false)
		}
	}
	for id := range before {
		if _, is := now[id]; !is {
			told(Record{ID: id}, true)
		}
	}
}

// seat is the place of one gateway at the shelf.
type seat struct {
	*shelf
	// hears is closed once the gateway hears of the others.
	hears chan struct{}
	mu    sync.Mutex
	away  error
}

func (s *seat) FollowTokens(ctx context.Context, told func(Record, bool)) error {
	select {
	case <-s.hears:
		return s.shelf.FollowTokens(ctx, told)
	case <-ctx.Done():
		return nil
	}
}

func (s *seat) cut(err error) { s.mu.Lock(); defer s.mu.Unlock(); s.away = err }

func (s *seat) fault() error { s.mu.Lock(); defer s.mu.Unlock(); return s.away }

func (s *seat) PutToken(ctx context.Context, r Record) error {
	if err := s.fault(); err != nil {
		return err
	}
	return s.shelf.PutToken(ctx, r)
}

func (s *seat) GetToken(ctx context.Context, id string) (Record, bool, error) {
	if err := s.fault(); err != nil {
		return Record{}, false, err
	}
	return s.shelf.GetToken(ctx, id)
}

// gateway runs one more issuer at the shelf. Until its seat hears, it knows only what
// was there when it began.
func (w *world) gateway(t *testing.T, hears bool) (*Issuer, *seat) {
	s := &seat{shelf: &w.shelf, hears: make(chan struct{})}
	if hears {
		close(s.hears)
	}
	before := w.options.Store
	w.options.Store = s
	defer func() { w.options.Store = before }()
	return w.run(t), s
}

var errAway = errs.New(errs.StoreAway, "ZooKeeper cannot be reached")

func TestATokenIsGoodAtAllGateways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, _ := w.gateway(t, true)
		b, deaf := w.gateway(t, false)
		text, r := issued(t, a, alice, Wish{})
		for range 3 {
			id, err := check(b, text, auth.DoorConnect)
			require.NoError(t, err)
			require.Equal(t, "alice", id.User)
		}
		require.Equal(t, 1, w.questions(), "once known, it is known")
		_, err := check(b, flip(text, len(text)-9), auth.DoorConnect)
		require.Error(t, err)
		_, err = check(b, "rht_nonsense", auth.DoorConnect)
		require.Error(t, err)
		require.Equal(t, 1, w.questions(), "strangers cannot make it ask")

		lost, lr := issued(t, a, alice, Wish{})
		require.NoError(t, w.DeleteToken(t.Context(), lr.ID))
		for range 100 {
			_, err = check(b, lost, auth.DoorConnect)
			require.ErrorContains(t, err, "has no record")
		}
		require.Equal(t, 2, w.questions(), "that there is none is remembered")

		late, _ := issued(t, a, alice, Wish{})
		deaf.cut(errAway)
		_, err = check(b, late, auth.DoorConnect)
		require.True(t, errs.Is(err, errs.AuthUnavailable), "%v", err)
		_, err = check(b, text, auth.DoorConnect)
		require.NoError(t, err, "what is known goes on")
		deaf.cut(nil)
		close(deaf.hears)
		synctest.Wait()
		_, err = check(b, late, auth.DoorConnect)
		require.NoError(t, err)

		require.NoError(t, b.Revoke(t.Context(), alice, r.ID))
		require.True(t, errs.Is(b.Revoke(t.Context(), alice, uuid.NewString()), errs.NotFound))
	})
}

// TestRevokedWhereNobodyHeardOfIt: an administrator may be at any gateway.
func TestRevokedWhereNobodyHeardOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, _ := w.gateway(t, true)
		b, _ := w.gateway(t, false)
		text, r := issued(t, a, alice, Wish{})
		require.NoError(t, b.Revoke(t.Context(), auth.Identity{User: "boss", Admin: true}, r.ID))
		synctest.Wait()
		_, err := check(a, text, auth.DoorConnect)
		require.ErrorContains(t, err, "was revoked")
	})
}

// TestARevocationReachesAll and takes along children wherever they were made.
func TestARevocationReachesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, _ := w.gateway(t, true)
		b, _ := w.gateway(t, true)
		c, late := w.gateway(t, false)
		text, r := issued(t, a, alice, Wish{})
		synctest.Wait()
		by := alice
		by.Token = r.ID
		child, _ := issued(t, b, by, Wish{})
		_, err := check(c, text, auth.DoorConnect)
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, a.Revoke(t.Context(), alice, r.ID))
		orphan, or := issued(t, c, by, Wish{}) // c has not heard of the revocation
		synctest.Wait()
		for _, i := range []*Issuer{a, b} {
			for _, one := range []string{text, child, orphan} {
				_, err := check(i, one, auth.DoorConnect)
				require.ErrorContains(t, err, "was revoked")
			}
		}
		close(late.hears)
		synctest.Wait()
		_, err = check(c, orphan, auth.DoorConnect)
		require.ErrorContains(t, err, "was revoked")
		time.Sleep(retry)
		synctest.Wait()
		require.NotZero(t, w.record(or.ID).Revoked, "for those who come later")
		_, _, err = b.Issue(t.Context(), by, Wish{})
		require.True(t, errs.Is(err, errs.Conflict), "%v", err)
		time.Sleep(3 * grain) // the last uses
		writes := w.written()
		time.Sleep(time.Hour)
		require.Equal(t, writes, w.written(), "they agree")
	})
}

// TestARevocationIsWrittenAgain where a store lost it to somebody who did not know.
func TestARevocationIsWrittenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.forgetful = true
		a, _ := w.gateway(t, true)
		b, late := w.gateway(t, false)
		text, r := issued(t, a, alice, Wish{})
		_, err := check(b, text, auth.DoorConnect)
		require.NoError(t, err)
		time.Sleep(time.Hour)
		require.NoError(t, a.Revoke(t.Context(), alice, r.ID))
		by := alice
		by.Token = r.ID
		_, err = b.Renew(t.Context(), by)
		require.NoError(t, err)
		require.Zero(t, w.record(r.ID).Revoked)
		time.Sleep(retry)
		synctest.Wait()
		require.NotZero(t, w.record(r.ID).Revoked)
		require.NotZero(t, w.record(r.ID).SlidUntil, "neither is lost")
		close(late.hears)
		synctest.Wait()
		_, err = check(b, text, auth.DoorConnect)
		require.ErrorContains(t, err, "was revoked")
		writes := w.written()
		time.Sleep(time.Hour)
		require.Equal(t, writes, w.written())
	})
}

func TestTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, gone := w.gateway(t, true)
		b, _ := w.gateway(t, true)
		text, r := issued(t, a, alice, Wish{})
		synctest.Wait()
		gone.cut(errAway)
		_, _, err := a.Issue(t.Context(), alice, Wish{})
		require.True(t, errs.Is(err, errs.StoreAway), "%v", err)
		_, err = check(a, text, auth.DoorConnect)
		require.NoError(t, err)
		err = a.Revoke(t.Context(), alice, r.ID)
		require.True(t, errs.Is(err, errs.StoreAway), "%v", err)
		require.ErrorContains(t, err, "other gateways accept it")
		_, err = check(a, text, auth.DoorConnect)
		require.ErrorContains(t, err, "was revoked", "it counts here at once")
		_, err = check(b, text, auth.DoorConnect)
		require.NoError(t, err)
		time.Sleep(5 * time.Minute)
		gone.cut(nil)
		time.Sleep(retry)
		synctest.Wait()
		_, err = check(b, text, auth.DoorConnect)
		require.ErrorContains(t, err, "was revoked", "soon after the store is back")
	})
}

// TestAllTend: what one gateway does to a record harms nothing at another.
func TestAllTend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, _ := w.gateway(t, true)
		time.Sleep(7 * time.Second)
		b, _ := w.gateway(t, true)
		deaf, _ := w.gateway(t, false)
		text, r := issued(t, a, alice, Wish{})
		_, err := check(deaf, text, auth.DoorConnect)
		require.NoError(t, err)
		w.opened("s1", true)
		a.Used(r.ID, "alice", "s1")
		time.Sleep(6 * time.Hour)
		require.Less(t, w.written(), 30)
		b.Used(r.ID, "alice", "s1") // the client moved: both know the session now
		writes := w.written()
		time.Sleep(3 * 24 * time.Hour)
		require.Less(t, w.written()-writes, 80, "twelve times a lifetime, together")
		for _, i := range []*Issuer{a, b, deaf} {
			id, err := check(i, text, auth.DoorConnect)
			if i == deaf { // it swept what it thought was over, and found that it is not
				require.NotEqual(t, 0, w.count())
			}
			require.NoError(t, err)
			require.False(t, id.Lapsed)
		}
		w.opened("s1", false)
		time.Sleep(3 * 24 * time.Hour)
		synctest.Wait()
		require.Zero(t, w.count())
		for _, i := range []*Issuer{a, b, deaf} {
			require.Empty(t, i.List(""))
		}
	})
}

// TestTheLastUseGrows, at whatever gateway and by whichever clock.
func TestTheLastUseGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, _ := w.gateway(t, true)
		b, _ := w.gateway(t, true)
		text, r := issued(t, a, alice, Wish{})
		time.Sleep(time.Hour)
		_, err := check(b, text, auth.DoorREST)
		require.NoError(t, err)
		time.Sleep(2 * grain)
		synctest.Wait()
		require.Equal(t, w.record(r.ID).Used, a.List("alice")[0].Used)
		ahead := w.record(r.ID)
		ahead.Used = ahead.Used.Add(time.Hour)
		require.NoError(t, w.PutToken(t.Context(), ahead))
		_, err = check(a, text, auth.DoorREST)
		require.NoError(t, err)
		time.Sleep(2 * grain)
		require.Equal(t, ahead.Used, w.record(r.ID).Used)
	})
}

func TestLimitsCountWhatAllIssued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, _ := w.gateway(t, true)
		b, _ := w.gateway(t, true)
		for range perUser / 2 {
			issued(t, a, alice, Wish{})
			issued(t, b, alice, Wish{})
		}
		synctest.Wait()
		for _, i := range []*Issuer{a, b} {
			_, _, err := i.Issue(t.Context(), alice, Wish{})
			require.True(t, errs.Is(err, errs.LimitExceeded), "%v", err)
		}
	})
}

// TestTheSecretChangesAtOneAfterTheOther gateway: what the one before the new secret
// signs is good at both; the other way round from when both have read it.
func TestTheSecretChangesAtOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		old, _ := w.gateway(t, true)
		of := &world{secrets: [][]byte{aSecret(2), aSecret(1)}}
		w.options.Secrets = func() ([][]byte, error) { return of.secrets, nil }
		ahead, _ := w.gateway(t, true)
		before, _ := issued(t, old, alice, Wish{})
		after, _ := issued(t, ahead, alice, Wish{})
		synctest.Wait()
		_, err := check(ahead, before, auth.DoorConnect)
		require.NoError(t, err)
		_, err = check(old, after, auth.DoorConnect)
		require.ErrorContains(t, err, "a key that does not count")
		w.mu.Lock()
		w.secrets = [][]byte{aSecret(1), aSecret(2)}
		w.mu.Unlock()
		time.Sleep(reload)
		synctest.Wait()
		_, err = check(old, after, auth.DoorConnect)
		require.NoError(t, err, "on the second line it verifies")
	})
}

// TestTheHostOfAnyGateway administers all that have its secret.
func TestTheHostOfAnyGateway(t *testing.T) {
	w := newWorld()
	text, err := ForHost(aSecret(1), "operator")
	require.NoError(t, err)
	for _, i := range []*Issuer{w.issuer(t), w.issuer(t)} {
		id, err := check(i, text, auth.DoorREST)
		require.NoError(t, err)
		require.True(t, id.Admin && id.Host)
	}
}

// TestWhatAnotherGatewayWasAsked is not written down twice.
func TestWhatAnotherGatewayWasAsked(t *testing.T) {
	w := newWorld()
	told := 0
	w.options.Changed = func(_ auth.Identity, _ Record, revoked bool) {
		if revoked {
			told++
		}
	}
	i := w.issuer(t)
	issued(t, i, alice, Wish{})
	n, err := i.RevokeUser(t.Context(), auth.Identity{}, "alice")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Zero(t, told)
}

// TestACrashBetweenParentAndChild: a gateway that reads only the revocation of the
// parent lets no child in.
func TestACrashBetweenParentAndChild(t *testing.T) {
	w := newWorld()
	i := w.issuer(t)
	_, r := issued(t, i, alice, Wish{})
	by := alice
	by.Token = r.ID
	child, _ := issued(t, i, by, Wish{})
	r.Revoked = time.Now()
	require.NoError(t, w.PutToken(t.Context(), r))
	for range 10 { // in the order of a map
		_, err := check(w.issuer(t), child, auth.DoorConnect)
		require.ErrorContains(t, err, "was revoked")
	}
}

// TestAFollowerThatEnds is a fault of the gateway, not of the end of it.
func TestAFollowerThatEnds(t *testing.T) {
	w := newWorld()
	w.options.Store = broken{&w.shelf}
	require.ErrorIs(t, w.issuer(t).Run(t.Context()), errBroken)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, w.issuer(t).Run(gone))
}

var errBroken = errors.New("no more")

type broken struct{ *shelf }

func (broken) FollowTokens(context.Context, func(Record, bool)) error { return errBroken }
