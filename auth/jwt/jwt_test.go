// SPDX-License-Identifier: Apache-2.0

package jwt

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
	"roundhouse/auth/authtest"
	"roundhouse/integration-tests/env"
	"roundhouse/internal/errs"
)

// trusting is the settings for a provider.
func trusting(i *env.Issuer) Issuer {
	return Issuer{
		URL: i.URL, Audiences: []string{env.Audience}, Algorithms: []string{"RS256", "ES256"}, CAFile: i.CA,
		UserClaim: "sub", GroupsClaim: "groups", Domains: []string{"example.org"},
	}
}

// start runs the method with these issuers until the end of the test.
func start(t *testing.T, issuers ...Issuer) *Authenticator {
	t.Helper()
	a, err := New(Options{Issuers: issuers, Refresh: time.Hour, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { // waited for by the cleanup
		defer close(over)
		_ = a.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-over })
	return a
}

func chain(a *Authenticator) *auth.Chain {
	return &auth.Chain{Methods: []auth.Method{a}, Refused: []string{"root"}}
}

func bearer(token string) auth.Request {
	return auth.Request{Peer: authtest.Loopback, Header: map[string][]string{"authorization": {"Bearer " + token}}}
}

func TestConformance(t *testing.T) {
	i := env.StartIssuer(t, true)
	rs, es := i.Key(), i.Publish("ES256")
	i.Use(rs)
	expires := time.Now().Add(5 * time.Minute).Truncate(time.Second)
	good := i.Token("alice", map[string]any{"exp": expires.Unix(), "groups": []string{"eng", "not a group ", "ops"}})
	bad := map[string]auth.Request{"nothing": {Peer: authtest.Loopback}, "another scheme": bearer("x")}
	for name, token := range env.ForgedTokens(t, i, rs, es) {
		bad[name] = bearer(token)
	}
	bad["from afar without TLS"] = auth.Request{Peer: authtest.Remote, Header: bearer(good).Header}
	authtest.Run(t, authtest.Subject{
		Authenticator: chain(start(t, trusting(i))),
		Good:          bearer(good),
		Want: auth.Identity{User: "alice", RealUser: "alice", Groups: []string{"eng", "ops"},
			Method: Method, Expires: expires},
		Bad: bad,
	})
	require.Equal(t, 1, i.Fetches(), "forged tokens have nobody asked for keys")
}

// TestTokensOfOthersAreNotMine leaves them to the next method.
func TestTokensOfOthersAreNotMine(t *testing.T) {
	i, other := env.StartIssuer(t, false), env.StartIssuer(t, false)
	a := start(t, trusting(i))
	for name, value := range map[string]string{
		"static":  "0123456789abcdef-of-alice",
		"another": other.Token("alice", nil),
		"huge":    i.Token("alice", map[string]any{"x": strings.Repeat("x", maxToken)}),
		"nobody":  i.Token("alice", map[string]any{"iss": nil}),
	} {
		_, err := a.Check(t.Context(), auth.Request{}, auth.Credentials{Scheme: auth.SchemeBearer, Value: value})
		require.ErrorIs(t, err, auth.ErrNotMine, name)
	}
	_, err := a.Check(t.Context(), auth.Request{}, auth.Credentials{Scheme: auth.SchemeBasic, Value: i.Token("alice", nil)})
	require.ErrorIs(t, err, auth.ErrNotMine)
}

// TestSeveralIssuers: each with its own keys, audience and claims.
func TestSeveralIssuers(t *testing.T) {
	first, second := env.StartIssuer(t, false), env.StartIssuer(t, true)
	partner := trusting(second)
	partner.UserClaim, partner.Audiences, partner.Domains = "preferred_username", []string{"a", "b"}, nil
	a := chain(start(t, trusting(first), partner))
	id, err := a.Authenticate(t.Context(), bearer(first.Token("alice@EXAMPLE.org", nil)))
	require.NoError(t, err)
	require.Equal(t, "alice", id.User)
	id, err = a.Authenticate(t.Context(), bearer(second.Token("17", map[string]any{"preferred_username": "bob", "aud": []string{"x", "b"}})))
	require.NoError(t, err)
	require.Equal(t, "bob", id.User)
	for name, token := range map[string]string{
		"the audience of the other": second.Token("17", map[string]any{"preferred_username": "bob"}),
		"the domain of the other":   second.Token("17", map[string]any{"preferred_username": "bob@example.org", "aud": "a"}),
		"the key of the other":      second.Key().Sign(t, first.Claims("alice", nil), nil),
	} {
		_, err := a.Authenticate(t.Context(), bearer(token))
		require.True(t, errs.Is(err, errs.Unauthenticated), "%s: %v", name, err)
	}
}

// TestNames: which claim makes which user.
func TestNames(t *testing.T) {
	for name, c := range map[string]struct {
		claim  string
		claims object
		want   string
	}{
		"plain":             {"sub", object{"sub": "alice"}, "alice"},
		"with a domain":     {"sub", object{"sub": "alice@Example.ORG"}, "alice"},
		"another domain":    {"sub", object{"sub": "alice@example.org.evil.example"}, ""},
		"two domains":       {"sub", object{"sub": "alice@evil@example.org"}, ""},
		"a path":            {"sub", object{"sub": "alice/x@example.org"}, ""},
		"a domain alone":    {"sub", object{"sub": "@example.org"}, ""},
		"a verified mail":   {"email", object{"email": "alice@example.org", "email_verified": true}, "alice"},
		"a mail":            {"email", object{"email": "alice@example.org"}, ""},
		"an unverified one": {"email", object{"email": "alice@example.org", "email_verified": "true"}, ""},
		"case":              {"sub", object{"sub": "Alice"}, "Alice"},
		"another case":      {"sub", object{"Sub": "alice"}, ""},
	} {
		i := issuer{Issuer: Issuer{UserClaim: c.claim, Domains: []string{"example.org"}}}
		id, err := i.identity(c.claims, time.Time{})
		if c.want == "" {
			require.True(t, err != nil || id.User == "", name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, c.want, id.User, name)
	}
}

func TestGroups(t *testing.T) {
	i := issuer{Issuer: Issuer{UserClaim: "sub", GroupsClaim: "roles"}}
	for name, c := range map[string]struct {
		value any
		want  []string
	}{
		"none": {nil, nil}, "a list": {[]any{"a", "b"}, []string{"a", "b"}}, "blanks": {" a  b ", []string{"a", "b"}}, "what rules can name": {[]any{"/contractors", "Domain Guests", "Zürich", "", " a", "a\x00", "a\n", strings.Repeat("a", 256), strings.Repeat("a", 257)}, []string{"/contractors", "Domain Guests", "Zürich", strings.Repeat("a", 256)}},
	} {
		id, err := i.identity(object{"sub": "alice", "roles": c.value}, time.Time{})
		require.NoError(t, err, name)
		require.Equal(t, c.want, id.Groups, name)
	}
	for _, value := range []any{[]any{"a", 7.0}, 7.0, map[string]any{"a": true}} {
		_, err := i.identity(object{"sub": "alice", "roles": value}, time.Time{})
		require.Error(t, err)
	}
	_, err := i.identity(object{"sub": "alice", "_claim_names": map[string]any{"roles": "src1"}}, time.Time{})
	require.ErrorContains(t, err, "stands elsewhere")
	_, err = i.identity(object{"sub": "alice", "_claim_names": map[string]any{"address": "src1"}}, time.Time{})
	require.NoError(t, err)
}

// TestTimes: to the second.
func TestTimes(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	at := func(d time.Duration) float64 { return float64(now.Add(d).Unix()) }
	for name, c := range map[string]struct {
		claims object
		good   bool
	}{
		"good":                  {object{"exp": at(time.Second)}, true},
		"within the leeway":     {object{"exp": at(-29 * time.Second)}, true},
		"at its end":            {object{"exp": at(-30 * time.Second)}, false},
		"nbf in the leeway":     {object{"exp": at(time.Hour), "nbf": at(30 * time.Second)}, true},
		"nbf behind":            {object{"exp": at(time.Hour), "nbf": at(31 * time.Second)}, false},
		"iat in the leeway":     {object{"exp": at(time.Hour), "iat": at(30 * time.Second)}, true},
		"iat behind":            {object{"exp": at(time.Hour), "iat": at(31 * time.Second)}, false},
		"a fraction":            {object{"exp": at(time.Second) + 0.5}, true},
		"never":                 {object{}, false},
		"after the last second": {object{"exp": float64(latest + 1)}, false},
	} {
		_, err := judgeTimes(c.claims, now)
		require.Equal(t, c.good, err == nil, "%s: %v", name, err)
	}
}

// TestCache: a token is verified once, and not longer believed than it is good.
func TestCache(t *testing.T) {
	i := env.StartIssuer(t, false)
	a := start(t, trusting(i))
	check := func(token string) error {
		_, err := a.Check(t.Context(), auth.Request{}, auth.Credentials{Scheme: auth.SchemeBearer, Value: token})
		return err
	}
	long, short := i.Token("alice", nil), i.Token("bob", map[string]any{"exp": time.Now().Add(time.Second - leeway).Unix()})
	require.NoError(t, check(long))
	require.NoError(t, check(short))
	a.issuers = nil // whoever is asked again does not know
	require.NoError(t, check(long))
	require.Eventually(t, func() bool { return check(short) != nil }, 5*time.Second, 20*time.Millisecond)
	require.ErrorIs(t, check(i.Token("carol", nil)), auth.ErrNotMine)
}

func FuzzParse(f *testing.F) {
	f.Add("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2kifQ.AA")
	f.Add("..")
	f.Fuzz(func(t *testing.T, raw string) {
		read, err := parse(raw)
		if err == nil {
			require.NotEmpty(t, read.issuer)
			require.Equal(t, raw, read.raw)
			require.Equal(t, 2, strings.Count(raw, "."))
		}
	})
}

func BenchmarkGood(b *testing.B) {
	i := env.StartIssuer(b, false)
	a, err := New(Options{Issuers: []Issuer{trusting(i)}, Refresh: time.Hour, Log: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	a.issuers[i.URL].keys.attempt(b.Context())
	good := auth.Credentials{Scheme: auth.SchemeBearer, Value: i.Token("alice", nil)}
	for b.Loop() {
		if _, err := a.Check(b.Context(), auth.Request{}, good); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	i := env.StartIssuer(b, false)
	a, err := New(Options{Issuers: []Issuer{trusting(i)}, Refresh: time.Hour, Log: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	a.issuers[i.URL].keys.attempt(b.Context())
	good := auth.Credentials{Scheme: auth.SchemeBearer, Value: i.Token("alice", nil)}
	for b.Loop() {
		a.good.Purge()
		if _, err := a.Check(b.Context(), auth.Request{}, good); err != nil {
			b.Fatal(err)
		}
	}
}
