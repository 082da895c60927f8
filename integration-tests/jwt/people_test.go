// SPDX-License-Identifier: Apache-2.0

package jwt

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

// TestOneUser: alice by a token of the gateway, by one of the issuer, and by one
// with her domain is one user, in one session. Bob is not in it.
func TestOneUser(t *testing.T) {
	t.Parallel()
	i := env.StartIssuer(t, false)
	g := start(t, trust(t, i))
	first := with(t, g, aliceToken)
	require.NoError(t, first.Version(t.Context()))
	for _, name := range []string{"alice", "alice@example.org", "alice@EXAMPLE.ORG"} {
		again := with(t, g, i.Token(name, nil))
		again.Session = first.Session
		require.NoError(t, again.Version(t.Context()), name)
	}
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

// TestPySparkAndGo: PySpark with the token of an issuer, over TLS, as everybody
// writes it; and a client in Go.
func TestPySparkAndGo(t *testing.T) {
	i := env.StartIssuer(t, true)
	conf := trust(t, i)
	ca := overTLS(t, conf)
	g := start(t, conf)
	t.Setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", ca)
	for user, token := range map[string]string{"carol": i.Token("carol", map[string]any{"aud": "other"}), "": strings.Repeat("x", 40)} {
		stranger := env.StartClient(t, "4.3", "hold.py", "--remote", g.Remote("use_ssl=true", "token="+token), "--first", "config")
		require.Contains(t, stranger.Next("failed", time.Minute)["text"], "Authentication failed", user)
	}
	require.Empty(t, g.Engines())
	alice := env.StartClient(t, "4.3", "hold.py", "--remote", g.Remote("use_ssl=true", "token="+i.Token("alice", nil)), "--first", "config")
	alice.Next("answered", time.Minute)
	require.Equal(t, "alice", g.OnlyEngine().User)

	roots := x509.NewCertPool()
	text, err := os.ReadFile(ca)
	require.NoError(t, err)
	require.True(t, roots.AppendCertsFromPEM(text))
	secure := grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}))
	own := client(t, g, func() string { return i.Token("alice", nil) }, secure)
	rows := 0
	_, err = own.Query(t.Context(), "select 1", func(*pb.ExecutePlanResponse) error { rows++; return nil })
	require.NoError(t, err)
	require.Positive(t, rows)
	require.Equal(t, "alice", g.OnlyEngine().User, "the same engine")
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
		require.Contains(t, jvmClient(t, remote, ca), `"count": 1000`)
		require.Equal(t, "alice", g.OnlyEngine().User, "the same engine")
	}
}

// jvmClient runs the JVM client, which trusts what a trust store holds, and
// returns what it says.
func jvmClient(t *testing.T, remote, ca string) string {
	t.Helper()
	keytool, err := exec.LookPath("keytool")
	if err != nil {
		t.Skip("no keytool: sudo apt-get install -y default-jdk-headless")
	}
	store := filepath.Join(t.TempDir(), "trust.p12")
	env.Run(t, exec.Command(keytool, "-importcert", "-noprompt", "-alias", "gateway", "-file", ca, "-keystore", store, "-storepass", "changeit"))
	cmd := exec.Command(filepath.Join(env.Root(t), "integration-tests", "jvm", "run.sh"), env.SparkHome(t), t.TempDir(), remote)
	cmd.Env = append(os.Environ(), "JDK_JAVA_OPTIONS=-Djavax.net.ssl.trustStorePassword=changeit -Djavax.net.ssl.trustStore="+store)
	return env.Run(t, cmd)
}
