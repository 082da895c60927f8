// SPDX-License-Identifier: Apache-2.0

package issue

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/auth"
	"roundhouse/auth/authtest"
	"roundhouse/internal/errs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf is a store in memory.
type shelf struct {
	mu      sync.Mutex
	records map[string]Record
	writes  int
	fail    error
	// before is called before each write, without the lock.
	before func(Record)
	// asked counts questions about one record; changed is closed by the next write.
	asked   int
	changed chan struct{}
	// forgetful stores lose revocations that a writer does not know of.
	forgetful bool
}

func (s *shelf) PutToken(ctx context.Context, r Record) error {
	if s.before != nil {
		s.before(r)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.writes++
	if old := s.records[r.ID]; !old.Revoked.IsZero() && !s.forgetful {
		r.Revoked = old.Revoked
	}
	s.records[r.ID] = r
	s.tell()
	return nil
}

func (s *shelf) DeleteToken(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		delete(s.records, id)
		s.tell()
	}
	return s.fail
}

func (s *shelf) Tokens(context.Context) ([]Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Record
	for _, r := range s.records {
		all = append(all, r)
	}
	return all, nil
}

func (s *shelf) count() int { all, _ := s.Tokens(context.Background()); return len(all) }

func (s *shelf) written() int { s.mu.Lock(); defer s.mu.Unlock(); return s.writes }

// world is what an issuer needs.
type world struct {
	shelf
	secrets [][]byte
	open    map[string]bool
	denied  string
	options Options
}

func aSecret(n byte) []byte {
	s := make([]byte, 32)
	s[0] = n
	return s
}

func newWorld() *world {
	w := &world{shelf: shelf{records: map[string]Record{}, changed: make(chan struct{})}, secrets: [][]byte{aSecret(1)}, open: map[string]bool{}}
	w.options = Options{
		Secrets:  func() ([][]byte, error) { w.mu.Lock(); defer w.mu.Unlock(); return w.secrets, nil },
		Store:    &w.shelf,
		Lifetime: 12 * time.Hour, SlideMax: 7 * 24 * time.Hour, JobLifetime: 90 * 24 * time.Hour, Grace: 15 * time.Minute,
		Denied: func(user string) error {
			if user == w.denied {
				return errs.New(errs.PermissionDenied, "User %s may not use this gateway.", user)
			}
			return nil
		},
		Open:  func(user, session string) bool { w.mu.Lock(); defer w.mu.Unlock(); return w.open[user+"/"+session] },
		Renew: "https://gateway:10099", Log: slog.New(slog.DiscardHandler),
	}
	return w
}

// opened says that a session of alice is open, or not.
func (w *world) opened(session string, open bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open["alice/"+session] = open
}

func (w *world) issuer(t *testing.T) *Issuer {
	t.Helper()
	i, err := New(t.Context(), w.options)
	require.NoError(t, err)
	return i
}

// run runs an issuer until the end of a synctest bubble.
func (w *world) run(t *testing.T) *Issuer {
	i := w.issuer(t)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- i.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-over) })
	return i
}

var alice = auth.Identity{User: "alice", RealUser: "alice", Groups: []string{"staff"}, Method: "LDAP"}

func issued(t *testing.T, i *Issuer, by auth.Identity, w Wish) (string, Record) {
	t.Helper()
	text, r, err := i.Issue(t.Context(), by, w)
	require.NoError(t, err)
	require.Regexp(t, `^rht_[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}$`, text)
	return text, r
}

func check(i *Issuer, text, door string) (auth.Identity, error) {
	return i.Check(context.Background(), auth.Request{Door: door}, auth.Credentials{Scheme: auth.SchemeBearer, Value: text})
}

