// SPDX-License-Identifier: Apache-2.0

package readme

import (
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

func TestTokens(t *testing.T) {
	newCheckout(t).walk(read(t, "Tokens"), "", nil)
}

func TestLDAP(t *testing.T) {
	s := env.StartSlapd(t)
	c := newCheckout(t)
	c.certificates()
	c.add("kyuubi.authentication.ldap.ssl.ca.path=" + s.CA)
	c.walk(read(t, "LDAP"), env.LDAPPassword("alice")+"\n", nil, "ldap.example.org", s.Secure, "dc=example,dc=org", env.LDAPBase)
	require.Equal(t, 1, s.Binds("uid=alice,ou=people,"+env.LDAPBase), "the directory is asked once, the token does the rest")
}

func TestKerberos(t *testing.T) {
	k := env.StartKDC(t, "EXAMPLE.ORG")
	keytab := k.Keytab("HTTP/localhost")
	k.Person("alice", "pw-alice-3c21")
	c := newCheckout(t, "KRB5_CONFIG="+k.Conf, "KRB5CCNAME=FILE:"+filepath.Join(t.TempDir(), "cache"))
	c.certificates()
	c.walk(read(t, "Kerberos"), "pw-alice-3c21\n", nil, "gateway.example.org", "localhost", "/etc/gateway/http.keytab", keytab)
}

// TestSingleSignOn: alice allows the program in a browser.
func TestSingleSignOn(t *testing.T) {
	i := env.StartIssuer(t, true)
	c := newCheckout(t, "SSL_CERT_FILE="+i.CA) // public authorities sign for issuers elsewhere
	c.certificates()
	shown, allowed := regexp.MustCompile(`enter the code (\w+)`), false
	c.walk(read(t, "Single sign-on"), "", func(said string) {
		if code := shown.FindStringSubmatch(said); code != nil && !allowed {
			allowed = i.Approve(code[1], "alice")
		}
	}, "https://login.example.org/realms/data", i.URL)
	require.True(t, allowed, "it has shown a code")
}
