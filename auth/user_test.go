// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
)

func TestShortName(t *testing.T) {
	for name, want := range map[string]string{
		"alice": "alice", "alice@EXAMPLE.ORG": "alice", "alice/laptop@EXAMPLE.ORG": "alice", "alice@a@b": "alice",
		"a.b-c_d@example.org": "a.b-c_d", "Alice@example.org": "Alice", "EXAMPLE\\alice": "EXAMPLE\\alice",
		"": "", "@EXAMPLE.ORG": "", "/alice": "", "../alice": "..", "alice\n@X": "alice\n", "аlice@X": "аlice",
	} {
		require.Equal(t, want, auth.ShortName(name), "%q", name)
	}
}

// TestShortNameSavesNoBadName: what is hostile in a name stays to be refused.
func TestShortNameSavesNoBadName(t *testing.T) {
	for _, name := range []string{"", "@X", "/x", "../x", "alice\n@X", "alice\x00", "аlice@X", "uid=alice,dc=x", "EXAMPLE\\alice", "-rf@X", "a b@X"} {
		require.Error(t, auth.ValidUser(auth.ShortName(name)), "%q", name)
	}
}
