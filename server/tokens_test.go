// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
	"roundhouse/auth/issue"
	"roundhouse/conf"
	"roundhouse/discovery"
	"roundhouse/discovery/embedded"
	"roundhouse/internal/errs"
	"roundhouse/server/people"
)

// TestAccountsOfTheSystemGetNoTokens: the setting that keeps them out says whom.
func TestAccountsOfTheSystemGetNoTokens(t *testing.T) {
	dir := t.TempDir()
	c, err := conf.New(map[string]string{"kyuubi.authentication": "TOKEN", "kyuubi.server.data.dir": dir, "kyuubi.authentication.refused.users": "robot"})
	require.NoError(t, err)
	store, err := embedded.Open(embedded.Options{Dir: dir})
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	p := &parts{c: c}
	p.store, p.access, p.log = records{store, store, store, store}, &access{}, slog.New(slog.DiscardHandler)
	require.NoError(t, p.makeTokens())
	_, _, err = p.tokens.Issue(t.Context(), auth.Identity{User: "me", Admin: true, Host: true}, issue.Wish{User: "robot"})
	require.ErrorContains(t, err, "User robot is an account of the system")
}

// TestEnableTellsOfTokens, which stay revoked.
func TestEnableTellsOfTokens(t *testing.T) {
	store, err := embedded.Open(embedded.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	list, err := people.New(t.Context(), store, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	_, err = list.Disable(t.Context(), nothing{}, "bob", "admin", "")
	require.NoError(t, err)
	said, err := restPeople{people: list}.Enable(t.Context(), auth.Identity{User: "admin"}, "bob")
	require.NoError(t, err)
	require.Equal(t, "User bob may come in again. Tokens that were revoked stay revoked.", said)
}

// faulty is a store of several gateways with one answer.
type faulty struct {
	sharedTokens
	err error
}

func (f faulty) PutToken(context.Context, discovery.TokenRecord) error { return f.err }

func (f faulty) GetToken(context.Context, string) (discovery.TokenRecord, error) {
	return discovery.TokenRecord{ID: "t1"}, f.err
}

func (f faulty) DeleteToken(context.Context, string) error { return f.err }

func (f faulty) FollowTokens(_ context.Context, told discovery.Told[discovery.TokenRecord]) error {
	told(discovery.TokenRecord{ID: "t1"}, true)
	return f.err
}

func TestWhatTheStoreOfTokensSays(t *testing.T) {
	s := tokenStore{faulty{err: discovery.ErrAway}}
	_, _, asked := s.GetToken(t.Context(), "t1")
	for _, err := range []error{s.PutToken(t.Context(), issue.Record{}), s.DeleteToken(t.Context(), "t1"), asked} {
		require.True(t, errs.Is(err, errs.StoreAway), "%v", err)
	}
	require.True(t, errs.Is(tokenStore{faulty{err: discovery.ErrFull}}.PutToken(t.Context(), issue.Record{}), errs.LimitExceeded))
	_, found, err := tokenStore{faulty{err: discovery.ErrNotFound}}.GetToken(t.Context(), "t1")
	require.NoError(t, err)
	require.False(t, found)
	r, found, err := tokenStore{faulty{}}.GetToken(t.Context(), "t1")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "t1", r.ID)
	told := 0
	require.NoError(t, tokenStore{faulty{}}.FollowTokens(t.Context(), func(r issue.Record, gone bool) {
		require.Equal(t, "t1", r.ID)
		require.True(t, gone)
		told++
	}))
	require.Equal(t, 1, told)
}