func TestConforms(t *testing.T) {
	w := newWorld()
	i := w.issuer(t)
	text, r := issued(t, i, alice, Wish{})
	revoked, rr := issued(t, i, alice, Wish{})
	require.NoError(t, i.Revoke(t.Context(), alice, rr.ID))
	stranger, err := newKeyring([][]byte{aSecret(9)}).sign(claims{ID: r.ID, User: "alice", Scope: []string{"connect"}, Expires: 1 << 40, Last: 1 << 40})
	require.NoError(t, err)
	forged, err := i.keys.Load().sign(claims{ID: r.ID, User: "bob", Scope: []string{"connect"}, Expires: 1 << 40, Last: 1 << 40})
	require.NoError(t, err)
	unknown, err := i.keys.Load().sign(claims{ID: "x", User: "bob", Scope: []string{"connect"}, Expires: 1 << 40, Last: 1 << 40})
	require.NoError(t, err)
	host, err := ForHost(aSecret(1), "root")
	require.NoError(t, err)
	call := func(text string) auth.Request {
		return auth.Request{Door: auth.DoorConnect, Header: map[string][]string{"authorization": {"Bearer " + text}}, Peer: authtest.Loopback}
	}
	authtest.Run(t, authtest.Subject{
		Authenticator: &auth.Chain{Methods: []auth.Method{i}},
		Good:          call(text),
		Want: auth.Identity{
			User: "alice", RealUser: "alice", Groups: []string{"staff"}, Method: "TOKEN", Token: r.ID, Expires: r.Expires, Renew: "https://gateway:10099",
		},
		Bad: map[string]auth.Request{
			"nothing": {Peer: authtest.Loopback}, "junk": call("rht_junk"), "an empty one": call("rht_"), "two dots": call("rht_.."),
			"a revoked token": call(revoked), "the key of another cluster": call(stranger), "other claims under a known id": call(forged),
			"an unknown id": call(unknown), "a cut one": call(text[:len(text)-1]), "one with a tail": call(text + "A"), "a flipped bit": call(flip(text, 60)),
			"no algorithm":    call("rht_eyJhbGciOiJub25lIn0." + text[len(text)/2:] + "."),
			"host at connect": call(host), "another scheme": {Header: map[string][]string{"authorization": {"Basic " + text}}, Peer: authtest.Loopback},
			"twice":        {Header: map[string][]string{"authorization": {"Bearer " + text, "Bearer " + text}}, Peer: authtest.Loopback},
			"in the clear": {Header: call(text).Header, Peer: authtest.Remote, Door: auth.DoorConnect},
		},
	})
}

// flip changes one character of a token.
func flip(text string, at int) string {
	other := byte('A')
	if text[at] == other {
		other = 'B'
	}
	return text[:at] + string(other) + text[at+1:]
}

// TestNoBitCanBeChanged: 0 of all tokens with one changed character come in.
func TestNoBitCanBeChanged(t *testing.T) {
	i := newWorld().issuer(t)
	text, _ := issued(t, i, alice, Wish{})
	for at := len(prefix); at < len(text); at++ {
		_, err := check(i, flip(text, at), auth.DoorConnect)
		require.Error(t, err, "character %d", at)
	}
}

func TestScope(t *testing.T) {
	i := newWorld().issuer(t)
	text, r := issued(t, i, alice, Wish{Scope: []string{"connect"}})
	_, err := check(i, text, auth.DoorConnect)
	require.NoError(t, err)
	_, err = check(i, text, auth.DoorREST)
	require.True(t, errs.Is(err, errs.PermissionDenied), "%v", err)
	require.ErrorContains(t, err, "opens connect only, not rest")

	by := alice
	by.Token = r.ID
	_, _, err = i.Issue(t.Context(), by, Wish{})
	require.ErrorContains(t, err, "cannot make one that opens rest", "no token gives more than it has")
	_, _, err = i.Issue(t.Context(), alice, Wish{Scope: []string{"root"}})
	require.True(t, errs.Is(err, errs.InvalidRequest))
}

func TestLifeOfAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		i := w.run(t)
		text, r := issued(t, i, alice, Wish{})
		i.Used(r.ID, "alice", "s1")
		w.opened("s1", true)
		time.Sleep(30 * time.Hour) // more than twice its lifetime
		synctest.Wait()            // a look that is due now is over
		id, err := check(i, text, auth.DoorConnect)
		require.NoError(t, err, "it slides while its session is open")
		require.False(t, id.Lapsed)
		require.Greater(t, time.Until(id.Expires), 10*time.Hour)

		w.opened("s1", false)
		time.Sleep(time.Until(id.Expires) + time.Minute)
		id, err = check(i, text, auth.DoorConnect)
		require.NoError(t, err)
		require.True(t, id.Lapsed, "its time is over, its grace is not")
		time.Sleep(15 * time.Minute)
		_, err = check(i, text, auth.DoorConnect)
		require.True(t, errs.Is(err, errs.TokenExpired), "%v", err)
		require.ErrorContains(t, err, "https://gateway:10099/api/v1/tokens")

		time.Sleep(48 * time.Hour)
		require.Zero(t, w.count(), "swept")
		_, err = check(i, text, auth.DoorConnect)
		require.Error(t, err)
	})
}

func TestNoTokenSlidesForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		i := w.run(t)
		text, r := issued(t, i, alice, Wish{})
		job, rj := issued(t, i, alice, Wish{Name: "nightly", Lifetime: 24 * time.Hour})
		i.Used(r.ID, "alice", "s1")
		i.Used(rj.ID, "alice", "s1")
		w.opened("s1", true)
		before := w.written()
		time.Sleep(7*24*time.Hour - time.Minute)
		_, err := check(i, text, auth.DoorConnect)
		require.NoError(t, err)
		require.Less(t, w.written()-before, 7*24+10, "a write an hour, not one for each look")
		time.Sleep(20 * time.Minute)
		_, err = check(i, text, auth.DoorConnect)
		require.True(t, errs.Is(err, errs.TokenExpired), "7 days at most: %v", err)
		_, err = check(i, job, auth.DoorConnect)
		require.Error(t, err, "tokens of jobs do not slide")
	})
}

func TestRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		i := w.run(t)
		text, r := issued(t, i, alice, Wish{})
		time.Sleep(11 * time.Hour)
		id, err := check(i, text, auth.DoorConnect)
		require.NoError(t, err)
		until, err := i.Renew(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, r.Expires.Add(11*time.Hour), until)
		time.Sleep(12*time.Hour + time.Minute)
		id, err = check(i, text, auth.DoorConnect)
		require.NoError(t, err)
		_, err = i.Renew(t.Context(), id)
		require.True(t, errs.Is(err, errs.TokenExpired), "an expired one is not renewed: %v", err)
	})
}

func TestRecordsOutliveTheProcess(t *testing.T) {
	w := newWorld()
	first := w.issuer(t)
	good, _ := issued(t, first, alice, Wish{})
	bad, r := issued(t, first, alice, Wish{})
	require.NoError(t, first.Revoke(t.Context(), alice, r.ID))
	second := w.issuer(t)
	_, err := check(second, good, auth.DoorConnect)
	require.NoError(t, err)
	_, err = check(second, bad, auth.DoorConnect)
	require.ErrorContains(t, err, "was revoked")
	for _, r := range second.List("alice") {
		require.NotContains(t, fmt.Sprint(r), good)
		require.Len(t, r.Hash, 64)
	}
}

func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		i := w.run(t)
		old, _ := issued(t, i, alice, Wish{})
		set := func(secrets ...[]byte) {
			w.mu.Lock()
			w.secrets = secrets
			w.mu.Unlock()
			time.Sleep(3 * time.Second)
		}
		set(aSecret(2), aSecret(1))
		fresh, _ := issued(t, i, alice, Wish{})
		for _, text := range []string{old, fresh} {
			_, err := check(i, text, auth.DoorConnect)
			require.NoError(t, err)
		}
		set(aSecret(2))
		_, err := check(i, old, auth.DoorConnect)
		require.ErrorContains(t, err, "does not count any more")
		_, err = check(i, fresh, auth.DoorConnect)
		require.NoError(t, err)
		set()
		_, err = check(i, fresh, auth.DoorConnect)
		require.NoError(t, err, "a file that cannot be read changes nothing")
	})
}

func TestRevokingTakesAlongWhatATokenAskedFor(t *testing.T) {
	i := newWorld().issuer(t)
	_, parent := issued(t, i, alice, Wish{})
	by := alice
	by.Token = parent.ID
	child, rc := issued(t, i, by, Wish{Name: "job", Lifetime: 80 * 24 * time.Hour})
	require.Equal(t, parent.Last.Unix(), rc.Expires.Unix(), "no child outlives its parent")
	by.Token = rc.ID
	grandchild, _ := issued(t, i, by, Wish{})
	require.NoError(t, i.Revoke(t.Context(), alice, parent.ID))
	for _, text := range []string{child, grandchild} {
		_, err := check(i, text, auth.DoorConnect)
		require.Error(t, err)
	}
	_, _, err := i.Issue(t.Context(), by, Wish{})
	require.Error(t, err, "nor does a fallen one have children")
}

