// SPDX-License-Identifier: Apache-2.0

package throttle_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
	"roundhouse/auth/throttle"
	"roundhouse/internal/errs"
)

// directory accepts the password "good" of everybody and tokens that begin so,
// and counts what it is asked.
type directory struct {
	asked        atomic.Int64
	away, broken bool
	slow         time.Duration
}

func (*directory) Name() string      { return "DIRECTORY" }
func (*directory) Challenge() string { return "Basic" }

func (d *directory) Check(_ context.Context, _ auth.Request, c auth.Credentials) (auth.Identity, error) {
	d.asked.Add(1)
	if d.slow > 0 {
		<-time.After(d.slow)
	}
	user, password, ok := c.Basic()
	switch {
	case d.broken:
		panic("broken")
	case d.away:
		return auth.Identity{}, errs.New(errs.AuthUnavailable, "away")
	case c.Scheme == auth.SchemeBearer && strings.HasPrefix(c.Value, "good"):
		return auth.Identity{User: "alice"}, nil
	case !ok || password != "good":
		return auth.Identity{}, errors.New("wrong password")
	}
	return auth.Identity{User: auth.ShortName(user)}, nil
}

// gate is a chain with a throttle.
type gate struct {
	*directory
	chain *auth.Chain
}

func newGate(o throttle.Options) gate {
	d := &directory{}
	return gate{d, &auth.Chain{Methods: []auth.Method{d}, Watchers: []auth.Watcher{throttle.New(o)}}}
}

func (g gate) try(from, header string) error {
	_, err := g.chain.Authenticate(context.Background(), auth.Request{
		Header: map[string][]string{"authorization": {header}}, Peer: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from)), Secure: true,
	})
	return err
}

func (g gate) login(from, user, password string) error {
	return g.try(from, "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

var limits = throttle.Options{UserFailures: 3, AddressFailures: 10, LongestWait: time.Minute}

const (
	here, alsoHere = "192.0.2.1:1000", "192.0.2.1:2000"
	there          = "192.0.2.2:1000"
)

func throttled(err error) bool { return errs.Is(err, errs.LimitExceeded) }

func refused(err error) bool { return errs.Is(err, errs.Unauthenticated) }

// TestWaitsDouble: after the free failures each further one doubles the wait up
// to the longest; what is refused meanwhile neither asks nor counts.
func TestWaitsDouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(limits)
		for i := range 4 {
			require.True(t, refused(g.login(here, "alice", fmt.Sprint(i))))
		}
		for i, want := range []int{1, 2, 4, 8, 16, 32, 60, 60, 60} {
			asked := g.asked.Load()
			for _, name := range []string{"alice", "ALICE", "alice@x"} {
				err := g.login(here, name, "other")
				require.True(t, throttled(err), "%v", err)
				require.ErrorContains(t, err, fmt.Sprintf("try again in %d s", want))
				var hint interface{ RetryAfter() time.Duration }
				require.ErrorAs(t, err, &hint)
				require.Equal(t, time.Duration(want)*time.Second, hint.RetryAfter())
			}
			require.Equal(t, asked, g.asked.Load())
			time.Sleep(time.Duration(want) * time.Second)
			require.True(t, refused(g.login(here, "alice", fmt.Sprint("guess", i))))
		}
	})
}

// TestOthersAreNotAffected: what fails in alice's name at an address keeps
// nobody out but alice there, and not even her where she is in already.
func TestOthersAreNotAffected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(limits)
		require.NoError(t, g.login(alsoHere, "alice", "good"))
		for i := range 4 {
			require.Error(t, g.login(here, "alice", fmt.Sprint(i)))
		}
		require.True(t, throttled(g.login(here, "alice", "good")), "a good password is not looked at either, or the wait would cost nothing")
		require.True(t, throttled(g.login("192.0.2.1:3000", "alice", "good")))
		require.NoError(t, g.login(alsoHere, "alice", "good"), "her connection goes on")
		require.NoError(t, g.login(there, "alice", "good"))
		require.NoError(t, g.login(here, "bob", "good"))
	})
}

