// SPDX-License-Identifier: Apache-2.0

package jwt

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// TestOneUser: alice by a token of the gateway, by one of the issuer, by one with
// her domain, and by one of an issuer whose key is in a file and who does not
// answer is one user, in one session. Bob is not in it.
func TestOneUser(t *testing.T) {
	t.Parallel()
	i, away := env.StartIssuer(t, false), env.NewIssuerKey(t, "RS256", "away")
	const key = "kyuubi.authentication.jwt.away."
	g := start(t, trust(t, i), key+"issuer", "https://away.example.org", key+"audience", env.Audience, key+"public.key.path", publicKey(t, away))
	first := with(t, g, aliceToken)
	require.NoError(t, first.Version(t.Context()))
	ofAway := i.Claims("alice", map[string]any{"iss": "https://away.example.org"})
	for name, token := range map[string]string{
		"plain":           i.Token("alice", nil),
		"with the domain": i.Token("alice@example.org", nil), "in capitals": i.Token("alice@EXAMPLE.ORG", nil),
		"of a key in a file": away.Sign(t, ofAway, nil),
	} {
		again := with(t, g, token)
		again.Session = first.Session
		require.NoError(t, again.Version(t.Context()), name)
	}
	require.Equal(t, http.StatusUnauthorized, ask(t, g, i.Key().Sign(t, ofAway, nil)).code, "the key in the file decides, and no other")
	require.Len(t, g.Sessions(), 1)
	require.Equal(t, "alice", g.Sessions()[0].User)
	require.Len(t, g.Engines(), 1)

	bob := with(t, g, i.Token("bob", nil))
	bob.Session = first.Session
	require.NoError(t, bob.Version(t.Context()))
	require.Len(t, g.Sessions(), 2)
	require.Contains(t, ask(t, g, i.Token("alice", nil)).body, `"user":"alice"`)
	require.NotContains(t, ask(t, g, i.Token("alice", nil)).body, `"user":"bob"`)
}

// publicKey writes the public half of a key into a PEM file.
func publicKey(t *testing.T, k env.IssuerKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.Private.Public())
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "public.pem")
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600))
	return path
}

// TestSeveralIssuers: each has its own audience, claims and keys.
func TestSeveralIssuers(t *testing.T) {
	t.Parallel()
	first, partner := env.StartIssuer(t, false), env.StartIssuer(t, true)
	const key = "kyuubi.authentication.jwt.partner."
	g := start(t, trust(t, first), key+"issuer", partner.URL, key+"audience", "gw", key+"ssl.ca.path", partner.CA,
		key+"user.claim", "preferred_username", key+"groups.claim", "")
	bob := map[string]any{"aud": []string{"other", "gw"}, "preferred_username": "bob"}
	require.Equal(t, http.StatusOK, ask(t, g, first.Token("alice", nil)).code)
	require.Equal(t, http.StatusOK, ask(t, g, partner.Token("17", bob)).code)
	require.NoError(t, with(t, g, partner.Token("17", bob)).Version(t.Context()))
	require.Equal(t, "bob", g.Sessions()[0].User)
	for name, token := range map[string]string{
		"audience of the other": partner.Token("alice", map[string]any{"preferred_username": "alice"}),
		"key of the other":      partner.Key().Sign(t, first.Claims("alice", nil), nil),
		"claim of the other":    partner.Token("bob", map[string]any{"aud": "gw"}),
		"domain of the other":   partner.Token("17", map[string]any{"aud": "gw", "preferred_username": "bob@example.org"}),
	} {
		require.Equal(t, http.StatusUnauthorized, ask(t, g, token).code, name)
	}
}

// TestFlows: what the issuer gives for a password, to a service, and to a program
// that a person allowed opens the gateway.
func TestFlows(t *testing.T) {
	t.Parallel()
	i := env.StartIssuer(t, false)
	i.People["alice"] = env.Person{Password: "wonderland", Groups: []string{"eng"}}
	i.Clients["nightly"] = "secret"
	g := start(t, trust(t, i))
	post := func(path string, pairs ...string) (int, map[string]any) {
		form := url.Values{}
		for n := 0; n < len(pairs); n += 2 {
			form.Set(pairs[n], pairs[n+1])
		}
		reply, err := http.PostForm(i.URL+path, form)
		require.NoError(t, err)
		defer func() { _ = reply.Body.Close() }()
		body := map[string]any{}
		require.NoError(t, json.NewDecoder(reply.Body).Decode(&body))
		return reply.StatusCode, body
	}
	opens := func(body map[string]any) {
		t.Helper()
		token, _ := body["access_token"].(string)
		require.Equal(t, http.StatusOK, ask(t, g, token).code, body)
	}
	code, _ := post("/token", "grant_type", "password", "username", "alice", "password", "wrong")
	require.Equal(t, http.StatusBadRequest, code)
	_, body := post("/token", "grant_type", "password", "username", "alice", "password", "wonderland")
	opens(body)
	_, body = post("/token", "grant_type", "client_credentials", "client_id", "nightly", "client_secret", "secret")
	opens(body)

	_, device := post("/device", "client_id", "cli")
	poll := func() (int, map[string]any) {
		return post("/token", "grant_type", "urn:ietf:params:oauth:grant-type:device_code", "client_id", "cli", "device_code", device["device_code"].(string))
	}
	_, body = poll()
	require.Equal(t, "authorization_pending", body["error"])
	require.True(t, i.Approve(device["user_code"].(string), "alice"))
	_, body = poll()
	opens(body)
	code, _ = poll()
	require.Equal(t, http.StatusBadRequest, code, "a code is good once")
}

// overTLS are the settings of a gateway whose Spark Connect port speaks TLS, and
// the file of its authority.
func overTLS(t *testing.T, conf map[string]string) string {
	t.Helper()
	certificate, key := env.Certificate(t)
	conf["kyuubi.frontend.spark.connect.ssl.enabled"] = "true"
	conf["kyuubi.frontend.spark.connect.ssl.certificate.path"] = certificate
	conf["kyuubi.frontend.spark.connect.ssl.key.path"] = key
	return certificate
}

// TestRealSpark: PySpark with the token of an issuer, over TLS, on real Spark; in
// long runs the JVM client, too, on the same engine.
func TestRealSpark(t *testing.T) {
	i := env.StartIssuer(t, false)
	conf := trust(t, i)
	ca := overTLS(t, conf)
	conf["spark.driver.memory"] = "700m"
	g := env.Prepare(t, conf)
	g.Token = adminToken
	g.StartUntilCleanup()
	t.Setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", ca)
	remote := g.Remote("use_ssl=true", "token="+i.Token("alice", nil))
	alice := env.StartClient(t, "4.3", "hold.py", "--remote", remote, "--first", "execute")
	require.EqualValues(t, 1, alice.Next("answered", 100*time.Second)["result"])
	require.Equal(t, "alice", g.OnlyEngine().User)
	if env.Long() {
		require.Contains(t, env.Run(t, env.JVM(t, ca, remote)), `"count": 1000`)
		require.Equal(t, "alice", g.OnlyEngine().User, "the same engine")
	}
}
