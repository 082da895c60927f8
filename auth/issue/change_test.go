// SPDX-License-Identifier: Apache-2.0

package issue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
	"roundhouse/internal/errs"
)

func (s *shelf) failWith(err error) { s.mu.Lock(); defer s.mu.Unlock(); s.fail = err }

func (s *shelf) record(id string) Record { s.mu.Lock(); defer s.mu.Unlock(); return s.records[id] }

// holdNext lets the next write wait until the channel is closed.
func (s *shelf) holdNext() chan struct{} {
	held, once := make(chan struct{}), make(chan struct{}, 1)
	once <- struct{}{}
	s.before = func(Record) {
		select {
		case <-once:
			<-held
		default:
		}
	}
	return held
}

func TestNumbersAreBounded(t *testing.T) {
	w := newWorld()
	i := w.issuer(t)
	for range perUser {
		issued(t, i, alice, Wish{})
	}
	_, _, err := i.Issue(t.Context(), alice, Wish{})
	require.True(t, errs.Is(err, errs.LimitExceeded), "%v", err)
	issued(t, i, auth.Identity{User: "bob"}, Wish{})
	_, err = i.RevokeUser(t.Context(), alice, "alice")
	require.NoError(t, err)
	issued(t, i, alice, Wish{})
}

// TestNobodyFillsTheStore: who makes tokens and revokes them all the time has no
// more records than others, and the youngest.
func TestNobodyFillsTheStore(t *testing.T) {
	w := newWorld()
	i := w.issuer(t)
	good, kept := issued(t, i, alice, Wish{})
	var last Record
	for range 2 * perUser {
		_, last = issued(t, i, alice, Wish{})
		require.NoError(t, i.Revoke(t.Context(), alice, last.ID))
	}
	require.Equal(t, perUser, w.count())
	require.Len(t, i.List(""), perUser)
	for _, id := range []string{kept.ID, last.ID} {
		require.NotZero(t, w.record(id))
	}
	_, err := check(i, good, auth.DoorConnect)
	require.NoError(t, err)
}

func TestARevocationIsTheLastWord(t *testing.T) {
	for name, first := range map[string]func(t *testing.T, i *Issuer, by auth.Identity) (id string){
		"over a slide": func(t *testing.T, i *Issuer, by auth.Identity) string {
			_, err := i.Renew(t.Context(), by)
			require.NoError(t, err)
			return by.Token
		},
		"over a new child": func(t *testing.T, i *Issuer, by auth.Identity) string {
			_, r, err := i.Issue(t.Context(), by, Wish{})
			require.NoError(t, err)
			return r.ID
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				i := w.issuer(t)
				_, r := issued(t, i, alice, Wish{})
				by := alice
				by.Token = r.ID
				time.Sleep(time.Hour)
				held := w.holdNext()
				id := ""
				var both sync.WaitGroup
				both.Go(func() { id = first(t, i, by) })
				synctest.Wait()
				both.Go(func() { require.NoError(t, i.Revoke(context.Background(), alice, r.ID)) })
				synctest.Wait()
				close(held)
				both.Wait()
				require.NotZero(t, w.record(id).Revoked, "a restart must not make it good again")
			})
		})
	}
}

func TestRevokingHasNoGaps(t *testing.T) {
	w := newWorld()
	now := time.Now()
	family := func(id, parent string, created time.Time) Record {
		return Record{ID: id, User: "alice", Hash: id, Parent: parent, Scope: []string{"rest"}, Created: created, Expires: now.Add(time.Hour), Last: now.Add(time.Hour)}
	}
	w.records["p"] = family("p", "", now)
	w.records["c"] = family("c", "p", now.Add(-time.Minute)) // the clock was set back
	w.records["g"] = family("g", "c", now.Add(time.Minute))
	i := w.issuer(t)
	w.before = func(r Record) { // at the first write all have fallen
		by := alice
		by.Token = "g"
		_, _, err := i.Issue(t.Context(), by, Wish{Scope: []string{"rest"}})
		require.True(t, errs.Is(err, errs.Conflict), "%s: %v", r.ID, err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, i.Revoke(gone, alice, "p"), "it goes on without its caller")
	for _, id := range []string{"p", "c", "g"} {
		require.NotZero(t, w.record(id).Revoked, id)
	}
}

func TestManyAreRevokedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		i := w.issuer(t)
		for range 500 {
			issued(t, i, alice, Wish{})
		}
		w.before = func(Record) { time.Sleep(50 * time.Millisecond) }
		began := time.Now()
		n, err := i.RevokeUser(t.Context(), alice, "alice")
		require.NoError(t, err)
		require.Equal(t, 500, n)
		require.Less(t, time.Since(began), time.Second)
	})
}

