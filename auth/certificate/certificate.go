// SPDX-License-Identifier: Apache-2.0

// Package certificate authenticates callers by the certificate that they proved
// to have when they connected over TLS (RFC 8446 section 4.4.2). Which authority
// vouches for certificates is decided before, by the port; this package finds the
// user in a certificate that is verified.
package certificate

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
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
//
//   - CN
//   - SAN_EMAIL:example.org,example.com, the domains of mail whose people the
//     authorities vouch for
//   - SAN_URI:spiffe://example.org/user/, what stands before the user
//   - a regular expression of one group that matches the whole subject as RFC 4514
//     writes it, such as CN=([^,]+),O=Example
func New(rule string) (*Method, error) {
	kind, of, _ := strings.Cut(rule, ":")
	switch {
	case rule == "CN":
		return &Method{commonName}, nil
	case kind == "SAN_EMAIL":
		return newEmail(of)
	case kind == "SAN_URI":
		return newURI(of)
	}
	re, err := regexp.Compile("^(?:" + rule + ")$")
	if err != nil {
		return nil, fmt.Errorf("the rule %q for users of certificates is no regular expression: %w", rule, err)
	}
	if re.NumSubexp() != 1 {
		return nil, fmt.Errorf("the rule %q for users of certificates needs exactly one group, which is the user: CN=([^,]+),.*", rule)
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
	user, err := m.userOf(r.Certificate)
	if err != nil {
		return auth.Identity{}, fmt.Errorf("the certificate of %q: %w", r.Certificate.Subject, err)
	}
	return auth.Identity{User: user, Expires: r.Certificate.NotAfter}, nil
}

// userOf refuses a subject with several common names, whatever the rule:
// programs differ in which they take.
func (m *Method) userOf(c *x509.Certificate) (string, error) {
	if names := commonNames(c); len(names) > 1 {
		return "", fmt.Errorf("it has %d common names", len(names))
	}
	return m.user(c)
}

func commonNames(c *x509.Certificate) (names []string) {
	for _, a := range c.Subject.Names {
		if text, ok := a.Value.(string); ok && a.Type.Equal(commonNameID) {
			names = append(names, text)
		}
	}
	return names
}

func commonName(c *x509.Certificate) (string, error) {
	return single("common name", commonNames(c))
}

// domain is what may stand behind the @ of an address.
var domain = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

// newEmail takes the user of the one mail address, if it is of one of domains.
func newEmail(list string) (*Method, error) {
	domains := strings.Split(list, ",")
	for i := range domains {
		domains[i] = strings.TrimSpace(domains[i])
		if !domain.MatchString(domains[i]) {
			return nil, errors.New("SAN_EMAIL takes people of domains that it names, or alice of anywhere would be your alice: SAN_EMAIL:example.org,example.com")
		}
	}
	return &Method{func(c *x509.Certificate) (string, error) {
		address, err := single("mail address", c.EmailAddresses)
		if err != nil {
			return "", err
		}
		local, of, _ := strings.Cut(address, "@")
		switch {
		case strings.Contains(local, "/"):
			return "", fmt.Errorf("%.80q is no address of a person", address)
		case !slices.ContainsFunc(domains, func(d string) bool { return strings.EqualFold(d, of) }):
			return "", fmt.Errorf("%.80q is of none of the domains %q", address, domains)
		}
		return auth.ShortName(address), nil
	}}, nil
}

// newURI takes what follows prefix in the one URI.
func newURI(prefix string) (*Method, error) {
	if u, err := url.Parse(prefix); err != nil || u.Scheme == "" || u.Host == "" || !strings.HasSuffix(prefix, "/") {
		return nil, errors.New("SAN_URI takes the URIs that begin as it says, or alice of anywhere would be your alice: SAN_URI:spiffe://example.org/user/")
	}
	return &Method{func(c *x509.Certificate) (string, error) {
		var all []string
		for _, u := range c.URIs {
			all = append(all, u.String())
		}
		text, err := single("URI", all)
		if err != nil {
			return "", err
		}
		user, ok := strings.CutPrefix(text, prefix)
		if !ok {
			return "", fmt.Errorf("the URI %.80q does not begin with %s", text, prefix)
		}
		return user, nil
	}}, nil
}

func bySubject(re *regexp.Regexp) func(*x509.Certificate) (string, error) {
	return func(c *x509.Certificate) (string, error) {
		subject, err := distinguishedName(c.RawSubject)
		if err != nil {
			return "", err
		}
		found := re.FindStringSubmatch(subject)
		if found == nil {
			return "", fmt.Errorf("its subject %.200q does not match kyuubi.authentication.certificate.user", subject)
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
