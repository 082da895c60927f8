// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// credential is what a header with credentials looks like.
var credential = regexp.MustCompile(`(?s)^([^ ]+) (.+)$`)

// FuzzCredentials gives a call up to two headers of either name: credentials are
// taken from it only if they are the only ones, and then they are.
func FuzzCredentials(f *testing.F) {
	good := "Bearer 0123456789abcdef"
	f.Add(good, "", byte(1), byte(0))
	f.Add(good, good, byte(1), byte(1))
	f.Add(good, "bearer other", byte(1), byte(1))
	f.Add(good, good, byte(2), byte(0))
	f.Add("", "BEARER  x", byte(0), byte(1))
	f.Add("Bearer\t0123456789abcdef", "Basic eDp5", byte(1), byte(0))
	f.Add("Bearer "+strings.Repeat("x", maxCredentials), "", byte(1), byte(0))
	f.Fuzz(func(t *testing.T, current, old string, currents, olds byte) {
		header := map[string][]string{}
		for range currents % 3 {
			header["authorization"] = append(header["authorization"], current)
		}
		for range olds % 3 {
			header["authentication"] = append(header["authentication"], old)
		}
		var want Credentials
		switch n, o := currents%3, olds%3; {
		case n == 1 && o == 0, n == 1 && o == 1 && current == old:
			want = credentialsOf(current)
		case n == 0 && o == 1:
			want = credentialsOf(old)
		}
		got, err := ReadCredentials(header)
		require.Equal(t, want, got)
		require.Equal(t, want == Credentials{} && len(header) > 0, err != nil)
		if err != nil {
			require.Less(t, len(err.Error()), 50, "an error repeats nothing of the header")
		}
	})
}

// credentialsOf are those of one header, or none.
func credentialsOf(value string) Credentials {
	if m := credential.FindStringSubmatch(value); m != nil && len(value) <= 64<<10 {
		return Credentials{Scheme: strings.ToLower(m[1]), Value: m[2]}
	}
	return Credentials{}
}
