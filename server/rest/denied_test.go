// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/internal/errs"
)

// TestDenyListsHoldForEveryRouteOfPeople, and not for engines and probes.
func TestDenyListsHoldForEveryRouteOfPeople(t *testing.T) {
	o := options(aWorld())
	o.Denied = func(user, address string) error {
		require.Equal(t, "192.0.2.1", address)
		if user == "alice" {
			return errs.New(errs.PermissionDenied, "User alice may not use this gateway.")
		}
		return nil
	}
	c := serve(t, o)
	for _, target := range []string{"/api/v1/sessions", "/api/v1/version", "/metrics", "/api/v1/admin/engine", "/nowhere"} {
		require.Equal(t, http.StatusForbidden, c.do("alice", http.MethodGet, target, "").Code, target)
	}
	require.Equal(t, http.StatusForbidden, c.do("alice", http.MethodPost, "/api/v1/sessions", "{}").Code)
	require.Equal(t, http.StatusOK, c.do("bob", http.MethodGet, "/api/v1/sessions", "").Code)
	require.Equal(t, http.StatusOK, c.do("", http.MethodGet, "/healthz", "").Code)
}
