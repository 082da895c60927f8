// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/url"
	"strconv"
	"strings"
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

// withSubject makes a certificate with a subject of the given parts, the first
// one first as in a certificate: OID, value, OID, value.
func withSubject(t *testing.T, parts ...string) *x509.Certificate {
	t.Helper()
	var names pkix.RDNSequence
	for i := 0; i < len(parts); i += 2 {
		var id asn1.ObjectIdentifier
		for _, n := range strings.Split(parts[i], ".") {
			number, err := strconv.Atoi(n)
			require.NoError(t, err)
			id = append(id, number)
		}
		names = append(names, pkix.RelativeDistinguishedNameSET{{Type: id, Value: parts[i+1]}})
	}
	raw, err := asn1.Marshal(names)
	require.NoError(t, err)
	c := &x509.Certificate{NotAfter: tomorrow, RawSubject: raw}
	c.Subject.FillFromRDNSequence(&names)
	return c
}

// Types of attributes.
const (
	cn    = "2.5.4.3"
	o     = "2.5.4.10"
	ou    = "2.5.4.11"
	dc    = "0.9.2342.19200300.100.1.25"
	uid   = "0.9.2342.19200300.100.1.1"
	mailX = "1.2.840.113549.1.9.1"
)

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
	const (
		byMail = "SAN_EMAIL:example.com, example.org"
		byURI  = "SAN_URI:spiffe://example.org/user/"
	)
	people := withSubject(t, o, "Example", ou, "people", cn, "alice")
	forged := withSubject(t, ou, "guests", cn, "alice,OU=people,O=Example")
	directory := withSubject(t, dc, "org", dc, "example", ou, "people", uid, "alice")
	two := withSubject(t, o, "Example", ou, "people", cn, "bob", cn, "alice")
	two.EmailAddresses = []string{"alice@example.org"}
	for name, tt := range map[string]struct {
		rule string
		cert *x509.Certificate
		user string // "" is refused
	}{
		"mail":                     {byMail, mail("alice@example.org"), "alice"},
		"mail, case of the domain": {byMail, mail("alice@EXAMPLE.com"), "alice"},
		"mail of elsewhere":        {byMail, mail("alice@example.net"), ""},
		"mail of a subdomain":      {byMail, mail("alice@x.example.org"), ""},
		"mail with a way":          {byMail, mail("alice@evil.net@example.org"), ""},
		"mail with a path":         {byMail, mail("alice/bob@example.org"), ""},
		"two mails":                {byMail, mail("alice@example.org", "bob@example.org"), ""},
		"no mail":                  {byMail, of("alice"), ""},
		"mail and two names":       {byMail, two, ""},
		"URI":                      {byURI, uris("spiffe://example.org/user/alice"), "alice"},
		"URI of elsewhere":         {byURI, uris("spiffe://evil.net/user/alice"), ""},
		"URI of a service":         {byURI, uris("spiffe://example.org/service/alice"), ""},
		"URI with more behind":     {byURI, uris("spiffe://example.org/user/x/alice"), ""},
		"URI with a question":      {byURI, uris("spiffe://example.org/user/alice?x"), ""},
		"URI without a user":       {byURI, uris("spiffe://example.org/user/"), ""},
		"two URIs":                 {byURI, uris("spiffe://example.org/user/alice", "spiffe://example.org/user/bob"), ""},
		"subject":                  {"CN=([^,]+),OU=people,O=Example", people, "alice"},
		"subject, not the whole":   {"CN=([^,]+),OU=people", people, ""},
		"subject, forged":          {"CN=([^,]+),OU=people,O=Example.*", forged, ""},
		"subject, an alternative":  {"CN=(bob)|O=Example", people, ""},
		"subject of a directory":   {"UID=([^,]+),OU=people,DC=example,DC=org", directory, "alice"},
		"subject in its order":     {"O=Example,CN=([^,]+)", withSubject(t, cn, "alice", o, "Example"), "alice"},
		"subject with mail":        {"emailAddress=([^,@]+)@example.org,.*", withSubject(t, o, "Example", mailX, "alice@example.org"), "alice"},
		"subject, two names":       {"CN=([^,]+),.*", two, ""},
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

// TestSubjectsAsText as openssl x509 -nameopt RFC2253 writes them.
func TestSubjectsAsText(t *testing.T) {
	for want, c := range map[string]*x509.Certificate{
		`CN=alice,OU=people,O=Example`: withSubject(t, o, "Example", ou, "people", cn, "alice"),
		`CN=a\,b\+c\"d\\e\<f\>g\;h=i`:  withSubject(t, cn, `a,b+c"d\e<f>g;h=i`),
		`CN=\ a b\ `:                   withSubject(t, cn, " a b "),
		`CN=\#a#`:                      withSubject(t, cn, "#a#"),
		`CN=a\00b`:                     withSubject(t, cn, "a\x00b"),
		`2.5.4.5=#130137,CN=a`:         withSubject(t, cn, "a", "2.5.4.5", "7"),
	} {
		text, err := distinguishedName(c.RawSubject)
		require.NoError(t, err)
		require.Equal(t, want, text)
	}
	_, err := distinguishedName([]byte("x"))
	require.Error(t, err)
	several := pkix.RDNSequence{{{Type: commonNameID, Value: "a"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 11}, Value: "b"}}}
	raw, err := asn1.Marshal(several)
	require.NoError(t, err)
	text, err := distinguishedName(raw)
	require.NoError(t, err)
	require.Equal(t, "CN=a+OU=b", text)
}

func TestBadRules(t *testing.T) {
	for _, rule := range []string{"", "cn", "CN=.*", "(a)(b)", "(", "CN=(.*", "(a)$)|(b", "SAN_EMAIL", "SAN_EMAIL:", "SAN_EMAIL:*", "SAN_EMAIL:@example.org",
		"SAN_EMAIL:example.org,", "SAN_URI", "SAN_URI:", "SAN_URI:example.org/", "SAN_URI:spiffe://example.org", "SAN_URI:spiffe:///user/"} {
		_, err := New(rule)
		require.Error(t, err, rule)
	}
}
