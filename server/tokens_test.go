// SPDX-License-Identifier: Apache-2.0

package server

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
	"roundhouse/auth/issue"
	"roundhouse/conf"
	"roundhouse/discovery/embedded"
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
	p.store, p.access, p.log = store, &access{}, slog.New(slog.DiscardHandler)
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
