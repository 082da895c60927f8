// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
)

const (
	badPerSecond = 1000
	attackers    = "127.0.0.2"
)

// TestFlood: a thousand bad logins a second from one address, for one user and
// for many. The directory hears of a bounded number; people at other addresses,
// and at that one who are in, notice nothing.
func TestFlood(t *testing.T) {
	duration := env.Duration(4*time.Second, 60*time.Second)
	h := start(t, env.StartSlapd(t), map[string]string{"kyuubi.authentication.ldap.cache.ttl": "PT1S"})
	client, neighbour := from(t, "127.0.0.1", 4), from(t, attackers, 2)
	alices, bobs := basic("alice", env.LDAPPassword("alice")), basic("bob", env.LDAPPassword("bob"))
	require.Equal(t, http.StatusOK, h.code(neighbour, bobs))
	calm := h.timed(client, alices, 50)

	stop := make(chan struct{})
	var all sync.WaitGroup
	var waits []time.Duration
	all.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				waits = append(waits, h.timed(client, alices, 10), h.timed(neighbour, bobs, 10))
			}
		}
	})
	answers := h.flood(from(t, attackers, 100), duration)
	close(stop)
	all.Wait()

	require.Equal(t, http.StatusOK, h.code(from(t, attackers, 1), bobs), "who came in from there before may come again")
	good := 4 * int(duration.Seconds()+2) // of alice and bob, once a second each, and some
	bad := h.Binds("") - good
	slices.Sort(waits)
	slowest := waits[len(waits)-1]
	t.Logf("%d bad logins in %v: %d refused by the directory, %d not looked at, %d others; the directory was asked %d times; "+
		"good calls took %v before and at most %v (mean of 10) meanwhile", answers.sum(), duration,
		answers.n[http.StatusUnauthorized].Load(), answers.n[http.StatusTooManyRequests].Load(), answers.others.Load(), h.Binds(""), calm, slowest)
	require.Zero(t, answers.others.Load(), "good ones, or no answer")
	require.GreaterOrEqual(t, answers.sum(), int64(badPerSecond*duration.Seconds()/2), "the machine is too slow for this test")
	require.Less(t, bad, 240, "two patterns, so two binds for each login that is looked at")
	require.Less(t, slowest, time.Second)
	require.NoError(t, h.person(alices).version(t.Context()))
}

// timed makes good calls and returns how long they took in the mean.
func (h *house) timed(client *http.Client, authorization string, calls int) time.Duration {
	started := time.Now()
	for range calls {
		if code, body, _ := h.rest(client, authorization); code != http.StatusOK {
			h.t.Errorf("a good call was answered with %d: %s", code, body)
		}
	}
	return time.Since(started) / time.Duration(calls)
}

// tally counts answers by their status.
type tally struct {
	n      map[int]*atomic.Int64
	others atomic.Int64
}

func (a *tally) sum() int64 {
	return a.n[http.StatusUnauthorized].Load() + a.n[http.StatusTooManyRequests].Load() + a.others.Load()
}

// flood makes bad logins at the rate, half of them for alice, half for names
// that there may be.
func (h *house) flood(client *http.Client, duration time.Duration) *tally {
	counts := &tally{n: map[int]*atomic.Int64{http.StatusUnauthorized: {}, http.StatusTooManyRequests: {}}}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	over := time.After(duration)
	room := make(chan struct{}, 200) // more than these would only wait here
	var all sync.WaitGroup
	defer all.Wait()
	for i := 0; ; {
		select {
		case <-over:
			return counts
		case <-ticker.C:
		}
		for range badPerSecond / 100 {
			i++
			bad := basic([]string{"alice", fmt.Sprint("user", i)}[i%2], fmt.Sprint("guess", i))
			room <- struct{}{}
			all.Go(func() {
				defer func() { <-room }()
				counts.add(h.code(client, bad))
			})
		}
	}
}

func (a *tally) add(code int) {
	if n, ok := a.n[code]; ok {
		n.Add(1)
	} else {
		a.others.Add(1)
	}
}

// TestThrottleSpeaks: what is said to whoever fails too often, at both doors,
// and that it does not last.
func TestThrottleSpeaks(t *testing.T) {
	h := start(t, env.StartSlapd(t), map[string]string{
		"kyuubi.authentication.throttle.user.failures": "2", "kyuubi.authentication.throttle.wait.max": "PT3S",
	})
	client, good := from(t, "127.0.0.1", 1), basic("alice", env.LDAPPassword("alice"))
	for i := range 3 {
		require.Equal(t, http.StatusUnauthorized, h.code(client, basic("alice", fmt.Sprint(i))))
	}
	code, body, retryAfter := h.rest(client, good)
	require.Equal(t, http.StatusTooManyRequests, code)
	require.Contains(t, body, "Too many logins from 127.0.0.1 failed, so this one was not looked at. Correct the user name, password or token, and try again in 1 s")
	require.Equal(t, "1", retryAfter)
	err := h.person(good).version(t.Context())
	require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
	require.ErrorContains(t, err, "[GATEWAY.LIMIT_EXCEEDED] Too many logins")
	require.Equal(t, http.StatusOK, h.code(from(t, attackers, 1), good), "another address is another matter")
	require.Eventually(t, func() bool {
		code, _, after := h.rest(client, good)
		if code != http.StatusOK {
			seconds, err := strconv.Atoi(after)
			require.NoError(t, err)
			require.LessOrEqual(t, seconds, 3)
		}
		return code == http.StatusOK
	}, 5*time.Second, 100*time.Millisecond)
}
