// SPDX-License-Identifier: Apache-2.0

package token

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// credential is what a header with a token looks like.
var credential = regexp.MustCompile(`(?s)^[Bb][Ee][Aa][Rr][Ee][Rr] (.+)$`)

// FuzzBearer gives a call up to two headers of either name: a token is taken
// from it only if it is the only one, and then it is.
func FuzzBearer(f *testing.F) {
	good := "Bearer 0123456789abcdef"
	f.Add(good, "", byte(1), byte(0))
	f.Add(good, good, byte(1), byte(1))
	f.Add(good, "bearer other", byte(1), byte(1))
	f.Add(good, good, byte(2), byte(0))
	f.Add("", "BEARER  x", byte(0), byte(1))
	f.Add("Bearer\t0123456789abcdef", "Basic eDp5", byte(1), byte(0))
	f.Add("Bearer "+strings.Repeat("x", maxToken+1), "", byte(1), byte(0))
	f.Fuzz(func(t *testing.T, current, old string, currents, olds byte) {
		header := map[string][]string{}
		for range currents % 3 {
			header["authorization"] = append(header["authorization"], current)
		}
		for range olds % 3 {
			header["authentication"] = append(header["authentication"], old)
		}
		var want string
		switch n, o := currents%3, olds%3; {
		case n == 1 && o == 0, n == 1 && o == 1 && current == old:
			want = tokenOf(current)
		case n == 0 && o == 1:
			want = tokenOf(old)
		}
		presented, fault := bearer(header)
		require.Equal(t, want, presented)
		require.Equal(t, want == "", fault != "")
		require.True(t, len(fault) < 50, "a fault repeats nothing of the header: %q", fault)
	})
}

// tokenOf is the token of one header, or "".
func tokenOf(value string) string {
	if m := credential.FindStringSubmatch(value); m != nil && len(m[1]) <= 4096 {
		return m[1]
	}
	return ""
}
