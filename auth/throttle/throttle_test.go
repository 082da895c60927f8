// SPDX-License-Identifier: Apache-2.0

package throttle_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
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

// directory accepts the password "good" of everybody and counts what it is asked.
type directory struct {
	asked atomic.Int64
	away  bool
	slow  time.Duration
}

func (*directory) Name() string      { return "DIRECTORY" }
func (*directory) Challenge() string { return "Basic" }

func (d *directory) Check(_ context.Context, _ auth.Request, c auth.Credentials) (auth.Identity, error) {
	d.asked.Add(1)
	<-time.After(d.slow)
	user, password, ok := c.Basic()
	switch {
	case d.away:
		return auth.Identity{}, errs.New(errs.AuthUnavailable, "away")
	case c.Scheme == auth.SchemeBearer && c.Value == "good":
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
	address, err := net.ResolveTCPAddr("tcp", from)
	if err != nil {
		panic(err)
	}
	_, err = g.chain.Authenticate(context.Background(), auth.Request{
		Header: map[string][]string{"authorization": {header}}, Peer: address, Secure: true,
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

// TestWaitsDouble: after the free failures each further one doubles the wait up
// to the longest; what is refused meanwhile neither asks nor counts.
func TestWaitsDouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(limits)
		for i := range 4 {
			require.True(t, errs.Is(g.login(here, "alice", fmt.Sprint(i)), errs.Unauthenticated))
		}
		for _, want := range []int{1, 2, 4, 8, 16, 32, 60, 60, 60} {
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
			require.True(t, errs.Is(g.login(here, "alice", "other"), errs.Unauthenticated))
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
		require.NoError(t, g.try(here, "Bearer good"))
		for i := range 11 {
			require.True(t, errs.Is(g.login(alsoHere, fmt.Sprint("u", i), "x"), errs.Unauthenticated))
		}
		require.True(t, throttled(g.login(alsoHere, "bob", "good")))
		require.True(t, throttled(g.try(alsoHere, "Bearer other")))
		require.NoError(t, g.try(alsoHere, "Bearer good"))
		require.NoError(t, g.login(alsoHere, "alice", "good"), "from a new connection")
		require.NoError(t, g.login(there, "bob", "good"))
		time.Sleep(time.Second)
		require.NoError(t, g.login(alsoHere, "bob", "good"))
	})
}

func TestFailuresAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(limits)
		for range 100 { // one every 20 s costs nothing, however long it goes on
			require.True(t, errs.Is(g.login(here, "alice", "x"), errs.Unauthenticated))
			time.Sleep(20 * time.Second)
		}
		for i := range 3 {
			require.Error(t, g.login(here, "alice", fmt.Sprint(i)))
		}
		require.NoError(t, g.login(here, "alice", "good"), "three are free")
		for i := range 3 {
			require.True(t, errs.Is(g.login(alsoHere, "alice", fmt.Sprint(i)), errs.Unauthenticated), "a good login begins anew")
		}
	})
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
		require.True(t, errs.Is(none.login(here, "alice", fmt.Sprint(i)), errs.Unauthenticated))
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

// TestMemoryIsBounded: a million names of a million addresses are no way to
// fill the memory, and those in use are not forgotten for them.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(limits)
		for i := range 60_000 {
			_ = g.login(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255), "u", "x")
			if i%5000 == 0 {
				require.Error(t, g.login(there, "alice", fmt.Sprint(i)))
			}
		}
		require.True(t, throttled(g.login(there, "alice", "last")))
	})
}
