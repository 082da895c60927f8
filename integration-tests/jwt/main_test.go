// SPDX-License-Identifier: Apache-2.0

// Package jwt holds the tests of logins by tokens of an issuer: the real gateway
// binary, an OpenID Connect provider, clients over REST and Spark Connect, and
// engines that are fakes but for one test.
package jwt

import (
	"context"
	"io"
	"maps"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"roundhouse/engine/enginetest"
	"roundhouse/integration-tests/env"
)

func TestMain(m *testing.M) { env.Main(m) }

// adminToken is an administrator's token of a file, for the tests' own calls.
const adminToken = "adm1n-token-of-the-jwt-tests"

// aliceToken is one of alice.
const aliceToken = "al1ce-token-of-the-jwt-tests"

// trust are the settings of a gateway that takes tokens of an issuer, and some of
// a file. Nobody is slowed down.
func trust(t *testing.T, i *env.Issuer) map[string]string {
	t.Helper()
	conf := env.Tokens(t, adminToken+" operator admin", aliceToken+" alice")
	maps.Copy(conf, map[string]string{
		"kyuubi.authentication":                           "JWT,TOKEN",
		"kyuubi.authentication.jwt.issuer":                i.URL,
		"kyuubi.authentication.jwt.audience":              env.Audience,
		"kyuubi.authentication.jwt.algorithms":            "RS256,ES256",
		"kyuubi.authentication.jwt.user.domains":          "example.org",
		"kyuubi.authentication.jwt.ssl.ca.path":           i.CA,
		"kyuubi.authentication.throttle.address.failures": "0",
		"kyuubi.authentication.throttle.user.failures":    "0",
	})
	return conf
}

// start starts a gateway with fake engines and these settings.
func start(t *testing.T, conf map[string]string, pairs ...string) *env.Gateway {
	t.Helper()
	conf["kyuubi.engineEnv.SPARK_HOME"] = enginetest.BuildFakeSparkHome(t)
	for n := 0; n < len(pairs); n += 2 {
		conf[pairs[n]] = pairs[n+1]
	}
	g := env.Prepare(t, conf)
	g.Token = adminToken
	g.StartUntilCleanup()
	return g
}

// answer is what REST says.
type answer struct {
	code      int
	body      string
	challenge string
}

// ask makes a call that every user may make.
func ask(t testing.TB, g *env.Gateway, token string) answer {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+g.REST+"/api/v1/sessions", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	reply, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = reply.Body.Close() }()
	body, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	return answer{reply.StatusCode, string(body), reply.Header.Get("WWW-Authenticate")}
}

// bearer sends the token that it is asked for with each call.
type bearer func() string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + b()}, nil
}

// RequireTransportSecurity says that loopback will do.
func (bearer) RequireTransportSecurity() bool { return false }

// client is a Spark Connect client that claims to be somebody else.
func client(t testing.TB, g *env.Gateway, token func() string) *env.SparkClient {
	t.Helper()
	return env.NewSparkClient(t, g.GRPC, "root", grpc.WithPerRPCCredentials(bearer(token)))
}

// with is a client with one token.
func with(t testing.TB, g *env.Gateway, token string) *env.SparkClient {
	t.Helper()
	return client(t, g, func() string { return token })
}
