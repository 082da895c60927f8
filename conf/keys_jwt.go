// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// AuthJWT is the method JWT of kyuubi.authentication.
const AuthJWT = "JWT"

// jwtPrefix begins the settings of the method JWT. Those of one issuer may also
// stand behind a name of it: kyuubi.authentication.jwt.<name>.issuer.
const jwtPrefix = "kyuubi.authentication.jwt."

// Whose tokens the method JWT takes, and what they say. Read them from ForIssuer.
var (
	// JWTIssuer is kyuubi.authentication.jwt.issuer.
	JWTIssuer = Entry[string]{Meta{Key: "kyuubi.authentication.jwt.issuer", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Whose tokens the method `JWT` takes: the URL in their claim `iss`, to the character, such as `https://login.example.org/realms/main`. Its keys are found by OpenID Connect Discovery and fetched at need, so the gateway starts while it is away. For several issuers write a name into the keys of each: `kyuubi.authentication.jwt.<name>.issuer`, `….<name>.audience` and so on; the name itself means nothing."}, textKind()}

	// JWTAudience is kyuubi.authentication.jwt.audience.
	JWTAudience = Entry[[]string]{Meta{Key: "kyuubi.authentication.jwt.audience", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "For whom tokens of the issuer must be made: `aud` must hold one of these. Usually the client id that the issuer knows the gateway by."}, listKind()}

	// JWTAlgorithms is kyuubi.authentication.jwt.algorithms.
	JWTAlgorithms = Entry[[]string]{Meta{Key: "kyuubi.authentication.jwt.algorithms", Default: "RS256", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Algorithms by which the issuer signs: `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `ES512`, `EdDSA`. Others, as those with a shared secret, do not exist here."}, algorithmsKind()}

	// JWTKeysURL is kyuubi.authentication.jwt.jwks.url.
	JWTKeysURL = Entry[string]{Meta{Key: "kyuubi.authentication.jwt.jwks.url", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Where the issuer publishes its keys (a JWK Set), if it has no OpenID Connect Discovery."}, textKind()}

	// JWTKeysFile is kyuubi.authentication.jwt.public.key.path.
	JWTKeysFile = Entry[string]{Meta{Key: "kyuubi.authentication.jwt.public.key.path", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "PEM file with the public keys or certificates of the issuer; it is never asked then. A new file holds after the refresh interval."}, pathKind()}

	// JWTCAFile is kyuubi.authentication.jwt.ssl.ca.path.
	JWTCAFile = Entry[string]{Meta{Key: "kyuubi.authentication.jwt.ssl.ca.path", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "PEM file of the certificate authorities that vouch for the issuer's server. Without it those of the operating system do. A new file holds at once."}, pathKind()}

	// JWTUserClaim is kyuubi.authentication.jwt.user.claim.
	JWTUserClaim = Entry[string]{Meta{Key: "kyuubi.authentication.jwt.user.claim", Default: "sub", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Claim with the user, such as `sub` or `preferred_username`. It must be one that people cannot change themselves; `email` counts only with `email_verified`."}, claimKind()}

	// JWTUserDomains is kyuubi.authentication.jwt.user.domains.
	JWTUserDomains = Entry[[]string]{Meta{Key: "kyuubi.authentication.jwt.user.domains", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Domains whose people the issuer vouches for: with `example.org`, `alice@example.org` is the user `alice`. Names with another domain are refused, names without one are users as they are."}, domainsKind()}

	// JWTGroupsClaim is kyuubi.authentication.jwt.groups.claim.
	JWTGroupsClaim = Entry[string]{Meta{Key: "kyuubi.authentication.jwt.groups.claim", Default: "groups", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Claim with the groups of the user: a list, or one text with blanks between them. Names that rules cannot hold are left out: more than 256 bytes, control characters, blanks at an end. A token whose list the issuer put elsewhere (`_claim_names`) is refused."}, claimKind()}

	// JWTRefresh is kyuubi.authentication.jwt.refresh.interval.
	JWTRefresh = Entry[time.Duration]{Meta{Key: "kyuubi.authentication.jwt.refresh.interval", Default: "PT5M", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "How often the keys of issuers are fetched again. A key that is not known is asked for at once, but not within a minute (or this interval, if it is shorter) of the last time."}, atLeastKind(time.Second)}
)

// issuerSettings are those that each issuer has. It is immutable.
var issuerSettings = []setting{JWTIssuer, JWTAudience, JWTAlgorithms, JWTKeysURL, JWTKeysFile, JWTCAFile, JWTUserClaim, JWTUserDomains, JWTGroupsClaim}

// issuerName is a name of an issuer in keys.
var issuerName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// issuerSetting finds the setting behind the name of an issuer.
func issuerSetting(key string) (s setting, name string, ok bool) {
	name, rest, ok := strings.Cut(strings.TrimPrefix(key, jwtPrefix), ".")
	if !ok || !strings.HasPrefix(key, jwtPrefix) || !issuerName.MatchString(name) {
		return nil, "", false
	}
	for _, s := range issuerSettings {
		if s.meta().Key == jwtPrefix+rest {
			return s, name, true
		}
	}
	return nil, "", false
}

// Issuers are the names of the issuers of the method JWT; "" is the one whose
// settings have none.
func (c *Conf) Issuers() []string {
	names := map[string]bool{}
	for _, s := range issuerSettings {
		if _, set := c.values[s.meta().Key]; set {
			names[""] = true
		}
	}
	for key := range c.values {
		if _, name, ok := issuerSetting(key); ok {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// ForIssuer is the configuration as it holds for one issuer: the settings that
// have its name stand for those that have none.
func (c *Conf) ForIssuer(name string) *Conf {
	if name == "" {
		return c
	}
	own := *c
	own.values = maps.Clone(c.values)
	for _, s := range issuerSettings {
		key := s.meta().Key
		delete(own.values, key)
		if v, set := c.values[issuerKey(name, key)]; set {
			own.values[key] = v
		}
	}
	return &own
}

// issuerKey is the key by which the setting of an issuer is written.
func issuerKey(name, key string) string {
	if name == "" {
		return key
	}
	return jwtPrefix + name + "." + strings.TrimPrefix(key, jwtPrefix)
}

// signatures are the algorithms with a key pair of RFC 7518 and RFC 8037. It is immutable.
var signatures = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

func algorithmsKind() kind[[]string] {
	return kind[[]string]{"list", func(s string) ([]string, error) {
		items := splitList(s)
		for _, item := range items {
			if !slices.Contains(signatures, item) {
				return nil, fmt.Errorf("%q is no signature that only the issuer can make; there are %s", item, strings.Join(signatures, ", "))
			}
		}
		if len(items) == 0 {
			return nil, fmt.Errorf("it names no algorithm; there are %s", strings.Join(signatures, ", "))
		}
		return items, nil
	}}
}

// claimKind is the name of a claim, or "".
func claimKind() kind[string] {
	return kind[string]{"name", func(s string) (string, error) {
		if strings.ContainsAny(s, ", \t") {
			return "", fmt.Errorf("want the name of one claim, got %q", s)
		}
		return s, nil
	}}
}

// domainName is what may stand behind the @ of a name.
var domainName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

func domainsKind() kind[[]string] {
	return kind[[]string]{"list", func(s string) ([]string, error) {
		items := splitList(s)
		for _, item := range items {
			if !domainName.MatchString(item) {
				return nil, fmt.Errorf("want domains such as example.org without @ and wildcards, got %q", item)
			}
		}
		return items, nil
	}}
}

// atLeastKind is a duration that is not shorter than least.
func atLeastKind(least time.Duration) kind[time.Duration] {
	return kind[time.Duration]{"duration", func(s string) (time.Duration, error) {
		d, err := ParseDuration(s)
		if err == nil && d < least {
			return 0, fmt.Errorf("must be at least %v, got %q", least, s)
		}
		return d, err
	}}
}
