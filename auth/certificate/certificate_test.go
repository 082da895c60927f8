// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
	"roundhouse/auth/authtest"
)

var tomorrow = time.Now().Add(24 * time.Hour)

// of makes a certificate with common names.
func of(names ...string) *x509.Certificate {
	c := &x509.Certificate{NotAfter: tomorrow}
	for _, name := range names {
		c.Subject.Names = append(c.Subject.Names, pkix.AttributeTypeAndValue{Type: commonNameID, Value: name})
	}
	return c
}

func withSubject(subject pkix.Name) *x509.Certificate {
	return &x509.Certificate{NotAfter: tomorrow, Subject: subject}
}

func request(c *x509.Certificate, header ...string) auth.Request {
	r := auth.Request{Header: map[string][]string{}, Peer: authtest.Remote, Secure: true, Certificate: c}
	for i := 0; i < len(header); i += 2 {
		r.Header[header[i]] = append(r.Header[header[i]], header[i+1])
	}
	return r
}

func TestConformance(t *testing.T) {
	method, err := New("CN")
	require.NoError(t, err)
	expired := of("alice")
	expired.NotAfter = time.Now().Add(-time.Second)
	authtest.Run(t, authtest.Subject{
		Authenticator: &auth.Chain{Methods: []auth.Method{method}, Refused: []string{"daemon"}},
		Good:          request(of("alice")),
		Want:          auth.Identity{User: "alice", RealUser: "alice", Method: Name, Expires: tomorrow},
		Bad: map[string]auth.Request{
			"no certificate":                  request(nil),
			"an expired one":                  request(expired),
			"one without a name":              request(of()),
			"one with two names":              request(of("alice", "root")),
			"a name that is a path":           request(of("../alice")),
			"a name that is none":             request(of("alice bob")),
			"an account of the system":        request(of("daemon")),
			"a certificate and another token": request(of("alice"), "authorization", "Bearer 0123456789abcdef"),
			"a certificate and a password":    request(of("alice"), "authorization", "Basic YWxpY2U6c2VjcmV0MTIzNDU2"),
		},
	})
}

func TestRules(t *testing.T) {
	mail := func(all ...string) *x509.Certificate {
		return &x509.Certificate{NotAfter: tomorrow, EmailAddresses: all}
	}
	uris := func(all ...string) *x509.Certificate {
		c := &x509.Certificate{NotAfter: tomorrow}
		for _, text := range all {
			u, err := url.Parse(text)
			require.NoError(t, err)
			c.URIs = append(c.URIs, u)
		}
		return c
	}
	people := pkix.Name{CommonName: "alice", OrganizationalUnit: []string{"people"}, Organization: []string{"Example"}}
	forged := pkix.Name{CommonName: "alice,OU=people,O=Example", OrganizationalUnit: []string{"guests"}}
	for name, tt := range map[string]struct {
		rule string
		cert *x509.Certificate
		user string // "" is refused
	}{
		"mail":                    {"SAN_EMAIL", mail("alice@example.org"), "alice"},
		"two mails":               {"SAN_EMAIL", mail("alice@example.org", "bob@example.org"), ""},
		"no mail":                 {"SAN_EMAIL", of("alice"), ""},
		"URI":                     {"SAN_URI", uris("spiffe://example.org/user/alice"), "alice"},
		"URI without a path":      {"SAN_URI", uris("spiffe://example.org"), ""},
		"URI with a final slash":  {"SAN_URI", uris("spiffe://example.org/alice/"), ""},
		"two URIs":                {"SAN_URI", uris("spiffe://example.org/alice", "spiffe://example.org/bob"), ""},
		"subject":                 {"CN=([^,]+),OU=people,O=Example", withSubject(people), "alice"},
		"subject, not the whole":  {"CN=([^,]+),OU=people", withSubject(people), ""},
		"subject, forged":         {"CN=([^,]+),OU=people,O=Example.*", withSubject(forged), ""},
		"subject, an alternative": {"CN=(bob)|O=Example", withSubject(people), ""},
	} {
		t.Run(name, func(t *testing.T) {
			method, err := New(tt.rule)
			require.NoError(t, err)
			id, err := (&auth.Chain{Methods: []auth.Method{method}}).Authenticate(t.Context(), request(tt.cert))
			require.Equal(t, tt.user, id.User)
			require.Equal(t, tt.user == "", err != nil)
		})
	}
}

func TestBadRules(t *testing.T) {
	for _, rule := range []string{"", "cn", "CN=.*", "(a)(b)", "(", "CN=(.*", "(a)$)|(b"} {
		_, err := New(rule)
		require.Error(t, err, rule)
	}
}
