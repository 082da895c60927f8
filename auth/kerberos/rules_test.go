// SPDX-License-Identifier: Apache-2.0

package kerberos

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
)

const home = "EXAMPLE.ORG"

// split is what a ticket holds of a principal.
func split(principal string) ([]string, string) {
	name, realm, _ := strings.Cut(principal, "@")
	return strings.Split(name, "/"), realm
}

func TestRules(t *testing.T) {
	const (
		cluster = "RULE:[2:$1@$0]([nd]n@.*EXAMPLE.ORG)s/.*/hdfs/\nRULE:[2:$1@$0]([rn]m@.*EXAMPLE.ORG)s/.*/yarn/\nDEFAULT"
		folded  = "RULE:[1:$1@$0](.*@CORP\\.EXAMPLE)s/@.*///L DEFAULT"
	)
	for _, c := range []struct{ rules, principal, user string }{
		{"", "alice@EXAMPLE.ORG", "alice"},
		{"DEFAULT", "Alice@EXAMPLE.ORG", "Alice"},
		{"DEFAULT", "alice/admin@EXAMPLE.ORG", "alice"},
		{"DEFAULT", "alice@EVIL.ORG", ""},
		{"DEFAULT", "alice@example.org", ""},
		{"DEFAULT/L", "Alice@EXAMPLE.ORG", "alice"},
		{cluster, "nn/host.example.org@EXAMPLE.ORG", "hdfs"},
		{cluster, "rm/host.example.org@EXAMPLE.ORG", "yarn"},
		{cluster, "nm/host.example.org@EXAMPLE.ORG", "yarn"},
		{cluster, "nn@EXAMPLE.ORG", "nn"},
		{cluster, "nn/host@EVIL.ORG", ""},
		{folded, "Alice@CORP.EXAMPLE", "alice"},
		{folded, "Alice@CORPXEXAMPLE", ""},
		{folded, "Alice@CORP.EXAMPLE.EVIL.ORG", ""},
		{folded, "Bob@EXAMPLE.ORG", "Bob"},
		{"RULE:[1:$1]", "alice@ANY.ORG", "alice"},
		{"RULE:[1:$1;$0](^.*;A.ORG$)s/;A.ORG$//", "alice@A.ORG", "alice"},
		{"RULE:[1:$1](a.*)s/a/b/", "aaa@A.ORG", "baa"},
		{"RULE:[1:$1](a.*)s/a/b/g", "aaa@A.ORG", "bbb"},
		{"RULE:[1:$1](.*)s/^(.)(.*)$/$2_$1/", "alice@A.ORG", "lice_a"},
		{"RULE:[1:$1](.*)s/li/\\$1/", "alice@A.ORG", "a$1ce"},
		{"RULE:[2:$2]", "x/alice@A.ORG", "alice"},
		{"RULE:[1:$1](bob)RULE:[1:$1](alice)s/.*/carol/DEFAULT", "alice@A.ORG", "carol"},
		{"RULE:[1:$1](ali)", "alice@EXAMPLE.ORG", ""},
		{"RULE:[1:$1@$0]", "alice@EXAMPLE.ORG", ""},
		{"RULE:[2:$1/$2] DEFAULT", "a/b@EXAMPLE.ORG", ""},
		{"RULE:[1:$1]/L", "\u212Aate@A.ORG", "\u212Aate"},
	} {
		r, err := ParseRules(c.rules, home)
		require.NoError(t, err, c.rules)
		components, realm := split(c.principal)
		user, err := r.User(components, realm)
		require.Equal(t, c.user, user, "%s by %q", c.principal, c.rules)
		require.Equal(t, c.user == "", err != nil, "%s by %q", c.principal, c.rules)
	}
}

// TestHostilePrincipals: whatever a KDC signs, the result is a user or nobody,
// with the laxest of rules too.
func TestHostilePrincipals(t *testing.T) {
	for _, text := range []string{"", "RULE:[1:$1] RULE:[2:$1$2] RULE:[2:$1]"} {
		r, err := ParseRules(text, home)
		require.NoError(t, err)
		for _, components := range [][]string{
			nil, {}, {""}, {"", ""}, {"alice", ""}, {"", "alice"}, {"a", "b", "c"}, {"..", "x"}, {"../x"}, {"alice@EXAMPLE.ORG"},
			{"alice\n"}, {"alice\x00"}, {"alice\n--conf"}, {"-rf"}, {"аlice"}, {"\u212Aate"}, {"a b"}, {"uid=alice,dc=x"}, {"$(id)"},
			{strings.Repeat("a", 65)}, {strings.Repeat("a", 1<<16)}, {"alice\u202e"}, {"."}, {".."}, {"1alice"},
		} {
			user, err := r.User(components, home)
			if err == nil {
				err = auth.ValidUser(user)
			}
			require.Error(t, err, "%q by %q", components, text)
			require.Less(t, len(err.Error()), 600)
		}
		_, err = r.User([]string{"alice"}, "")
		require.Error(t, err)
	}
}

func TestBadRules(t *testing.T) {
	for text, says := range map[string]string{
		"default":                  "no rule begins at",
		"DEFAULTX":                 `no rule begins at "X"`,
		"RULE":                     "no rule begins at",
		"RULE:[:$1]":               "no rule begins at",
		"RULE:[1:]":                "no rule begins at",
		"RULE:[1:$1":               "no rule begins at",
		"RULE:[1:$1](a":            "no rule begins at",
		"RULE:[1:$1]s/a":           "no rule begins at",
		"RULE:[1:$1]s//b/":         "no rule begins at",
		"DEFAULT,DEFAULT":          `no rule begins at ",DEFAULT"`,
		"RULE:[0:$0]":              "have 1 or 2 components, not 0",
		"RULE:[3:$1]":              "have 1 or 2 components, not 3",
		"RULE:[1:$2]":              "there is no $2 in a principal of 1 components",
		"RULE:[99999999999999:$1]": "have 1 or 2 components",
		"RULE:[1:$1]([)":           "error parsing regexp",
		"RULE:[1:$1](a(?=b)":       "error parsing regexp",
		"RULE:[1:$1]s/[/b/":        "error parsing regexp",
		"RULE:[1:$1]s/a/$1/":       "cannot be put for a match",
		"RULE:[1:$1]s/a/b\\/":      "cannot be put for a match",
	} {
		_, err := ParseRules(text, home)
		require.ErrorContains(t, err, says, text)
	}
}
