// SPDX-License-Identifier: Apache-2.0

// Package kerberos shows with the gateway binary and a real KDC who comes in by
// a ticket, over REST and over Spark Connect, and who does not.
package kerberos

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"roundhouse/engine/enginetest"
	"roundhouse/integration-tests/env"
	"roundhouse/internal/krb5/krb5test"
)

func TestMain(m *testing.M) { env.Main(m) }

const (
	realm   = "EDGE.TEST"
	service = "HTTP/localhost"
	// rules let people of the realm in, operators in small letters, and would make
	// the HDFS account of a service.
	rules = `RULE:[2:$1@$0](nn@EDGE.TEST)s/.*/hdfs/ RULE:[2:$1;$2](.*;OPS)s/;OPS$//L RULE:[1:$1@$0](.*@EDGE.TEST)s/@.*//`
	admin = "an-admin-of-the-tests"
)

// site is a realm, and gateways of one host in it.
type site struct {
	t        *testing.T
	kdc      *env.KDC
	services string // keytab of HTTP/localhost and host/localhost
	people   string // keytab of everybody
	replays  string
}

func newSite(t *testing.T) *site {
	t.Helper()
	kdc := env.StartKDC(t, realm)
	return &site{
		t: t, kdc: kdc, replays: filepath.Join(t.TempDir(), "used"),
		services: kdc.Keytab(service, "host/localhost"),
		people:   kdc.Keytab("alice", "bob", "Carol/OPS", "dave/other", "hdfs", "nn/localhost"),
	}
}

// gateway starts a gateway with fake engines.
func (s *site) gateway() *env.Gateway {
	s.t.Helper()
	tokens := filepath.Join(s.t.TempDir(), "tokens")
	require.NoError(s.t, os.WriteFile(tokens, []byte(admin+" operator admin\n"), 0o600))
	g := env.Prepare(s.t, map[string]string{
		"kyuubi.authentication":                           "KERBEROS,TOKEN",
		"kyuubi.authentication.token.file":                tokens,
		"kyuubi.authentication.kerberos.replay.dir":       s.replays,
		"kyuubi.spnego.principal":                         service + "@" + realm,
		"kyuubi.spnego.keytab":                            s.services,
		"hadoop.security.auth_to_local":                   rules,
		"kyuubi.engine.local.allow.gateway.user":          "true",
		"kyuubi.authentication.throttle.address.failures": "0",
		"kyuubi.engineEnv.SPARK_HOME":                     enginetest.BuildFakeSparkHome(s.t),
	})
	g.Token = admin
	g.StartUntilCleanup()
	return g
}

// ticket is one of a person for the gateway, from the KDC.
func (s *site) ticket(person string) krb5test.Ticket {
	s.t.Helper()
	return krb5test.Issued(s.t, s.kdc.Conf, s.people, person+"@"+realm, service+"@"+realm)
}

// fresh are credentials with a new token for each call.
type fresh struct {
	t      testing.TB
	ticket krb5test.Ticket
}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (f fresh) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": negotiate(f.ticket.Token(f.t, krb5test.Token{}).Bytes)}, nil
}

// RequireTransportSecurity says that loopback will do.
func (fresh) RequireTransportSecurity() bool { return false }

// client is a Spark Connect client of a person, who claims to be somebody else.
func (s *site) client(g *env.Gateway, person, claims string) *env.SparkClient {
	s.t.Helper()
	return env.NewSparkClient(s.t, g.GRPC, claims, grpc.WithPerRPCCredentials(fresh{s.t, s.ticket(person)}))
}

func negotiate(token []byte) string { return "Negotiate " + base64.StdEncoding.EncodeToString(token) }

// answer is what REST says.
type answer struct {
	code      int
	body      string
	challenge []string
}

// ask makes a REST call with these credentials.
func ask(t *testing.T, g *env.Gateway, authorization string) answer {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+g.REST+"/api/v1/sessions", nil)
	require.NoError(t, err)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	reply, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = reply.Body.Close() }()
	body, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	return answer{reply.StatusCode, string(body), reply.Header.Values("WWW-Authenticate")}
}

// curl calls REST with the tickets that environ names, and tells what it did.
func curl(t *testing.T, g *env.Gateway, environ []string, wrap ...string) string {
	t.Helper()
	port := g.REST[strings.LastIndexByte(g.REST, ':')+1:]
	command := append(wrap, "curl", "-4", "-sS", "-v", "--max-time", "20", "--negotiate", "-u", ":", "http://localhost:"+port+"/api/v1/sessions")
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = environ
	return env.Run(t, cmd)
}
