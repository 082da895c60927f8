// SPDX-License-Identifier: Apache-2.0

package jwt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"roundhouse/auth"
)

// leeway is how far the clocks of the issuer and of the gateway may differ.
const leeway = 30 * time.Second

// Issuer is who makes tokens that are good here.
type Issuer struct {
	// URL is the claim iss, to the byte.
	URL string
	// Audiences are for whom tokens are made; one of them must be in aud.
	Audiences []string
	// Algorithms of its signatures (RFC 7518): RS256, ES256, EdDSA and their like.
	Algorithms []string
	// KeysURL is where it publishes its keys; "" asks OpenID Connect Discovery.
	KeysURL string
	// KeysFile holds public keys in PEM form instead; the issuer is never asked.
	KeysFile string
	// CAFile holds the authorities that vouch for the issuer's TLS certificate; ""
	// trusts those of the operating system.
	CAFile string
	// UserClaim is the claim with the user, GroupsClaim that with the groups, a list
	// or names with blanks between them. "" is no groups.
	UserClaim, GroupsClaim string
	// Domains are those whose people it may vouch for. A name with another one
	// behind its @ is refused.
	Domains []string
}

// issuer verifies tokens of one Issuer.
type issuer struct {
	Issuer
	keys *keySet
}

func newIssuer(trusted Issuer, o Options) (*issuer, error) {
	fetch, err := newSource(trusted)
	if err != nil {
		return nil, err
	}
	keys := newKeySet(trusted.URL, fetch, o)
	if trusted.KeysFile != "" {
		if err := keys.load(trusted.Algorithms); err != nil {
			return nil, err
		}
	}
	return &issuer{trusted, keys}, nil
}

// verify decides about a token that names this issuer. Everything that needs no
// key is judged first: a token that cannot be good asks nobody for one.
func (i *issuer) verify(ctx context.Context, t token) (auth.Identity, error) {
	algorithm, kid, err := i.judgeHeader(t.header)
	if err != nil {
		return auth.Identity{}, err
	}
	expires, err := i.judgeClaims(t.claims, time.Now())
	if err != nil {
		return auth.Identity{}, err
	}
	keys, err := i.keys.find(ctx, kid, algorithm)
	if err != nil {
		return auth.Identity{}, err
	}
	verifier := oidc.NewVerifier(i.URL, &oidc.StaticKeySet{PublicKeys: keys}, &oidc.Config{
		SupportedSigningAlgs: []string{algorithm}, SkipClientIDCheck: true, // the audience was judged
		Now: func() time.Time { return time.Now().Add(-leeway) },
	})
	if _, err := verifier.Verify(ctx, t.raw); err != nil { // it may quote the whole header
		return auth.Identity{}, fmt.Errorf("%.200s", err.Error())
	}
	return i.identity(t.claims, expires)
}

// typesOfTokens are what may stand in typ (RFC 7519 section 5.1, RFC 9068
// section 2.1), in lower case. It is immutable.
var typesOfTokens = []string{"jwt", "at+jwt", "application/jwt", "application/at+jwt"}

func (i *issuer) judgeHeader(header object) (algorithm, kid string, err error) {
	algorithm, _ = header["alg"].(string)
	if !slices.Contains(i.Algorithms, algorithm) {
		return "", "", fmt.Errorf("the algorithm %.20q is not one of %s", algorithm, strings.Join(i.Algorithms, ", "))
	}
	for _, name := range []string{"crit", "b64", "enc", "zip"} {
		if _, given := header[name]; given {
			return "", "", fmt.Errorf("the header has %q, which is not understood here", name)
		}
	}
	if value, given := header["typ"]; given {
		typ, _ := value.(string)
		if !slices.Contains(typesOfTokens, strings.ToLower(typ)) {
			return "", "", fmt.Errorf("the type %.40q is not that of a token for access", typ)
		}
	}
	value, given := header["kid"]
	kid, text := value.(string)
	if given && (!text || kid == "") {
		return "", "", errors.New("the key id is no text")
	}
	return algorithm, kid, nil
}

// judgeClaims judges for whom and when a token is good, and returns when it
// expires.
func (i *issuer) judgeClaims(claims object, now time.Time) (expires time.Time, err error) {
	if _, err := claims.text("sub"); err != nil {
		return time.Time{}, err
	}
	audience, err := claims.texts("aud", func(one string) []string { return []string{one} })
	if err != nil {
		return time.Time{}, err
	}
	if !slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(i.Audiences, a) }) {
		return time.Time{}, fmt.Errorf("it is for %.200q, not for %q", audience, i.Audiences)
	}
	return judgeTimes(claims, now)
}

func judgeTimes(claims object, now time.Time) (expires time.Time, err error) {
	if expires, err = claims.time("exp"); err != nil {
		return time.Time{}, err
	}
	if expires.IsZero() {
		return time.Time{}, errors.New("it does not say when it expires")
	}
	if !now.Before(expires.Add(leeway)) {
		return time.Time{}, fmt.Errorf("it expired at %s", expires.UTC().Format(time.RFC3339))
	}
	for _, name := range []string{"nbf", "iat"} {
		begins, err := claims.time(name)
		if err != nil {
			return time.Time{}, err
		}
		if begins.After(now.Add(leeway)) {
			return time.Time{}, fmt.Errorf("it is good from %s on (%s)", begins.UTC().Format(time.RFC3339), name)
		}
	}
	return expires, nil
}

// identity is whom the claims of a good token name.
func (i *issuer) identity(claims object, expires time.Time) (auth.Identity, error) {
	name, err := claims.text(i.UserClaim)
	if err != nil {
		return auth.Identity{}, err
	}
	if i.UserClaim == emailClaim && claims["email_verified"] != true {
		return auth.Identity{}, fmt.Errorf("the address %.80q is not verified (email_verified)", name)
	}
	user, err := i.user(name)
	if err != nil {
		return auth.Identity{}, err
	}
	groups, err := i.groups(claims)
	if err != nil {
		return auth.Identity{}, err
	}
	return auth.Identity{User: user, Groups: groups, Expires: expires}, nil
}

// groups are those of a token that rules can name. Issuers leave a list out if it is
// long, and say where it is (OpenID Connect Core section 5.6.2): no groups would
// then pass for all of them.
func (i *issuer) groups(claims object) ([]string, error) {
	if elsewhere, ok := claims["_claim_names"].(map[string]any); ok && elsewhere[i.GroupsClaim] != nil {
		return nil, fmt.Errorf("its list %q is too long and stands elsewhere (_claim_names): have the issuer put fewer groups into tokens", i.GroupsClaim)
	}
	groups, err := claims.texts(i.GroupsClaim, strings.Fields)
	return slices.DeleteFunc(groups, func(g string) bool { return !auth.ValidGroup(g) }), err
}

// emailClaim is the claim of OpenID Connect that people may be able to set
// themselves (OpenID Connect Core section 5.1).
const emailClaim = "email"

// user is the one user that a name stands for.
func (i *issuer) user(name string) (string, error) {
	local, domain, given := strings.Cut(name, "@")
	trusted := !given || slices.ContainsFunc(i.Domains, func(d string) bool { return strings.EqualFold(d, domain) })
	switch {
	case strings.Contains(local, "/"):
		return "", fmt.Errorf("%.80q is no name of a person", name)
	case !trusted:
		return "", fmt.Errorf("%.80q is of a domain that this issuer is not trusted for (%q)", name, i.Domains)
	}
	return auth.ShortName(name), nil
}
