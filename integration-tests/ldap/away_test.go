// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
)

// TestDirectoryAway: while the directory is stopped, or takes calls and says
// nothing, people who were in go on, others are told so within seconds; and when
// it is back all is well.
func TestDirectoryAway(t *testing.T) {
	s := env.StartSlapd(t)
	link := env.NewLink(t, s.Secure)
	h := start(t, s, map[string]string{
		"kyuubi.authentication.ldap.url":       "ldaps://" + link.Addr,
		"kyuubi.authentication.ldap.cache.ttl": "PT0.1S", // all but at once
		"kyuubi.authentication.ldap.timeout":   "PT2S",
	})
	client := from(t, "127.0.0.1", 10)
	alices, bobs := basic("alice", env.LDAPPassword("alice")), basic("bob", env.LDAPPassword("bob"))
	alice := h.person(alices)
	require.NoError(t, alice.version(t.Context()))
	for name, away := range map[string]struct{ begin, end func() }{
		"stopped": {s.Stop, s.Start},
		"silent":  {link.Darken, func() { link.Cut(); link.Open(t) }},
	} {
		wrong := basic("alice", "wrong while "+name)
		away.begin()
		for range 3 {
			started := time.Now()
			require.NoError(t, alice.version(t.Context()), name)
			require.Equal(t, http.StatusOK, h.code(client, alices), name)
			for _, other := range []string{bobs, wrong} {
				code, body, retryAfter := h.rest(client, other)
				require.Equal(t, http.StatusServiceUnavailable, code, "%s: %s", name, body)
				require.Contains(t, body, "cannot be asked at the moment. Try again in a minute")
				require.NotEmpty(t, retryAfter)
				err := h.person(other).version(t.Context())
				require.Equal(t, codes.Unavailable, status.Code(err), "%s: %v", name, err)
			}
			require.Less(t, time.Since(started), 6*time.Second, name)
		}
		away.end()
		require.Eventually(t, func() bool { return h.code(client, bobs) == http.StatusOK }, 10*time.Second, 50*time.Millisecond, name)
		require.Equal(t, http.StatusUnauthorized, h.code(client, wrong), name)
		require.NoError(t, alice.version(t.Context()), name)
		bobs = basic("dave", env.LDAPPassword("dave")) // somebody new for the next round
	}
}

// TestTwoServers: with one of two servers gone, nobody notices.
func TestTwoServers(t *testing.T) {
	s := env.StartSlapd(t)
	first, second := env.NewLink(t, s.Secure), env.NewLink(t, s.Secure)
	h := start(t, s, map[string]string{
		"kyuubi.authentication.ldap.url":       "ldaps://" + first.Addr + " ldaps://" + second.Addr,
		"kyuubi.authentication.ldap.cache.ttl": "0",
	})
	client, alices := from(t, "127.0.0.1", 1), basic("alice", env.LDAPPassword("alice"))
	for _, link := range []*env.Link{first, second, first} {
		require.Equal(t, http.StatusOK, h.code(client, alices))
		link.Refuse(t)
		require.Equal(t, http.StatusOK, h.code(client, alices))
		link.Open(t)
	}
	require.NotContains(t, h.Gateway.Log(), "the directory cannot be asked")
}
