// SPDX-License-Identifier: Apache-2.0

package people

import (
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

// offIn is how fast a person who leaves must be off everywhere.
const offIn = 5 * time.Second

// endless is a query that sends rows for minutes.
const endless = "SELECT rows(100000, 4096, 20)"

// running runs an endless query and returns once rows come; its end comes over
// the channel.
func running(t *testing.T, h *house, c *env.SparkClient, user string) <-chan error {
	t.Helper()
	stream, err := c.ExecutePlan(h.as(user), &pb.ExecutePlanRequest{
		SessionId: c.Session, UserContext: c.UserContext(),
		Plan: &pb.Plan{OpType: &pb.Plan_Root{Root: &pb.Relation{RelType: &pb.Relation_Sql{Sql: &pb.SQL{Query: endless}}}}},
	})
	require.NoError(t, err)
	_, err = stream.Recv()
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { // ends with the stream, which the test's context ends at the latest
		for {
			if _, err := stream.Recv(); err != nil {
				ended <- err
				return
			}
		}
	}()
	return ended
}

// within waits for the end of a query.
func within(t *testing.T, ended <-chan error, limit time.Duration) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(limit):
		require.FailNow(t, "the stream goes on")
		return nil
	}
}

// TestAPersonWhoLeaves is off everywhere within seconds of one command: running
// queries, sessions, engines, tokens, and what they opened for others.
func TestAPersonWhoLeaves(t *testing.T) {
	t.Parallel()
	h := start(t, "", map[string]string{
		"hadoop.proxyuser.bob.users": "carol", "hadoop.proxyuser.bob.hosts": "*", "kyuubi.server.graceful.shutdown.timeout": "PT1S",
	})
	alice, bob, carols := h.client(), h.client(), h.client()
	require.NoError(t, alice.Version(h.as("alice")))
	require.NoError(t, carols.Version(h.as("bob", kyuubisKey, "carol")))
	query, forCarol, others := running(t, h, bob, "bob"), running(t, h, carols, "bob"), running(t, h, alice, "alice")
	_, text := h.rest("bob", http.MethodPost, "/api/v1/tokens", `{}`)
	require.Contains(t, text, `"token"`)
	issued := strings.Split(strings.SplitAfter(text, `"token":"`)[1], `"`)[0]

	began := time.Now()
	said, code := h.command("user", "disable", "bob", "--reason", "left the company")
	took := time.Since(began)
	require.Zero(t, code, said)
	require.Contains(t, said, "User bob is disabled. Ended: calls 2, sessions 2, engines 1; tokens revoked: 1.")
	for _, ended := range []<-chan error{query, forCarol} {
		require.ErrorContains(t, within(t, ended, offIn-time.Since(began)), "User bob was disabled by")
	}
	env.Eventually(t, offIn-time.Since(began), "no engine of bob is left", func() bool { return !slices.Contains(h.owners(), "bob") })
	for _, s := range h.Sessions() {
		require.Equal(t, "alice", s.User, "no session is left, neither of bob nor of who bob acted for")
	}
	t.Logf("the command took %v, all was off after %v", took, time.Since(began))
	require.Less(t, time.Since(began), offIn)

	requireDenied(t, bob.Version(h.as("bob")), "User bob is disabled. Ask the administrator")
	requireDenied(t, h.open("bob", kyuubisKey, "carol"), "disabled")
	reply, _ := h.rest("bob", http.MethodGet, "/api/v1/sessions", "")
	require.Equal(t, http.StatusForbidden, reply.StatusCode)
	reply, _ = h.rest("", http.MethodGet, "/api/v1/sessions", "", "Authorization", "Bearer "+issued)
	require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, reply.StatusCode, "the issued token is dead")
	require.NoError(t, alice.Another().Version(h.as("alice")))
	select {
	case err := <-others:
		require.NoError(t, err, "the query of somebody else goes on")
	default:
	}
	said, _ = h.command("user", "list")
	require.Contains(t, said, `"left the company"`)

	h.Signal(syscall.SIGTERM)
	h.Start()
	requireDenied(t, h.open("bob"), "disabled")
	said, code = h.command("user", "enable", "bob")
	require.Zero(t, code, said)
	require.NoError(t, h.open("bob"))
}

// TestAnEngineOfAnotherThatHangs does not keep the driver of a person who leaves.
func TestAnEngineOfAnotherThatHangs(t *testing.T) {
	t.Parallel()
	h := start(t, "", map[string]string{"hadoop.proxyuser.bob.users": "carol", "hadoop.proxyuser.bob.hosts": "*"})
	require.NoError(t, h.open("bob"))
	require.NoError(t, h.open("bob", kyuubisKey, "carol"))
	pids := map[string]int{}
	for _, e := range h.Engines() {
		pids[e.User] = e.PID
	}
	env.Freeze(t, pids["carol"])
	thaw := func() { _ = syscall.Kill(pids["carol"], syscall.SIGCONT) }
	defer thaw()
	said := make(chan string, 1)
	began := time.Now()
	go func() { // waited for below
		_, text := h.rest("boss", http.MethodPost, "/api/v1/admin/users/bob/disable", "")
		said <- text
	}()
	env.Eventually(t, offIn, "bob's driver is gone", func() bool { return !env.Alive(pids["bob"]) })
	t.Logf("bob's driver was gone after %v", time.Since(began))
	require.Empty(t, said, "the command waits for carol's engine")
	thaw()
	require.Contains(t, <-said, "Ended: calls 0, sessions 2, engines 1")
	require.Equal(t, []string{"carol"}, h.owners())
}

// TestAPersonWhoLeavesWhileAnEngineStarts: the call that waits is answered, and
// the launch ends.
func TestAPersonWhoLeavesWhileAnEngineStarts(t *testing.T) {
	t.Parallel()
	h := start(t, "", map[string]string{"spark.fake.start.delay.ms": "60000"})
	held := make(chan error, 1)
	c := h.client()
	go func() { held <- c.Version(h.as("bob")) }() // ends with the call
	env.Eventually(t, 10*time.Second, "the launch is under way", func() bool { return slices.Contains(h.owners(), "bob") })
	began := time.Now()
	reply, text := h.rest("boss", http.MethodPost, "/api/v1/admin/users/bob/disable", "")
	require.Equal(t, http.StatusOK, reply.StatusCode, text)
	require.Error(t, within(t, held, offIn))
	env.Eventually(t, offIn-time.Since(began), "nothing is launched any more", func() bool { return len(h.owners()) == 0 })
}

// TestNobodyComesInBesides: while a user is being disabled, calls of the user
// that come all the time leave nothing behind.
func TestNobodyComesInBesides(t *testing.T) {
	t.Parallel()
	h := start(t, "", nil)
	c, stop, over := h.client(), make(chan struct{}), make(chan struct{})
	require.NoError(t, c.Version(h.as("bob")))
	ctx := h.as("bob")
	go func() { // ends when stop is closed
		defer close(over)
		for {
			select {
			case <-stop:
				return
			default:
				_ = c.Another().Version(ctx)
			}
		}
	}()
	reply, text := h.rest("boss", http.MethodPost, "/api/v1/admin/users/bob/disable", `{"reason": "left"}`)
	require.Equal(t, http.StatusOK, reply.StatusCode, text)
	env.Eventually(t, offIn, "all is off", func() bool { return len(h.owners()) == 0 && len(h.Sessions()) == 0 })
	close(stop)
	<-over
	require.Empty(t, h.owners())
	require.Empty(t, h.Sessions())
	require.Equal(t, codes.PermissionDenied, status.Code(c.Version(ctx)))
}
