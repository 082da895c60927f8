// SPDX-License-Identifier: Apache-2.0

// Package certificate authenticates callers by the certificate that they proved
// to have when they connected over TLS (RFC 8446 section 4.4.2). Which authority
// vouches for certificates is decided before, by the port; this package finds the
// user in a certificate that is verified.
package certificate

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"regexp"
	"time"

	"roundhouse/auth"
)

// Name is that of the method in kyuubi.authentication.
const Name = "CERTIFICATE"

// Method is the auth.Method. Make it with New; it is safe for concurrent use.
type Method struct {
	user func(*x509.Certificate) (string, error)
}

// New makes the method with a rule, that of kyuubi.authentication.certificate.user:
// CN, SAN_EMAIL, SAN_URI, or a regular expression of one group that matches the
// whole subject as RFC 2253 writes it, such as CN=([^,]+),O=Example.
func New(rule string) (*Method, error) {
	switch rule {
	case "CN":
		return &Method{commonName}, nil
	case "SAN_EMAIL":
		return &Method{email}, nil
	case "SAN_URI":
		return &Method{uri}, nil
	}
	re, err := regexp.Compile("^(?:" + rule + ")$")
	if err != nil {
		return nil, fmt.Errorf("the rule %q for users of certificates is no regular expression: %w", rule, err)
	}
	if re.NumSubexp() != 1 {
		return nil, fmt.Errorf("the rule %q for users of certificates needs exactly one group, the user", rule)
	}
	return &Method{bySubject(re)}, nil
}

// Name implements auth.Method.
func (*Method) Name() string { return Name }

// Challenge implements auth.Method: a certificate is asked for by TLS.
func (*Method) Challenge() string { return "" }

// Check accepts callers with a verified certificate and no other credentials:
// those that a call names are the ones that it means, so they are left to their
// own method. A connection may outlive the certificate; calls on it may not.
func (m *Method) Check(_ context.Context, r auth.Request, c auth.Credentials) (auth.Identity, error) {
	if r.Certificate == nil || c.Scheme != "" {
		return auth.Identity{}, auth.ErrNotMine
	}
	if time.Now().After(r.Certificate.NotAfter) {
		return auth.Identity{}, fmt.Errorf("the certificate of %q expired on %s", r.Certificate.Subject, r.Certificate.NotAfter.Format(time.DateTime))
	}
	user, err := m.user(r.Certificate)
	if err != nil {
		return auth.Identity{}, fmt.Errorf("the certificate of %q: %w", r.Certificate.Subject, err)
	}
	return auth.Identity{User: user, Expires: r.Certificate.NotAfter}, nil
}

// commonNameID is the attribute CN (RFC 4519 section 2.3). It is immutable.
var commonNameID = asn1.ObjectIdentifier{2, 5, 4, 3}

// commonName refuses a subject with several: programs differ in which they take.
func commonName(c *x509.Certificate) (string, error) {
	var names []string
	for _, a := range c.Subject.Names {
		if text, ok := a.Value.(string); ok && a.Type.Equal(commonNameID) {
			names = append(names, text)
		}
	}
	return single("common name", names)
}

// email is the user of the one mail address. The domain is for the authority to
// judge: with this rule it vouches for people of one.
func email(c *x509.Certificate) (string, error) {
	address, err := single("mail address", c.EmailAddresses)
	return auth.ShortName(address), err
}

// uri is the last element of the path of the one URI, as in
// spiffe://example.org/user/alice.
func uri(c *x509.Certificate) (string, error) {
	var all []string
	for _, u := range c.URIs {
		all = append(all, u.String())
	}
	if _, err := single("URI", all); err != nil {
		return "", err
	}
	path := lastElement.FindStringSubmatch(c.URIs[0].Path)
	if path == nil {
		return "", errors.New("its URI has no path, whose last element would be the user")
	}
	return path[1], nil
}

// lastElement finds what follows the last slash.
var lastElement = regexp.MustCompile(`/([^/]+)$`)

func bySubject(re *regexp.Regexp) func(*x509.Certificate) (string, error) {
	return func(c *x509.Certificate) (string, error) {
		found := re.FindStringSubmatch(c.Subject.String())
		if found == nil {
			return "", errors.New("its subject does not match kyuubi.authentication.certificate.user")
		}
		return found[1], nil
	}
}

func single(what string, found []string) (string, error) {
	if len(found) != 1 {
		return "", fmt.Errorf("it has %d of what the rule asks for (%s), not one", len(found), what)
	}
	return found[0], nil
}
