// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"

	"roundhouse/auth"
)

// hostile are names that would change a filter or a DN if they were put there
// as they are.
var hostile = []string{
	"*", "*)(uid=*", "admin)(&)", "a*", "a)(|(uid=*", `a\`, `a\2a`, "a\x00", "(&(uid=*))", "a,ou=staff", "a+cn=b", "a=b", `"a"`, "a;b", "<a>", "#a", " a", "a ", "é", "%s",
	"\u212aaren", // the Kelvin sign, whose lower case is k
}

// TestHostileNames: none gets as far as the directory, and if one did it would
// be a value there, nothing else.
func TestHostileNames(t *testing.T) {
	r := &Rules{GUIDKey: "uid", BaseDN: "dc=x", GroupMembershipKey: "member", UserMembershipKey: "memberOf", GroupClassKey: "groupOfNames"}
	for _, name := range hostile {
		_, err := r.user(name)
		require.Error(t, err, "%q", name)
		for i, filter := range []string{personNamed(name), groupNamed(r, name), groupsOf(r, name, name), listing(r, name)} {
			plain := []string{personNamed("x"), groupNamed(r, "x"), groupsOf(r, "x", "x"), listing(r, "x")}[i]
			compiled, err := ldap.CompileFilter(filter)
			require.NoError(t, err, filter)
			read, err := ldap.DecompileFilter(compiled)
			require.NoError(t, err, filter)
			require.Equal(t, strings.Count(plain, "("), strings.Count(read, "("), "%q became %s", name, read)
			require.NotContains(t, read, "*")
		}
		dn, err := ldap.ParseDN(r.principals(name)[0])
		require.NoError(t, err, "%q", name)
		require.Len(t, dn.RDNs, 2, "%q", name)
		require.Len(t, dn.RDNs[0].Attributes, 1, "%q", name)
		require.Equal(t, name, dn.RDNs[0].Attributes[0].Value)
	}
}

func TestPrincipals(t *testing.T) {
	for _, tt := range []struct {
		rules Rules
		want  []string
	}{
		{Rules{Domain: "example.org", UserDNPatterns: []string{"uid=%s,dc=x"}, BaseDN: "dc=y"}, []string{"alice@example.org"}},
		{Rules{UserDNPatterns: []string{"uid=%s,dc=x", "cn=%s,dc=z"}, BaseDN: "dc=y"}, []string{"uid=alice,dc=x", "cn=alice,dc=z"}},
		{Rules{GUIDKey: "cn", BaseDN: "dc=y"}, []string{"cn=alice,dc=y"}},
	} {
		require.Equal(t, tt.want, tt.rules.principals("alice"))
	}
}

func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(time.Minute, 10*time.Minute)
		key := c.key("alice", "secret")
		require.NotEqual(t, key, c.key("alic", "esecret"))
		require.NotEqual(t, key, newCache(1, 1).key("alice", "secret"), "the hash is keyed")
		c.good(key, auth.Identity{User: "alice"})
		after := func(d time.Duration) (fresh, stale bool) {
			time.Sleep(d)
			_, fresh = c.fresh(key)
			_, stale = c.stale(key)
			return fresh, stale
		}
		requireBoth := func(wantFresh, wantStale bool, d time.Duration) {
			t.Helper()
			fresh, stale := after(d)
			require.Equal(t, [2]bool{wantFresh, wantStale}, [2]bool{fresh, stale})
		}
		requireBoth(true, true, 59*time.Second)
		requireBoth(false, true, time.Second)
		requireBoth(false, true, 9*time.Minute-time.Second)
		requireBoth(false, false, time.Second)
		c.good(key, auth.Identity{User: "alice"})
		requireBoth(false, true, time.Minute)
		known, _ := c.stale(key)
		c.goOn(key, known)
		requireBoth(true, true, staleTTL-1)
		requireBoth(false, true, 1)
		requireBoth(false, true, 9*time.Minute-staleTTL-time.Second)
		c.goOn(key, known)
		requireBoth(true, true, time.Second-1)
		requireBoth(false, false, 1)
		for _, wait := range []time.Duration{5, 10, 20, 40, 60, 60} { // of the same wrong password
			c.bad(key, errors.New("no"))
			requireBoth(true, false, wait*time.Second-1)
			requireBoth(false, false, 1)
		}
	})
}

func TestRulesAreChecked(t *testing.T) {
	for what, r := range map[string]Rules{
		"customLDAPQuery": {CustomQuery: "(uid=%s"}, "no DN": {BaseDN: "dc=x,,"}, "is no DN": {UserDNPatterns: []string{"uid=%s,dc=a+"}},
	} {
		require.ErrorContains(t, r.check(), what)
	}
	require.NoError(t, (&Rules{CustomQuery: "(&(uid=%s)(objectClass=*))", BaseDN: "dc=x", GroupDNPatterns: []string{"cn=%s,dc=x"}}).check())
	require.Equal(t, "analysts", shortName("cn=analysts,ou=groups,dc=x"))
	require.Equal(t, "a,b", shortName(`cn=a\,b,dc=x`))
	require.Equal(t, "analysts", shortName("analysts"))
	require.Equal(t, []string{"dc=x", "dc=y"}, basesOf([]string{"uid=%s,dc=x", "cn=%s,dc=x", "uid=%s,dc=y"}, "dc=z"))
	require.Equal(t, []string{"dc=z"}, basesOf(nil, "dc=z"))
}

// TestNamesAreFolded: what the directory is asked about is the user here.
func TestNamesAreFolded(t *testing.T) {
	r := &Rules{}
	for _, name := range []string{"alice", "ALICE", "Alice@x", "alice/y@x"} {
		user, err := r.user(name)
		require.NoError(t, err)
		require.Equal(t, "alice", user)
	}
	_, err := r.user(strings.Repeat("a", 65))
	require.Error(t, err)
}
