// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
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

// TestWhoIsDisabledMeanwhileDoesNothing: the body of a call takes its time, and
// its user is disabled before it is complete.
func TestWhoIsDisabledMeanwhileDoesNothing(t *testing.T) {
	for target, body := range map[string]string{"/api/v1/sessions": "{}", "/api/v1/admin/users/root/enable": "", "/api/v1/tokens": "{}"} {
		w, disabled := aWorld(), false
		o := options(w)
		o.Denied = func(string, string) error {
			if disabled {
				return errs.New(errs.PermissionDenied, "User root is disabled.")
			}
			return nil
		}
		s, err := New(o)
		require.NoError(t, err)
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:10099"+target, io.MultiReader(strings.NewReader(body), meanwhile(func() { disabled = true })))
		r.Header.Set("Authorization", "Bearer root")
		reply := httptest.NewRecorder()
		s.Handler().ServeHTTP(reply, r)
		require.Equal(t, http.StatusForbidden, reply.Code, target)
		require.Empty(t, w.done(), target)
	}
}

// meanwhile is the end of a body, at which something happens.
type meanwhile func()

func (m meanwhile) Read([]byte) (int, error) { m(); return 0, io.EOF }