// TestManyUsersFromOneAddress: an address that fails for many users waits as a
// whole, but for users who came in from there before.
func TestManyUsersFromOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(limits)
		require.NoError(t, g.login(here, "alice", "good"))
		for i := range 11 {
			require.True(t, refused(g.login(alsoHere, fmt.Sprint("u", i), "x")))
		}
		require.True(t, throttled(g.login(alsoHere, "bob", "good")))
		require.NoError(t, g.login(alsoHere, "alice", "good"), "from a new connection")
		require.NoError(t, g.login(there, "bob", "good"))
		time.Sleep(time.Second)
		require.NoError(t, g.login(alsoHere, "bob", "good"))
	})
}

// TestTokensDoNotWaitForPasswords: nobody guesses a token, so those of an
// address where passwords fail are looked at, also ones that are new there. Only
// the work that forged ones make is bounded, and passwords do not wait for these.
func TestTokensDoNotWaitForPasswords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(limits)
		require.NoError(t, g.try(here, "Bearer good"))
		for i := range 11 {
			require.True(t, refused(g.login(here, fmt.Sprint("u", i), "x")))
		}
		require.True(t, throttled(g.login(here, "bob", "good")))
		for i := range 100 {
			require.NoError(t, g.try(here, fmt.Sprint("Bearer good", i)), "on a proven connection, too")
			require.NoError(t, g.try(fmt.Sprint("192.0.2.1:", 3000+i), fmt.Sprint("Bearer good", i)))
		}
		require.True(t, refused(g.try(here, "Negotiate ticket")))
		looked := 0
		for i := range 1000 {
			if refused(g.try(there, fmt.Sprint("Bearer forged", i))) {
				looked++
			}
		}
		require.Equal(t, 201, looked)
		require.True(t, throttled(g.try(there, "Bearer good")))
		require.NoError(t, g.login(there, "bob", "good"))
		require.NoError(t, g.try(here, "Bearer good and here"))
		time.Sleep(time.Second)
		require.NoError(t, g.try(there, "Bearer good"))
	})
}

func TestFailuresAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(limits)
		for i := range 100 { // one every 20 s costs nothing, however long it goes on
			require.True(t, refused(g.login(here, "alice", fmt.Sprint("x", i))))
			time.Sleep(20 * time.Second)
		}
		for i := range 3 {
			require.True(t, refused(g.login(here, "alice", fmt.Sprint(i))))
		}
		require.NoError(t, g.login(here, "alice", "good"), "three are free")
		require.True(t, refused(g.login(alsoHere, "alice", "4")))
		require.True(t, throttled(g.login(alsoHere, "alice", "5")), "a good login forgets nothing")
	})
}

// TestGoodLoginsGiveNoGuesses: alice works at the address where somebody guesses
// at hers.
func TestGoodLoginsGiveNoGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(limits)
		looked := 0
		for i := range 1000 {
			if refused(g.login(here, "alice", fmt.Sprint(i))) {
				looked++
			}
			if i%3 == 0 {
				require.NoError(t, g.login(alsoHere, "alice", "good"))
			}
		}
		require.Equal(t, 4, looked)
	})
}

// TestOneGuessCountsOnce: clients that go on with an old password or token know
// no more after it than before, whether they call at once or every second.
func TestOneGuessCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(limits)
		g.slow = time.Millisecond
		var all sync.WaitGroup
		for range 12 {
			all.Go(func() { require.True(t, refused(g.login(here, "alice", "old"))) })
		}
		all.Wait()
		for range 600 {
			require.True(t, refused(g.login(here, "alice", "old")))
			require.True(t, refused(g.try(here, "Bearer expired")))
			time.Sleep(time.Second)
		}
		require.NoError(t, g.login(alsoHere, "alice", "good"))
		require.NoError(t, g.login(alsoHere, "bob", "good"))

		g = newGate(throttle.Options{UserFailures: 1, LongestWait: time.Minute})
		require.True(t, refused(g.login(here, "alice", "old")))
		time.Sleep(time.Minute)
		require.True(t, refused(g.login(here, "alice", "old")), "it counts again once it is forgotten, or old guesses could be tried for ever")
		require.True(t, refused(g.login(here, "alice", "other")))
		require.True(t, throttled(g.login(here, "alice", "good")))
	})
}

