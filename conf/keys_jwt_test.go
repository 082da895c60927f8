// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestIssuers: settings with a name are those of another issuer, and none of them
// is taken for one of the others.
func TestIssuers(t *testing.T) {
	c, err := New(serving("kyuubi.authentication=JWT",
		"kyuubi.authentication.jwt.issuer=https://a.example", "kyuubi.authentication.jwt.audience=a",
		"kyuubi.authentication.jwt.user.claim=name", "kyuubi.authentication.jwt.public.key.path=/a.pem",
		"kyuubi.authentication.jwt.b-2.issuer=https://b.example", "kyuubi.authentication.jwt.b-2.audience=b, c",
		"kyuubi.authentication.jwt.user.issuer=https://c.example", "kyuubi.authentication.jwt.user.audience=c",
		"kyuubi.authentication.jwt.user.user.claim=email", "kyuubi.authentication.jwt.user.user.domains=c.example"))
	require.NoError(t, err)
	require.NoError(t, c.Validate())
	require.Equal(t, []string{"", "b-2", "user"}, c.Issuers())
	type issuer struct {
		url, claim, keys string
		audience         []string
	}
	for name, want := range map[string]issuer{
		"":     {"https://a.example", "name", "/a.pem", []string{"a"}},
		"b-2":  {"https://b.example", "sub", "", []string{"b", "c"}},
		"user": {"https://c.example", "email", "", []string{"c"}},
	} {
		own := c.ForIssuer(name)
		require.Equal(t, want, issuer{JWTIssuer.Get(own), JWTUserClaim.Get(own), JWTKeysFile.Get(own), JWTAudience.Get(own)}, name)
	}
}

// TestIssuerKeys: a name is one word, and what stands behind it a setting of one
// issuer.
func TestIssuerKeys(t *testing.T) {
	for key, known := range map[string]bool{
		"kyuubi.authentication.jwt.b.issuer": true, "kyuubi.authentication.jwt.b.ssl.ca.path": true,
		"kyuubi.authentication.jwt.b.refresh.interval": false, "kyuubi.authentication.jwt.B.issuer": false, "kyuubi.authentication.jwt..issuer": false,
		"kyuubi.authentication.jwt.b.c.issuer": false, "kyuubi.authentication.jwt.b.isuer": false, "kyuubi.authentication.ldap.b.issuer": false,
	} {
		_, err := New(map[string]string{key: "/x"})
		require.Equal(t, known, err == nil, "%s: %v", key, err)
	}
}

func TestIssuersAreOfTheGateway(t *testing.T) {
	const key = "kyuubi.authentication.jwt.b.issuer"
	_, err := New(map[string]string{"___alice___." + key: "https://b.example"})
	require.ErrorContains(t, err, "holds for the whole gateway")
	c, err := New(map[string]string{key: "https://b.example"})
	require.NoError(t, err)
	require.NotContains(t, c.EngineBase("alice"), key, "no business of engines")
}
