// SPDX-License-Identifier: Apache-2.0

package people_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/discovery"
	"roundhouse/internal/errs"
	"roundhouse/server/people"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// board is a store of several gateways in memory.
type board struct {
	mu      sync.Mutex
	all     map[string]discovery.DisabledUser
	changed chan struct{}
	fail    error
	// slow is how long a write takes after the others know of it.
	slow time.Duration
}

func newBoard() *board {
	return &board{all: map[string]discovery.DisabledUser{}, changed: make(chan struct{})}
}

func (b *board) change(how func()) error {
	b.mu.Lock()
	defer func() { <-time.After(b.slow) }()
	defer b.mu.Unlock()
	if b.fail != nil {
		return b.fail
	}
	how()
	close(b.changed)
	b.changed = make(chan struct{})
	return nil
}

func (b *board) PutDisabled(_ context.Context, r discovery.DisabledUser) error {
	return b.change(func() { b.all[r.User] = r })
}

func (b *board) DeleteDisabled(_ context.Context, user string) error {
	return b.change(func() { delete(b.all, user) })
}

func (b *board) Disabled(context.Context) ([]discovery.DisabledUser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.all)), nil
}

func (b *board) FollowDisabled(ctx context.Context, told discovery.Told[discovery.DisabledUser]) error {
	known := map[string]discovery.DisabledUser{}
	for {
		b.mu.Lock()
		now, changed := maps.Clone(b.all), b.changed
		b.mu.Unlock()
		for user, r := range now {
			if r != known[user] {
				told(r, false)
			}
		}
		for user := range known {
			if _, is := now[user]; !is {
				told(discovery.DisabledUser{User: user}, true)
			}
		}
		known = now
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// gateway is a list that runs until the end of a bubble.
type gateway struct {
	*people.List
	*property
	said *text
}

// text is what a log says.
type text struct {
	mu sync.Mutex
	bytes.Buffer
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.Buffer.Write(p)
}

func (t *text) String() string { t.mu.Lock(); defer t.mu.Unlock(); return t.Buffer.String() }

func (b *board) gateway(t *testing.T) gateway {
	var said text
	l, err := people.New(t.Context(), b, slog.New(slog.NewTextHandler(&said, nil)))
	require.NoError(t, err)
	g := gateway{l, &property{list: l}, &said}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- l.Run(ctx, g.property) }() // waited for below
	t.Cleanup(func() { cancel(); require.NoError(t, <-over) })
	return g
}

func (g gateway) disable(t *testing.T, user string) {
	t.Helper()
	_, err := g.Disable(t.Context(), g.property, user, "root", "left")
	require.NoError(t, err)
}

func TestAllGatewaysHear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		one, other := b.gateway(t), b.gateway(t)
		one.disable(t, "Bob")
		synctest.Wait()
		require.True(t, errs.Is(other.Denied("bob"), errs.PermissionDenied), "at once")
		require.Empty(t, other.endings(), "the one who was asked counts what there is")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{"bob: User bob was disabled by root."}, other.endings())
		require.Len(t, one.endings(), 1, "its own change is no news")
		require.Contains(t, other.said.String(), "level=INFO msg=\"another gateway has changed")
		require.NotContains(t, one.said.String(), "another gateway")

		one.disable(t, "bob") // for what is left
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Len(t, other.endings(), 2)

		late := b.gateway(t)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Error(t, late.Denied("bob"))
		require.Equal(t, []string{"bob: User bob was disabled by root."}, late.endings(), "nobody knows whether all of it was over")

		was, err := other.Enable(t.Context(), "BOB", "root")
		require.NoError(t, err)
		require.True(t, was)
		synctest.Wait()
		for _, g := range []gateway{one, other, late} {
			require.NoError(t, g.Denied("bob"))
			require.Empty(t, g.All())
		}
	})
}

// TestOwnChangesAreNoNews, also when the store tells of them before it says that
// they are done.
func TestOwnChangesAreNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		b.slow = time.Second
		g := b.gateway(t)
		g.disable(t, "bob")
		time.Sleep(3 * time.Second)
		_, err := g.Enable(t.Context(), "bob", "root")
		require.NoError(t, err)
		synctest.Wait()
		require.Len(t, g.endings(), 1)
		require.NotContains(t, g.said.String(), "another gateway")
	})
}

// TestChangedBack: who is let in again within the second keeps what they have there.
func TestChangedBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		one, other := b.gateway(t), b.gateway(t)
		one.disable(t, "bob")
		synctest.Wait()
		_, err := one.Enable(t.Context(), "bob", "root")
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Empty(t, other.endings())
		require.NoError(t, other.Denied("bob"))
	})
}