// TestWhoLeavesTakesAlong what they made for others, in any case of letters.
func TestWhoLeavesTakesAlong(t *testing.T) {
	w := newWorld()
	i := w.issuer(t)
	eve := auth.Identity{User: "eve", Admin: true}
	own, _ := issued(t, i, eve, Wish{})
	given, _ := issued(t, i, auth.Identity{User: "boss", Admin: true}, Wish{User: "eve"})
	made, r := issued(t, i, eve, Wish{User: "svc"})
	require.Equal(t, "eve", r.By)
	svc := auth.Identity{User: "svc", Token: r.ID}
	child, _ := issued(t, i, svc, Wish{})
	other, _ := issued(t, i, auth.Identity{User: "svc"}, Wish{})
	n, err := w.issuer(t).RevokeUser(t.Context(), alice, "Eve")
	require.NoError(t, err)
	require.Equal(t, 4, n)
	i = w.issuer(t)
	for _, text := range []string{own, given, made, child} {
		_, err := check(i, text, auth.DoorConnect)
		require.ErrorContains(t, err, "was revoked")
	}
	_, err = check(i, other, auth.DoorConnect)
	require.NoError(t, err)
}

func TestAllGroupsOrNone(t *testing.T) {
	i := newWorld().issuer(t)
	by := alice
	for n := range 400 {
		by.Groups = append(by.Groups, fmt.Sprintf("department-%06d", n))
	}
	text, _ := issued(t, i, by, Wish{})
	id, err := check(i, text, auth.DoorConnect)
	require.NoError(t, err)
	require.Equal(t, by.Groups, id.Groups, "a rule may refuse the last of them")
	by.Groups = slices.Repeat(by.Groups, 3)
	_, _, err = i.Issue(t.Context(), by, Wish{})
	require.True(t, errs.Is(err, errs.LimitExceeded), "%v", err)
	require.ErrorContains(t, err, "alice is in 1203 groups")
	require.Len(t, i.List("alice"), 1)
}

func TestWhatCannotBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var said bytes.Buffer
		w.options.Log = slog.New(slog.NewTextHandler(&said, nil))
		i := w.run(t)
		text, r := issued(t, i, alice, Wish{})
		used, ru := issued(t, i, alice, Wish{})
		w.failWith(errors.New("the disk is full"))
		_, _, err := i.Issue(t.Context(), alice, Wish{})
		require.Error(t, err)
		require.Len(t, i.List("alice"), 2, "a token that is not durable does not exist")
		err = i.Revoke(t.Context(), alice, r.ID)
		require.True(t, errs.Is(err, errs.OutOfResources), "%v", err)
		_, err = check(i, text, auth.DoorConnect)
		require.ErrorContains(t, err, "was revoked", "it holds all the same")
		require.Error(t, i.Revoke(t.Context(), alice, r.ID), "nor is it durable the second time")
		_, err = check(i, used, auth.DoorConnect)
		require.NoError(t, err)
		time.Sleep(grain + time.Second)
		synctest.Wait()
		require.Equal(t, 1, strings.Count(said.String(), "could not be written"), "one warning for both records")

		w.failWith(nil)
		time.Sleep(grain)
		require.NotZero(t, w.record(r.ID).Revoked, "it is tried again")
		require.NotZero(t, w.record(ru.ID).Used)
		w.failWith(errors.New("the disk is full"))
		time.Sleep(remembered + 12*time.Hour + time.Hour)
		require.Equal(t, 2, w.count())
		w.failWith(nil)
		time.Sleep(2 * grain)
		require.Zero(t, w.count(), "what could not be deleted is tried again, too")
	})
}

// TestTendingBesideCalls is for the race detector: while records are written,
// the calls go on.
func TestTendingBesideCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		i := w.run(t)
		w.before = func(Record) { time.Sleep(3 * time.Second) }
		var all sync.WaitGroup
		for range 40 {
			text, _ := issued(t, i, alice, Wish{})
			all.Go(func() {
				for range 50 {
					time.Sleep(7 * time.Second)
					id, err := check(i, text, auth.DoorConnect)
					require.NoError(t, err)
					_, err = i.Renew(context.Background(), id)
					require.NoError(t, err)
					i.List("alice")
				}
				require.NoError(t, i.Revoke(context.Background(), alice, i.List("alice")[0].ID))
			})
		}
		all.Wait()
	})
}

// TestWhoActsSlides: the session of a service that acts for alice is hers, and
// the token is the service's.
func TestWhoActsSlides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		i := w.run(t)
		text, r := issued(t, i, auth.Identity{User: "portal"}, Wish{})
		w.opened("s1", true)
		i.Used(r.ID, "alice", "s1")
		time.Sleep(20 * time.Hour)
		id, err := check(i, text, auth.DoorConnect)
		require.NoError(t, err)
		require.False(t, id.Lapsed)
	})
}