// TestAttemptsUnderWay: what is known to be good is no attempt and ends none.
func TestAttemptsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(throttle.Options{UserFailures: 1, LongestWait: time.Minute})
		require.NoError(t, g.login(alsoHere, "alice", "good"))
		require.True(t, refused(g.login(here, "alice", "guess")))
		g.slow = time.Second
		var all sync.WaitGroup
		all.Go(func() { require.NoError(t, g.login(alsoHere, "alice", "good")) })
		time.Sleep(500 * time.Millisecond)
		all.Go(func() { require.NoError(t, g.login(here, "alice", "good")) })
		time.Sleep(700 * time.Millisecond)
		require.True(t, throttled(g.login(here, "alice", "other guess")), "one at a time")
		all.Wait()
	})
}

// TestUsersWithoutALimit: their addresses bound the guesses at them, also where
// they came in before.
func TestUsersWithoutALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(throttle.Options{AddressFailures: 10, LongestWait: time.Minute})
		require.NoError(t, g.login(here, "alice", "good"))
		require.NoError(t, g.try(here, "Bearer good"))
		looked := 0
		for i := range 1000 {
			if refused(g.login(alsoHere, "alice", fmt.Sprint(i))) {
				looked++
			}
		}
		require.Equal(t, 11, looked)
		require.NoError(t, g.login(here, "alice", "good"), "her connection goes on")
		for i := range 1000 {
			_ = g.try(alsoHere, fmt.Sprint("Bearer forged", i))
		}
		require.True(t, throttled(g.try(alsoHere, "Bearer good and new")))
		require.NoError(t, g.try(alsoHere, "Bearer good"), "a token has no user's limit and needs none")
	})
}

// TestForgedTokensCountEachTime: the work they make is the same each time.
func TestForgedTokensCountEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(limits)
		for range 1000 {
			_ = g.try(here, "Bearer forged")
		}
		require.EqualValues(t, 201, g.asked.Load())

		g = newGate(throttle.Options{UserFailures: 3, LongestWait: time.Minute})
		for range 1000 {
			require.True(t, refused(g.login(here, "alice", "old")), "a password is one guess without an address's limit, too")
		}
	})
}

// TestCrowds: who comes while many others are being checked did nothing wrong,
// and is not told so.
func TestCrowds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(limits)
		g.slow = 3 * time.Second
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() { require.NoError(t, g.login(here, fmt.Sprint("u", i), "good")) })
		}
		synctest.Wait()
		err := g.login(here, "bob", "good")
		require.True(t, throttled(err))
		require.ErrorContains(t, err, "Many logins from 192.0.2.1 are being checked at the moment; try again in 1 s")
		require.NotContains(t, err.Error(), "failed")
		all.Wait()
		require.NoError(t, g.login(here, "bob", "good"))

		g = newGate(throttle.Options{UserFailures: 1, LongestWait: time.Minute})
		for i := range 2 {
			require.True(t, refused(g.login(here, "alice", fmt.Sprint(i))))
		}
		g.slow = 3 * time.Second
		time.Sleep(time.Second)
		all.Go(func() { require.NoError(t, g.login(here, "alice", "good")) })
		synctest.Wait()
		require.ErrorContains(t, g.login(here, "alice", "2"), "Too many logins from 192.0.2.1 failed", "one at a time after failures")
		all.Wait()
	})
}

// TestPanics: an attempt whose method panics is over.
func TestPanics(t *testing.T) {
	g := newGate(limits)
	g.broken = true
	for i := range 100 {
		require.Panics(t, func() { _ = g.login(here, "alice", fmt.Sprint(i)) })
	}
	g.broken = false
	require.NoError(t, g.login(here, "alice", "good"))
}