// TestTwoChangesAtOnce: the later one counts at both gateways, also where the earlier one is
// answered last.
func TestTwoChangesAtOnce(t *testing.T) {
	disable := func(g gateway) { _, _ = g.Disable(context.Background(), g.property, "bob", "olga", "") }
	enable := func(g gateway) { _, _ = g.Enable(context.Background(), "bob", "root") }
	for name, tc := range map[string]struct {
		first, then func(gateway)
		disabled    bool
	}{"enabled at last": {disable, enable, false}, "disabled at last": {enable, disable, true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoard()
				one, other := b.gateway(t), b.gateway(t)
				one.disable(t, "bob")
				time.Sleep(2 * time.Second)
				before := len(one.endings())
				b.slow = time.Second
				var both sync.WaitGroup
				both.Go(func() { tc.first(one) })
				time.Sleep(time.Second / 2)
				both.Go(func() { tc.then(other) })
				both.Wait()
				time.Sleep(2 * time.Second)
				for _, g := range []gateway{one, other} {
					require.Equal(t, tc.disabled, g.Denied("bob") != nil)
				}
				if tc.disabled {
					require.Greater(t, len(one.endings()), before, "what came in between has ended")
				}
			})
		})
	}
}

// TestAGatewayThatDiedInBetween: the next start ends what is left.
func TestAGatewayThatDiedInBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		b.all["bob"] = discovery.DisabledUser{User: "bob", By: "root"}
		g := b.gateway(t)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{"bob: User bob was disabled by root."}, g.endings())
		require.Contains(t, g.said.String(), "what a disabled user had here has ended")
	})
}

func TestManyAreDisabledElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		one, other := b.gateway(t), b.gateway(t)
		other.err = errors.New("an engine goes on")
		for n := range 20 {
			one.disable(t, fmt.Sprintf("user%d", n))
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Len(t, other.endings(), 20)
		require.Contains(t, other.said.String(), "an engine goes on")
	})
}

func TestTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		g := b.gateway(t)
		g.disable(t, "eve")
		b.mu.Lock()
		b.fail = fmt.Errorf("%w: no servers", discovery.ErrAway)
		b.mu.Unlock()
		_, err := g.Disable(t.Context(), g.property, "bob", "root", "")
		require.True(t, errs.Is(err, errs.StoreAway), "%v", err)
		require.NoError(t, g.Denied("bob"))
		_, err = g.Enable(t.Context(), "eve", "root")
		require.True(t, errs.Is(err, errs.StoreAway), "%v", err)
		require.Error(t, g.Denied("eve"), "what is known goes on")
	})
}

// mute is a store that tells nothing by itself, as that of a single gateway.
type mute struct{ *board }

func (mute) FollowDisabled(ctx context.Context, _ discovery.Told[discovery.DisabledUser]) error {
	<-ctx.Done()
	return nil
}

// TestEnabledAtTheStart: who is let in before what they had has ended keeps what they have by then.
func TestEnabledAtTheStart(t *testing.T) {
	for name, enable := range map[string]func(t *testing.T, b *board, l *people.List, run func()){
		"here": func(t *testing.T, _ *board, l *people.List, run func()) {
			run()
			was, err := l.Enable(t.Context(), "bob", "root")
			require.True(t, was && err == nil)
		},
		"elsewhere, before this gateway listens": func(t *testing.T, b *board, _ *people.List, run func()) {
			require.NoError(t, b.DeleteDisabled(t.Context(), "bob"))
			run()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoard()
				b.all["bob"] = discovery.DisabledUser{User: "bob", By: "root"}
				b.all["eve"] = discovery.DisabledUser{User: "eve", By: "root"}
				var said text
				l, err := people.New(t.Context(), mute{b}, slog.New(slog.NewTextHandler(&said, nil)))
				require.NoError(t, err)
				p := &property{list: l}
				ctx, cancel := context.WithCancel(t.Context())
				over := make(chan error, 1)
				enable(t, b, l, func() {
					go func() { over <- l.Run(ctx, p) }() // waited for below
					synctest.Wait()
				})
				<-time.After(2 * time.Second)
				synctest.Wait()
				require.NoError(t, l.Denied("bob"))
				require.Error(t, l.Denied("eve"))
				require.Equal(t, []string{"eve: User eve was disabled by root."}, p.endings())
				require.NotContains(t, said.String(), "not all of a disabled user", "nobody else was to end")
				cancel()
				require.NoError(t, <-over)
			})
		})
	}
}
