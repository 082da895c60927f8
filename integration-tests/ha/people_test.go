// SPDX-License-Identifier: Apache-2.0

package ha

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

// The tokens of the file: how people come in to ask for others.
const (
	bossToken  = "b055-token-7c6b5a4f3e2d1c0b"
	aliceToken = "a11ce-token-7c6b5a4f3e2d1c0b"
	bobToken   = "b0b-token-7c6b5a4f3e2d1c0bff"
)

// What is said at one gateway holds at the others within these times.
const (
	revokedIn  = time.Second
	disabledIn = 2 * time.Second
)

// bearer sends a token with each call, in plain, as clients do on one machine.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return false }

// startWithTokens starts two gateways that want a token of each caller.
func startWithTokens(t *testing.T) *env.Cluster {
	t.Helper()
	conf := env.Tokens(t, bossToken+" boss admin", aliceToken+" alice", bobToken+" bob")
	maps.Copy(conf, env.FakeSpark(t))
	c := env.PrepareGateways(t, env.StartZooKeeper(t, 1), 2, conf)
	for _, g := range c.Gateways {
		g.Token = bossToken
	}
	c.Start()
	return c
}

// at is a client of one gateway with a token.
func at(t *testing.T, g *env.Gateway, token string) *env.SparkClient {
	t.Helper()
	return env.NewSparkClient(t, g.GRPC, "", grpc.WithPerRPCCredentials(bearer(token)))
}

// rest makes a REST call with a token.
func rest(t *testing.T, g *env.Gateway, token, method, path string) (code int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+g.REST+path, strings.NewReader("{}"))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	reply, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = reply.Body.Close() }()
	body, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	return reply.StatusCode, string(body)
}

// issue gets a token from a gateway.
func issue(t *testing.T, g *env.Gateway, with string) (id, token string) {
	t.Helper()
	code, text := rest(t, g, with, http.MethodPost, "/api/v1/tokens")
	require.Equal(t, http.StatusOK, code, text)
	var got struct{ ID, Token string }
	require.NoError(t, json.Unmarshal([]byte(text), &got))
	return got.ID, got.Token
}

// TestTokensOfAllGateways are good everywhere at once, and are refused everywhere once one gateway
// has revoked them.
func TestTokensOfAllGateways(t *testing.T) {
	t.Parallel()
	c := startWithTokens(t)
	a, b := c.Gateways[0], c.Gateways[1]
	var slowest time.Duration
	for range env.Count(10, 100) {
		id, token := issue(t, a, aliceToken)
		client := at(t, b, token)
		require.NoError(t, client.Version(t.Context()), "at once")
		code, text := rest(t, a, aliceToken, http.MethodDelete, "/api/v1/tokens/"+id)
		require.Equal(t, http.StatusOK, code, text)
		began := time.Now()
		env.Eventually(t, revokedIn, "the other gateway refuses it", func() bool {
			return status.Code(client.Version(t.Context())) == codes.Unauthenticated
		})
		slowest = max(slowest, time.Since(began))
		client.Close()
		a, b = b, a
	}
	t.Logf("refused at the other gateway %v after it was revoked, at the latest", slowest.Round(time.Millisecond))
}

// TestAPersonWhoLeavesAllGateways: one command at one gateway cuts what runs at the other, and
// ends sessions, engines and tokens.
func TestAPersonWhoLeavesAllGateways(t *testing.T) {
	t.Parallel()
	c := startWithTokens(t)
	a, b := c.Gateways[0], c.Gateways[1]
	_, issued := issue(t, b, bobToken)
	bob, alice := at(t, b, bobToken), at(t, b, aliceToken)
	require.NoError(t, alice.Version(t.Context()))
	cut := stream(t, bob)
	env.Eventually(t, 5*time.Second, "both gateways know both engines", func() bool { return len(a.Engines()) == 2 && len(b.Engines()) == 2 })

	began := time.Now()
	disable := exec.Command(a.Binary, "user", "disable", "bob", "--reason", "left the company")
	disable.Env = a.Env()
	t.Logf("%s", env.Run(t, disable))
	select {
	case err := <-cut:
		require.ErrorContains(t, err, "User bob was disabled by")
	case <-time.After(time.Until(began.Add(disabledIn))):
		require.FailNow(t, "the query at the other gateway goes on")
	}
	t.Logf("cut at the other gateway after %v", time.Since(began).Round(time.Millisecond))
	for _, token := range []string{bobToken, issued} {
		require.Contains(t, []codes.Code{codes.PermissionDenied, codes.Unauthenticated}, status.Code(at(t, b, token).Version(t.Context())))
	}
	for _, g := range c.Gateways {
		env.Eventually(t, time.Until(began.Add(disabledIn)), "nothing of bob is left", func() bool {
			return !slices.ContainsFunc(g.Sessions(), func(s env.Session) bool { return s.User == "bob" }) &&
				!slices.ContainsFunc(g.Engines(), func(e env.Engine) bool { return e.User == "bob" })
		})
	}
	t.Logf("all was off after %v", time.Since(began).Round(time.Millisecond))
	require.Len(t, env.Drivers(c.Gateways...), 1)
	require.NoError(t, alice.Version(t.Context()))

	enable := exec.Command(b.Binary, "user", "enable", "bob")
	enable.Env = b.Env()
	env.Run(t, enable)
	env.Eventually(t, disabledIn, "bob may come in again", func() bool { return at(t, a, bobToken).Version(t.Context()) == nil })
}

// stream runs a query that sends rows for minutes; its end comes over the channel.
func stream(t *testing.T, c *env.SparkClient) <-chan error {
	t.Helper()
	s, err := c.ExecutePlan(t.Context(), &pb.ExecutePlanRequest{
		SessionId: c.Session, UserContext: c.UserContext(),
		Plan: &pb.Plan{OpType: &pb.Plan_Root{Root: &pb.Relation{RelType: &pb.Relation_Sql{Sql: &pb.SQL{Query: "SELECT rows(100000, 4096, 20)"}}}}},
	})
	require.NoError(t, err)
	_, err = s.Recv()
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { // ends with the stream, which the test's context ends at the latest
		for {
			if _, err := s.Recv(); err != nil {
				ended <- err
				return
			}
		}
	}()
	return ended
}