// TestManyAtOnce: a thousand guesses at once are no way around the limits, and
// calls that bring the same password are one guess.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(limits)
		g.slow = time.Second
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() { _ = g.login(here, "alice", fmt.Sprint(i)) })
			all.Go(func() { _ = g.login(there, fmt.Sprint("u", i), "x") })
		}
		all.Wait()
		require.LessOrEqual(t, g.asked.Load(), int64(3+40))
		time.Sleep(time.Hour)
		for range 200 {
			all.Go(func() { require.NoError(t, g.login(here, "alice", "good")) })
		}
		all.Wait()
	})
}

// TestWhatCountsForNothing: an answer that says nothing about credentials, and
// calls without any.
func TestWhatCountsForNothing(t *testing.T) {
	g := newGate(limits)
	g.away = true
	for range 100 {
		require.True(t, errs.Is(g.login(here, "alice", "x"), errs.AuthUnavailable))
		_, err := g.chain.Authenticate(t.Context(), auth.Request{Peer: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}})
		require.False(t, throttled(err))
	}
	g.away = false
	require.NoError(t, g.login(here, "alice", "good"))
	none := newGate(throttle.Options{LongestWait: time.Minute})
	for i := range 100 {
		require.True(t, refused(none.login(here, "alice", fmt.Sprint(i))))
	}
}

// TestNetworks: an IPv6 customer has a whole /64, and one IPv4 address has two spellings.
func TestNetworks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(throttle.Options{UserFailures: 1, LongestWait: time.Minute})
		for _, same := range [][3]string{
			{"[2001:db8::1]:1", "[2001:db8::ffff:2]:2", "[2001:db8:0:1::1]:1"},
			{"192.0.2.1:1", "[::ffff:192.0.2.1]:2", "192.0.2.3:1"},
		} {
			require.Error(t, g.login(same[0], "alice", "a"))
			require.Error(t, g.login(same[0], "alice", "b"))
			require.True(t, throttled(g.login(same[1], "alice", "c")), same[1])
			require.False(t, throttled(g.login(same[2], "alice", "c")), same[2])
		}
	})
}

// TestScriptsPushNobodyOut: one with a connection for each call makes no other
// user a stranger.
func TestScriptsPushNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(limits)
		require.NoError(t, g.login(here, "alice", "good"))
		for i := range 21_000 {
			require.NoError(t, g.login(fmt.Sprint("192.0.2.3:", 1000+i), "bob", "good"))
		}
		for i := range 11 {
			require.True(t, refused(g.login(here, fmt.Sprint("u", i), "x")))
		}
		require.NoError(t, g.login(alsoHere, "alice", "good"))
	})
}

// TestRefusalsPushNobodyOut: calls that are not looked at make no accounts.
func TestRefusalsPushNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(limits)
		for i := range 4 {
			require.True(t, refused(g.login(there, "alice", fmt.Sprint(i))))
		}
		looked := 0
		for i := range 21_000 {
			if refused(g.login(here, fmt.Sprint("u", i), "x")) {
				looked++
			}
		}
		require.Equal(t, 11, looked)
		require.True(t, throttled(g.login(there, "alice", "good")))
	})
}

// TestMemoryIsBounded: names of many addresses are no way to
// fill the memory, and those in use are not forgotten for them.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(limits)
		for i := range 30_000 {
			_ = g.login(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255), "u", "x")
			if i%5000 == 0 {
				require.Error(t, g.login(there, "alice", fmt.Sprint(i)))
			}
		}
		require.True(t, throttled(g.login(there, "alice", "last")))
	})
	g := newGate(limits)
	before := heap()
	name := strings.Repeat("n", 40_000)
	for i := range 250 {
		require.True(t, refused(g.login(fmt.Sprintf("10.1.%d.%d:1", i>>8, i&255), fmt.Sprint(i, name), "x")))
	}
	require.Less(t, heap()-before, int64(3<<20), "names that nobody can have, of 10 MB")
	runtime.KeepAlive(g)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