func TestWhoMayDoWhat(t *testing.T) {
	w := newWorld()
	i := w.issuer(t)
	w.denied = "mallory"
	bob, root := auth.Identity{User: "bob"}, auth.Identity{User: "root", Admin: true}
	host := auth.Identity{User: "root", Admin: true, Host: true}
	for name, tt := range map[string]struct {
		by   auth.Identity
		wish Wish
		want *errs.Class
	}{
		"for oneself":            {alice, Wish{User: "alice"}, nil},
		"for somebody else":      {bob, Wish{User: "alice"}, errs.PermissionDenied},
		"an administrator":       {root, Wish{User: "alice", Groups: []string{"g"}}, nil},
		"groups of one's own":    {alice, Wish{Groups: []string{"admins"}}, errs.InvalidRequest},
		"no user name":           {root, Wish{User: "../x"}, errs.InvalidRequest},
		"no group name":          {root, Wish{User: "alice", Groups: []string{"a\nb"}}, errs.InvalidRequest},
		"a directory's group":    {root, Wish{User: "alice", Groups: []string{"Domain Guests"}}, nil},
		"a refused user":         {root, Wish{User: "mallory"}, errs.PermissionDenied},
		"in another's name":      {auth.Identity{User: "alice", RealUser: "bob"}, Wish{}, errs.PermissionDenied},
		"the host for nobody":    {host, Wish{}, errs.InvalidRequest},
		"the host for a user":    {host, Wish{User: "alice"}, nil},
		"nobody is known":        {auth.Identity{Method: auth.MethodNone, User: "x", Admin: true}, Wish{}, errs.Conflict},
		"an expired token":       {auth.Identity{User: "alice", Lapsed: true}, Wish{}, errs.TokenExpired},
		"a name with a newline":  {alice, Wish{Name: "a\nb"}, errs.InvalidRequest},
		"a life too long":        {alice, Wish{Lifetime: 13 * time.Hour}, errs.InvalidRequest},
		"a long one with a name": {alice, Wish{Lifetime: 13 * time.Hour, Name: "job"}, nil},
		"one beyond the maximum": {alice, Wish{Lifetime: 91 * 24 * time.Hour, Name: "job"}, errs.InvalidRequest},
		"a life too short":       {alice, Wish{Lifetime: time.Second}, errs.InvalidRequest},
		"a life of the past":     {alice, Wish{Lifetime: -time.Hour}, errs.InvalidRequest},
	} {
		_, r, err := i.Issue(t.Context(), tt.by, tt.wish)
		if tt.want != nil {
			require.True(t, errs.Is(err, tt.want), "%s: %v", name, err)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, "alice", r.User, name)
	}
	_, own := issued(t, i, bob, Wish{})
	foreign, missing := i.Revoke(t.Context(), alice, own.ID), i.Revoke(t.Context(), alice, "00000000-0000-4000-8000-000000000000")
	require.True(t, errs.Is(foreign, errs.NotFound))
	require.True(t, errs.Is(missing, errs.NotFound))
	require.NoError(t, i.Revoke(t.Context(), root, own.ID))
	n, err := i.RevokeUser(t.Context(), root, "alice")
	require.NoError(t, err)
	require.Equal(t, 5, n)
	for _, r := range i.List("alice") {
		require.False(t, r.good(time.Now()))
	}
}

func TestADisabledUserHasNoTokens(t *testing.T) {
	w := newWorld()
	i := w.issuer(t)
	text, _ := issued(t, i, alice, Wish{})
	w.denied = "alice"
	_, err := check(i, text, auth.DoorConnect)
	require.Error(t, err)
}

func TestTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newWorld().run(t)
		text, err := ForHost(aSecret(1), "root")
		require.NoError(t, err)
		id, err := check(i, text, auth.DoorREST)
		require.NoError(t, err)
		require.Equal(t, auth.Identity{User: "root", Admin: true, Host: true}, id)
		chain := &auth.Chain{Methods: []auth.Method{i}, Refused: []string{"root"}}
		_, err = chain.Authenticate(t.Context(), auth.Request{Door: auth.DoorREST, Peer: authtest.Loopback, Header: map[string][]string{"authorization": {"Bearer " + text}}})
		require.NoError(t, err, "who can read the secret administers, whatever the account is called")
		_, err = check(i, text, auth.DoorConnect)
		require.Error(t, err)
		time.Sleep(61 * time.Second)
		_, err = check(i, text, auth.DoorREST)
		require.Error(t, err)
	})
}

func TestLastUseIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		i := w.run(t)
		text, r := issued(t, i, alice, Wish{Name: "job"})
		require.True(t, i.List("alice")[0].Used.IsZero())
		for range 100 {
			_, err := check(i, text, auth.DoorREST)
			require.NoError(t, err)
		}
		require.Equal(t, time.Now().Truncate(grain).Unix(), i.List("alice")[0].Used.Unix())
		time.Sleep(grain + time.Second)
		require.Equal(t, 2, w.written(), "one of the making, one of a hundred uses")
		w.mu.Lock()
		defer w.mu.Unlock()
		require.False(t, w.records[r.ID].Used.IsZero())
	})
}

// TestAnOldSecretAdministersNothing: tokens that it signed have records, what the
// host signs has none.
func TestAnOldSecretAdministersNothing(t *testing.T) {
	w := newWorld()
	w.secrets = [][]byte{aSecret(2), aSecret(1)}
	i := w.issuer(t)
	for n, good := range map[byte]bool{1: false, 2: true} {
		text, err := ForHost(aSecret(n), "root")
		require.NoError(t, err)
		_, err = check(i, text, auth.DoorREST)
		require.Equal(t, good, err == nil, "secret %d: %v", n, err)
	}
}

// BenchmarkCheck is what a token costs a call.
func BenchmarkCheck(b *testing.B) {
	w := newWorld()
	i, err := New(b.Context(), w.options)
	require.NoError(b, err)
	text, _, err := i.Issue(b.Context(), alice, Wish{})
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := check(i, text, auth.DoorConnect); err != nil {
			b.Fatal(err)
		}
	}
}
