// SPDX-License-Identifier: Apache-2.0

package issue

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
	"roundhouse/internal/errs"
)

// TestAccountsOfTheSystemGetNoTokens, which would let them in nowhere.
func TestAccountsOfTheSystemGetNoTokens(t *testing.T) {
	w := newWorld()
	w.options.Refused = []string{"root"}
	i := w.issuer(t)
	host := auth.Identity{User: "root", Admin: true, Host: true}
	for _, user := range []string{"root", "Root"} {
		_, _, err := i.Issue(t.Context(), host, Wish{User: user})
		require.True(t, errs.Is(err, errs.InvalidRequest), err)
		require.ErrorContains(t, err, "kyuubi.server.administrators")
	}
	require.Zero(t, w.count())
}

// TestLifetimesAreToldAsPeopleWriteThem, such as 90d.
func TestLifetimesAreToldAsPeopleWriteThem(t *testing.T) {
	i := newWorld().issuer(t)
	_, _, err := i.Issue(t.Context(), auth.Identity{User: "alice"}, Wish{Name: "job", Lifetime: 100*24*time.Hour + time.Second})
	require.ErrorContains(t, err, "is between 5m and 90d here, not 2400h0m1s.")
	_, _, err = i.Issue(t.Context(), auth.Identity{User: "alice"}, Wish{Lifetime: 36 * time.Hour})
	require.ErrorContains(t, err, "is between 5m and 12h here, not 36h.")
}
