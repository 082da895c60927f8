// SPDX-License-Identifier: Apache-2.0

package discoverytest

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
)

// Tokens is the suite of discovery.TokenStore.
func Tokens(t *testing.T, open func(t *testing.T) discovery.TokenStore) {
	for name, test := range map[string]func(*testing.T, discovery.TokenStore){
		"records read back, put replaces": tokensReadBack,
		"a revocation stays":              tokensRevoked,
		"unusable records are refused":    tokensUnusable,
		"an ended context stops a call":   tokensObeyContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func newToken(id string) discovery.TokenRecord {
	made := time.Date(2026, 11, 21, 8, 0, 0, 123456789, time.UTC)
	return discovery.TokenRecord{
		ID: id, User: "alice", Name: "nightly", Hash: "0f", Method: "LDAP", Scope: []string{"connect", "rest"}, Parent: "t0", By: "boss",
		Created: made, Expires: made.Add(time.Hour), Last: made.Add(2 * time.Hour),
		SlidUntil: made.Add(90 * time.Minute), Revoked: made.Add(time.Minute), Used: made.Add(time.Second),
	}
}

func tokensReadBack(t *testing.T, s discovery.TokenStore) {
	records, err := s.Tokens(t.Context())
	require.NoError(t, err)
	require.Empty(t, records)
	first, second := newToken("t1"), newToken("t2")
	require.NoError(t, s.PutToken(t.Context(), first))
	second.Revoked = time.Time{}
	require.NoError(t, s.PutToken(t.Context(), second))
	second.Name, second.Scope, second.Parent, second.By = "", nil, "", ""
	second.SlidUntil, second.Used = time.Time{}, time.Time{}
	require.NoError(t, s.PutToken(t.Context(), second))

	records, err = s.Tokens(t.Context())
	require.NoError(t, err)
	slices.SortFunc(records, func(a, b discovery.TokenRecord) int { return cmp.Compare(a.ID, b.ID) })
	require.Equal(t, []discovery.TokenRecord{first, second}, records)

	got, err := s.GetToken(t.Context(), "t1")
	require.NoError(t, err)
	require.Equal(t, first, got)
	require.NoError(t, s.DeleteToken(t.Context(), "t1"))
	require.NoError(t, s.DeleteToken(t.Context(), "t1"), "absent by now")
	_, err = s.GetToken(t.Context(), "t1")
	require.ErrorIs(t, err, discovery.ErrNotFound)
	records, err = s.Tokens(t.Context())
	require.NoError(t, err)
	require.Equal(t, []discovery.TokenRecord{second}, records)
}

// tokensRevoked: who writes a record as it was before loses what else is new, but not that.
func tokensRevoked(t *testing.T, s discovery.TokenStore) {
	revoked := newToken("t1")
	require.NoError(t, s.PutToken(t.Context(), revoked))
	late := revoked
	late.Revoked, late.Used = time.Time{}, revoked.Used.Add(time.Minute)
	require.NoError(t, s.PutToken(t.Context(), late))
	got, err := s.GetToken(t.Context(), "t1")
	require.NoError(t, err)
	require.Equal(t, revoked.Revoked, got.Revoked)
	require.Equal(t, late.Used, got.Used)
}

func tokensUnusable(t *testing.T, s discovery.TokenStore) {
	large := newToken("t1")
	large.Name = strings.Repeat("x", 1<<20)
	for name, r := range map[string]discovery.TokenRecord{"no id": newToken(""), "huge": large, "NUL": newToken("t\x00")} {
		require.ErrorIs(t, s.PutToken(t.Context(), r), discovery.ErrInvalid, name)
	}
}

func tokensObeyContext(t *testing.T, s discovery.TokenStore) {
	ctx := cancelled(t)
	require.ErrorIs(t, s.PutToken(ctx, newToken("t1")), context.Canceled)
	require.ErrorIs(t, s.DeleteToken(ctx, "t1"), context.Canceled)
	_, err := s.GetToken(ctx, "t1")
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Tokens(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
