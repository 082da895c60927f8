// SPDX-License-Identifier: Apache-2.0

package people_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery/embedded"
	"roundhouse/internal/errs"
	"roundhouse/server/people"
)

// property notes whose was ended.
type property struct {
	list  *people.List
	mu    sync.Mutex
	ended []string
	err   error
}

func (p *property) endings() []string { p.mu.Lock(); defer p.mu.Unlock(); return slices.Clone(p.ended) }

func (p *property) EndAll(_ context.Context, user, why string) (people.Ended, error) {
	if p.list.Denied(user) == nil {
		return people.Ended{}, errors.New("the door was still open")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = append(p.ended, user+": "+why)
	return people.Ended{Calls: 1, Sessions: 2, Engines: 3}, p.err
}

func TestDisableAndEnable(t *testing.T) {
	dir := t.TempDir()
	store, err := embedded.Open(embedded.Options{Dir: dir})
	require.NoError(t, err)
	l, err := people.New(t.Context(), store, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, l.Denied("bob"))
	p := &property{list: l}
	ended, err := l.Disable(t.Context(), p, "bob", "root", "left")
	require.NoError(t, err)
	require.Equal(t, people.Ended{Calls: 1, Sessions: 2, Engines: 3}, ended)
	require.Equal(t, []string{"bob: User bob was disabled by root."}, p.ended)
	for _, name := range []string{"bob", "Bob", "BOB"} {
		require.True(t, errs.Is(l.Denied(name), errs.PermissionDenied), name)
	}
	require.NoError(t, l.Denied("bobby"))

	p.err = errors.New("an engine goes on")
	_, err = l.Disable(t.Context(), p, "bob", "olga", "")
	require.ErrorIs(t, err, p.err)
	require.Error(t, l.Denied("bob"), "what goes on does not let him in")
	require.NoError(t, store.Close())

	store, err = embedded.Open(embedded.Options{Dir: dir})
	require.NoError(t, err)
	l, err = people.New(t.Context(), store, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Error(t, l.Denied("bob"), "a restart forgets nothing")
	require.Equal(t, "olga", l.All()[0].By)
	was, err := l.Enable(t.Context(), "bob", "root")
	require.NoError(t, err)
	require.True(t, was)
	was, err = l.Enable(t.Context(), "bob", "root")
	require.NoError(t, err)
	require.False(t, was)
	require.NoError(t, l.Denied("bob"))
	require.Empty(t, l.All())
	require.NoError(t, store.Close())

	_, err = l.Disable(t.Context(), p, "bob", "root", "")
	require.True(t, errs.Is(err, errs.Internal), "%v", err)
	require.NoError(t, l.Denied("bob"), "what is not durable is not said to be done")
}

// TestNamesInAnyCase are one entry, also after a restart.
func TestNamesInAnyCase(t *testing.T) {
	store, err := embedded.Open(embedded.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	defer func() { _ = store.Close() }()
	l, err := people.New(t.Context(), store, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for _, name := range []string{"Bob", "bob"} {
		_, err := l.Disable(t.Context(), &property{list: l}, name, "root", "")
		require.NoError(t, err)
	}
	require.Len(t, l.All(), 1)
	was, err := l.Enable(t.Context(), "BOB", "root")
	require.NoError(t, err)
	require.True(t, was)
	l, err = people.New(t.Context(), store, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, l.Denied("bob"))
	require.Empty(t, l.All())
}

func TestWhatCannotBeDisabled(t *testing.T) {
	store, err := embedded.Open(embedded.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	defer func() { _ = store.Close() }()
	l, err := people.New(t.Context(), store, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for _, name := range []string{"", "*", "../x", "a b"} {
		_, err := l.Disable(t.Context(), &property{list: l}, name, "root", "")
		require.True(t, errs.Is(err, errs.InvalidRequest), name)
	}
	_, err = l.Disable(t.Context(), &property{list: l}, "bob", "root", strings.Repeat("x", 600))
	require.True(t, errs.Is(err, errs.InvalidRequest))
	require.Empty(t, l.All())
}
