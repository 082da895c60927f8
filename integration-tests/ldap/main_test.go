// SPDX-License-Identifier: Apache-2.0

// Package ldap holds the tests of logins by a directory: the real gateway
// binary, a real OpenLDAP server, clients over REST and Spark Connect, and
// engines that are fakes but for one test.
package ldap

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"roundhouse/engine/enginetest"
	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// adminToken is an administrator's token, for the tests' own calls: no directory decides about it.
const adminToken = "adm1n-token-7c6b5a4f3e2d1c0b"

// house is a gateway that asks a directory.
type house struct {
	*env.Gateway
	*env.Slapd
	t        *testing.T
	sessions int // of clients so far
}

// start starts a gateway with fake engines whose users are those of a
// directory. Settings are laid over those of the directory.
func start(t *testing.T, s *env.Slapd, settings map[string]string, environ ...string) *house {
	t.Helper()
	conf := map[string]string{"kyuubi.engineEnv.SPARK_HOME": enginetest.BuildFakeSparkHome(t)}
	maps.Copy(conf, settings)
	return startWith(t, s, conf, environ...)
}

// startWith starts a gateway with the Spark of the settings, else real Spark.
func startWith(t *testing.T, s *env.Slapd, settings map[string]string, environ ...string) *house {
	t.Helper()
	tokens := filepath.Join(t.TempDir(), "tokens")
	require.NoError(t, os.WriteFile(tokens, []byte(adminToken+" operator admin\n"), 0o600))
	conf := s.Settings()
	conf["kyuubi.authentication"], conf["kyuubi.authentication.token.file"] = "LDAP,TOKEN", tokens
	maps.Copy(conf, settings)
	h := &house{Gateway: env.Prepare(t, conf), Slapd: s, t: t}
	h.Token, h.Environ = adminToken, environ
	h.Gateway.StartUntilCleanup()
	return h
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// from is a client that calls from an address of this machine, over up to so
// many connections.
func from(t *testing.T, address string, connections int) *http.Client {
	t.Helper()
	transport := &http.Transport{
		DialContext:     (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext,
		MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// rest makes a call that every user may make, and returns the status, the body
// and Retry-After.
func (h *house) rest(client *http.Client, authorization string) (code int, body, retryAfter string) {
	r, err := http.NewRequest(http.MethodGet, "http://"+h.REST+"/api/v1/sessions", nil)
	require.NoError(h.t, err)
	r.Header.Set("Authorization", authorization)
	reply, err := client.Do(r)
	require.NoError(h.t, err)
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	require.NoError(h.t, err)
	return reply.StatusCode, string(text), reply.Header.Get("Retry-After")
}

func (h *house) code(client *http.Client, authorization string) int {
	code, _, _ := h.rest(client, authorization)
	return code
}

// person is a Spark Connect client with an authorization header.
type person struct {
	pb.SparkConnectServiceClient
	session, authorization string
}

func (h *house) person(authorization string) *person { return h.personFrom("127.0.0.1", authorization) }

// personFrom is one at an address of this machine.
func (h *house) personFrom(address, authorization string) *person {
	h.t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	conn, err := grpc.NewClient("passthrough:///"+h.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, to string) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", to) }))
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = conn.Close() })
	h.sessions++
	return &person{pb.NewSparkConnectServiceClient(conn), fmt.Sprintf("00000000-0000-4000-8000-%012d", h.sessions), authorization}
}

// version opens the session of the person, or uses it.
func (p *person) version(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "authorization", p.authorization), 30*time.Second)
	defer cancel()
	_, err := p.AnalyzePlan(ctx, &pb.AnalyzePlanRequest{
		SessionId: p.session, UserContext: &pb.UserContext{UserId: "somebody"},
		Analyze: &pb.AnalyzePlanRequest_SparkVersion_{SparkVersion: &pb.AnalyzePlanRequest_SparkVersion{}},
	})
	return err
}
