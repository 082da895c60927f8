// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
	"roundhouse/auth/authtest"
	"roundhouse/internal/errs"
)

func TestNoneConforms(t *testing.T) {
	authtest.Run(t, authtest.Subject{
		Authenticator: auth.None{},
		Good:          auth.Request{},
		Want:          auth.Identity{Method: auth.MethodNone, Admin: true},
	})
}

func TestClaimUser(t *testing.T) {
	none := auth.Identity{Method: auth.MethodNone}
	for claimed, want := range map[string]string{"": "anonymous", "alice": "alice", "a.b@EXAMPLE.ORG": "a.b@EXAMPLE.ORG"} {
		id, err := auth.ClaimUser(none, claimed)
		require.NoError(t, err)
		require.Equal(t, auth.Identity{User: want, RealUser: want, Method: auth.MethodNone}, id)
	}
	_, err := auth.ClaimUser(none, "../root")
	require.True(t, errs.Is(err, errs.InvalidRequest))

	verified := auth.Identity{User: "alice", RealUser: "alice", Method: "TOKEN"}
	id, err := auth.ClaimUser(verified, "../bob")
	require.NoError(t, err)
	require.Equal(t, verified, id, "a claim cannot change a verified user")
}

func TestValidUser(t *testing.T) {
	for _, name := range []string{"a", "_x", "alice", "Alice.B-c_d@REALM.ORG", "root", strings.Repeat("a", 64)} {
		require.NoError(t, auth.ValidUser(name), name)
	}
	for _, name := range []string{
		"", ".", "..", "-rf", "@x", "1user", "a/b", "a/b@REALM", "../x", "a b", " a", "a ", "alice\n", "alice\n--conf",
		"a\x00b", "a;b", "a$(id)", "älice", "аlice", strings.Repeat("a", 65), strings.Repeat("a", 1<<16),
	} {
		err := auth.ValidUser(name)
		require.True(t, errs.Is(err, errs.InvalidRequest), "%.20q", name)
		require.Less(t, len(err.Error()), 400)
	}
}
