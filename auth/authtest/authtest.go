// SPDX-License-Identifier: Apache-2.0

// Package authtest holds every auth.Authenticator to the same behaviour.
package authtest

import (
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"roundhouse/auth"
	"roundhouse/internal/errs"
)

// Subject is what a suite runs on.
type Subject struct {
	Authenticator auth.Authenticator
	// Good is a request that must be accepted as Want.
	Good auth.Request
	Want auth.Identity
	// Bad are requests that must be refused, by a name that says why.
	Bad map[string]auth.Request
}

// Loopback and Remote are peers for requests.
var (
	Loopback net.Addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 50000}
	Remote   net.Addr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 50000}
)

// Run runs the suite.
func Run(t *testing.T, s Subject) {
	t.Run("accepts the good request", func(t *testing.T) { accepts(t, s) })
	t.Run("identities are independent", func(t *testing.T) { independent(t, s) })
	t.Run("serves calls at once", func(t *testing.T) { together(t, s) })
	for name, r := range s.Bad {
		t.Run("refuses "+name, func(t *testing.T) { refuses(t, s, r) })
	}
}

func accepts(t *testing.T, s Subject) {
	before := cloneHeader(s.Good.Header)
	id, err := s.Authenticator.Authenticate(t.Context(), s.Good)
	require.NoError(t, err)
	require.Equal(t, s.Want, id)
	require.NotEmpty(t, id.Method)
	require.Equal(t, before, s.Good.Header, "the header was changed")
	if id.Method != auth.MethodNone {
		require.NoError(t, auth.ValidUser(id.User))
		require.NotEmpty(t, id.RealUser)
	}
}

// independent: what a caller does to its Identity must not reach others.
func independent(t *testing.T, s Subject) {
	id, err := s.Authenticator.Authenticate(t.Context(), s.Good)
	require.NoError(t, err)
	for i := range id.Groups {
		id.Groups[i] = "changed"
	}
	again, err := s.Authenticator.Authenticate(t.Context(), s.Good)
	require.NoError(t, err)
	require.Equal(t, s.Want, again)
}

func together(t *testing.T, s Subject) {
	var wg sync.WaitGroup
	errors := make([]error, 16)
	for i := range errors {
		wg.Go(func() { _, errors[i] = s.Authenticator.Authenticate(t.Context(), s.Good) })
	}
	wg.Wait()
	for _, err := range errors {
		require.NoError(t, err)
	}
}

// refuses: the answer is the same to the last byte, whatever was wrong.
func refuses(t *testing.T, s Subject, r auth.Request) {
	id, err := s.Authenticator.Authenticate(t.Context(), r)
	require.Zero(t, id)
	require.True(t, errs.Is(err, errs.Unauthenticated), "%v", err)
	constant := errs.New(errs.Unauthenticated, "")
	require.True(t, proto.Equal(errs.Status(constant).Proto(), errs.Status(err).Proto()), "%v", errs.Status(err))
	for _, value := range slices.Concat(slices.Collect(maps.Values(r.Header))...) {
		for _, word := range strings.Fields(value) {
			if len(word) >= 16 {
				require.NotContains(t, err.Error(), word, "credentials in the log")
			}
		}
	}
}

func cloneHeader(h map[string][]string) map[string][]string {
	c := maps.Clone(h)
	for k, v := range c {
		c[k] = slices.Clone(v)
	}
	return c
}
