// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"roundhouse/integration-tests/env"
)

// The limits of the abuse test, and how far beyond them the abuser tries to go.
const (
	maxSessions = 10
	maxEngines  = 2
	maxCalls    = 20
	abuse       = 100
)

// What the 99th percentile of the others may be over twice the quiet one: the
// abuser and its engines share the machine with everybody, not only the
// gateway. A short window has some 700 pieces, a long one seven times as many.
const (
	fewPieces  = 20 * time.Millisecond
	manyPieces = 5 * time.Millisecond
)

// tries is how often an attack is repeated until the bound holds: a machine that
// is busy with something else fails one try, a gateway that lets an abuser
// disturb others fails all.
const tries = 3

// refusalBound is how fast an abuser must be refused, 99 of 100 times in a short
// run and every time in a long one; or as fast as the others are served in the
// quiet time before, on a machine too busy for that.
const refusalBound = 50 * time.Millisecond

// TestOneAbuserAndNineOthers: nobody but the abuser notices, whatever it tries.
func TestOneAbuserAndNineOthers(t *testing.T) {
	g := start(t, map[string]string{
		"kyuubi.server.limit.connections.per.user": strconv.Itoa(maxSessions),
		"kyuubi.server.limit.engines.per.user":     strconv.Itoa(maxEngines),
		"kyuubi.server.limit.calls.per.user":       strconv.Itoa(maxCalls),
	})
	var users []*normalUser
	for i := range 9 {
		users = append(users, newNormalUser(t, g, fmt.Sprintf("user%d", i)))
	}
	a := newAbuser(t, g)
	work(t, users, time.Second) // warm
	most := watchEngines(t, g)
	for _, at := range a.attacks() {
		withstood := false
		for n := 0; n < tries && !withstood; n++ {
			withstood = a.try(t, at, users)
		}
		require.True(t, withstood, "beside %s the others are slowed down, or refusals take long, in each try", at.name)
	}
	seen, err := most()
	require.NoError(t, err)
	require.Equal(t, maxEngines, seen)
	a.judge(t)
	require.LessOrEqual(t, sessionsOf(g, "eve"), maxSessions)
}

// try lets the users work in a quiet time and then beside the attack, and says
// whether they do not notice and the abuser is refused soon.
func (a *abuser) try(t *testing.T, at attack, users []*normalUser) bool {
	t.Helper()
	window := env.Duration(2*time.Second, 15*time.Second)
	quiet := work(t, users, window)
	before := len(a.refused)
	end := a.begin(at, window)
	loud := work(t, users, window)
	end()
	refused := a.refused[before:]
	t.Logf("nine users, quiet: %v; beside %s: %v; refused: %v", quiet, at.name, loud, refused)
	share := 0.99
	if env.Long() {
		share = 1
	}
	unnoticed := loud.at(0.99) <= 2*quiet.at(0.99)+env.Duration(fewPieces, manyPieces)
	return unnoticed && refused.at(share) < max(refusalBound, quiet.at(share))
}

// judge looks at what became of all attempts: what is beyond the limits was
// refused by a limit that is named.
func (a *abuser) judge(t *testing.T) {
	t.Helper()
	t.Logf("the abuser: %d attempts, got %d, held %d, refused %v", a.attempts, a.got, a.held, a.refused)
	t.Logf("refused by limit: %v", a.byLimit)
	require.Empty(t, a.other, "an abuser is refused, and nothing else")
	require.LessOrEqual(t, a.got, maxSessions-len(a.clients), "each attempt that succeeds keeps its session")
	require.Equal(t, a.attempts, a.got+a.held+len(a.refused))
	require.Greater(t, len(a.refused), a.attempts*9/10)
	for _, limit := range []string{"calls.per.user", "connections.per.user", "engines.per.user"} {
		require.NotZero(t, a.byLimit[limit], limit)
	}
}

func sessionsOf(g *env.Gateway, user string) (open int) {
	for _, s := range g.Sessions() {
		if s.User == user {
			open++
		}
	}
	return open
}

// watchEngines looks at the abuser's engines all the time, by REST and by what
// runs on the machine. The function that it returns ends that, as the end of the
// test does, and tells the most that it saw.
func watchEngines(t *testing.T, g *env.Gateway) func() (int, error) {
	t.Helper()
	over := make(chan struct{})
	seen := 0
	var watching errgroup.Group
	watching.Go(func() error {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			listed, err := countEngines(g, "eve")
			if err != nil {
				return fmt.Errorf("looking at the engines of eve: %w", err)
			}
			seen = max(seen, listed, len(env.Marked(g.Home+"/work/eve/")))
			select {
			case <-tick.C:
			case <-over:
				return nil
			}
		}
	})
	end := sync.OnceValues(func() (int, error) {
		close(over)
		err := watching.Wait()
		return seen, err
	})
	t.Cleanup(func() { _, _ = end() })
	return end
}

// countEngines is enginesOf for a goroutine that may not fail the test.
func countEngines(g *env.Gateway, user string) (n int, err error) {
	client := http.Client{Timeout: 10 * time.Second}
	r, err := client.Get("http://" + g.REST + "/api/v1/admin/engine?all=true")
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Body.Close() }()
	var list []env.Engine
	if err := json.NewDecoder(r.Body).Decode(&list); err != nil {
		return 0, fmt.Errorf("status %d: %w", r.StatusCode, err)
	}
	for _, e := range list {
		if e.User == user && e.State != "ended" {
			n++
		}
	}
	return n, nil
}
