// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
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
	// freshTokens is how many tokens there are that nobody has used.
	freshTokens = 10_000
)

// TestFlood: a thousand bad logins a second from one address, for one user and
// for many, at both doors. The directory hears of a bounded number; people at
// other addresses notice nothing, nor do those at that one who are in, or bring
// tokens that nobody has seen there.
func TestFlood(t *testing.T) {
	duration := env.Duration(4*time.Second, 60*time.Second)
	h := start(t, env.StartSlapd(t), map[string]string{
		"kyuubi.authentication.ldap.cache.ttl": "PT1S", "kyuubi.authentication.token.file": tokenFile(t),
	})
	client, neighbour := from(t, "127.0.0.1", 4), from(t, attackers, 2)
	alices, bobs := basic("alice", env.LDAPPassword("alice")), basic("bob", env.LDAPPassword("bob"))
	carol := &stranger{person: h.personFrom(attackers, ""), client: from(t, attackers, 1)}
	require.Equal(t, http.StatusOK, h.code(neighbour, bobs))
	require.NoError(t, carol.call(h), "her engine runs from here on")
	calm := h.timed(client, alices, 50)

	stop := make(chan struct{})
	var all sync.WaitGroup
	var waits []time.Duration
	all.Go(func() {
		pace := time.NewTicker(20 * time.Millisecond)
		defer pace.Stop()
		for {
			select {
			case <-stop:
				return
			case <-pace.C:
				waits = append(waits, h.timed(client, alices, 10), h.timed(neighbour, bobs, 10), carol.timed(h))
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
		"good calls took %v before and at most %v (mean of 10) meanwhile; %d tokens were new", answers.sum(), duration,
		answers.n[http.StatusUnauthorized].Load(), answers.n[http.StatusTooManyRequests].Load(), answers.others.Load(), h.Binds(""), calm, slowest, carol.used)
	require.Zero(t, answers.others.Load(), "good ones, or no answer")
	least := env.Count(badPerSecond/2, badPerSecond*9/10)
	require.GreaterOrEqual(t, answers.sum(), int64(float64(least)*duration.Seconds()), "the machine is too slow for this test")
	require.Less(t, bad, 500, "two patterns, so two binds for each login that is looked at: of 200 at once, and some later")
	require.Less(t, slowest, time.Second)
	require.Greater(t, carol.used, 4)
	require.NoError(t, h.person(alices).version(t.Context()))
}

func freshToken(i int) string { return fmt.Sprintf("fresh-token-%08d", i) }

// tokenFile has the administrator's token and carol's.
func tokenFile(t *testing.T) string {
	t.Helper()
	text := []byte(adminToken + " operator admin\n")
	for i := range freshTokens {
		text = fmt.Appendln(text, freshToken(i), "carol")
	}
	path := filepath.Join(t.TempDir(), "fresh")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

// stranger brings a new token with each call, as who has just logged in or whose
// issuer renews them.
type stranger struct {
	*person // on a connection that is known
	client  *http.Client
	used    int
}

// call makes one call over Spark Connect and one over REST, on a new connection.
func (s *stranger) call(h *house) error {
	s.authorization = "Bearer " + freshToken(s.used)
	s.client.CloseIdleConnections()
	if code, body, _ := h.rest(s.client, "Bearer "+freshToken(s.used+1)); code != http.StatusOK {
		return fmt.Errorf("%d: %s", code, body)
	}
	s.used += 2
	return s.version(h.t.Context())
}

func (s *stranger) timed(h *house) time.Duration {
	started := time.Now()
	if err := s.call(h); err != nil {
		h.t.Errorf("a call with a new token: %v", err)
	}
	return time.Since(started)
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
// that there may be, and one in ten over Spark Connect.
func (h *house) flood(client *http.Client, duration time.Duration) *tally {
	counts := &tally{n: map[int]*atomic.Int64{http.StatusUnauthorized: {}, http.StatusTooManyRequests: {}}}
	connect := h.personFrom(attackers, "")
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	began, over := time.Now(), time.After(duration)
	room := make(chan struct{}, 200) // more than these would only wait here
	var all sync.WaitGroup
	defer all.Wait()
	for i := 0; ; {
		select {
		case <-over:
			return counts
		case <-ticker.C: // some are left out on a busy machine
		}
		for due := int(badPerSecond * time.Since(began).Seconds()); i < due; {
			i++
			bad := basic([]string{"alice", fmt.Sprint("user", i)}[i%2], fmt.Sprint("guess", i))
			door := func() int { return h.code(client, bad) }
			if i%20 < 2 {
				door = func() int { return connect.refused(h, bad) }
			}
			room <- struct{}{}
			all.Go(func() {
				defer func() { <-room }()
				counts.add(door())
			})
		}
	}
}

// refused is the HTTP status of what Spark Connect answers.
func (p *person) refused(h *house, authorization string) int {
	other := *p
	other.authorization = authorization
	switch status.Code(other.version(h.t.Context())) {
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	default:
		return 0
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
