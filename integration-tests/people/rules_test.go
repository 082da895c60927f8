// SPDX-License-Identifier: Apache-2.0

package people

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
)

const everyday = `
rules:
  - {name: gone, users: [eve], refuse: true}
  - {name: elsewhere, users: [carol], from: [192.0.2.0/24]}
  - {name: careful, users: [alice], from: [127.0.0.1], profiles: [small], share-levels: [USER]}
  - {name: staff, users: [bob, portal, olga, boss]}
operators:
  - {name: support, users: [olga], of: {users: [alice]}, may: [see, end]}
`

// TestRulesAndTheirExplanation: what the rules say is what a running gateway
// does, and what `gateway explain` foretells.
func TestRulesAndTheirExplanation(t *testing.T) {
	t.Parallel()
	h := prepare(t, everyday, nil)
	for _, profile := range []string{"small", "large"} {
		require.NoError(t, os.WriteFile(filepath.Join(h.Home, "conf", "kyuubi-session-"+profile+".conf"), []byte("spark.sql.shuffle.partitions=3\n"), 0o600))
	}
	h.StartUntilCleanup()
	for name, tt := range map[string]struct {
		user, says string
		options    []string
		flags      []string
	}{
		"staff":               {user: "bob"},
		"staff, any profile":  {user: "bob", options: []string{"kyuubi.session.conf.profile", "large"}, flags: []string{"--profile", "large"}},
		"refused":             {user: "eve", says: `rule "gone" in line 3 refuses user eve`},
		"from elsewhere":      {user: "carol", says: "no rule fits user carol from 127.0.0.1"},
		"careful":             {user: "alice", options: []string{"kyuubi.session.conf.profile", "small"}, flags: []string{"--profile", "small"}},
		"careful, too large":  {user: "alice", options: []string{"kyuubi.session.conf.profile", "large"}, flags: []string{"--profile", "large"}, says: `rule "careful" in line 5 does not allow the profile "large", only small`},
		"careful, for itself": {user: "alice", options: []string{"kyuubi.engine.share.level", "connection"}, flags: []string{"--share-level", "connection"}, says: `the share level "CONNECTION", only USER`},
	} {
		err := h.open(tt.user, tt.options...)
		said, code := h.command(append([]string{"explain", "--user", tt.user, "--from", "127.0.0.1"}, tt.flags...)...)
		if tt.says == "" {
			require.NoError(t, err, name)
			require.Zero(t, code, "%s: %s", name, said)
			require.Contains(t, said, tt.user+" may connect: rule", name)
			continue
		}
		requireDenied(t, err, tt.says)
		require.Equal(t, 1, code, "%s: %s", name, said)
		require.Contains(t, said, tt.says, name)
	}
	reply, text := h.rest("eve", http.MethodGet, "/api/v1/sessions", "")
	require.Equal(t, http.StatusForbidden, reply.StatusCode, "REST has the same rules: %s", text)
	said, _ := h.command("explain", "--user", "olga")
	require.Contains(t, said, `operator "support": may [see end] what belongs to users alice`)
	said, code := h.command("explain", "--user", "bob", "--profile", "huge")
	require.Equal(t, 1, code)
	require.Contains(t, said, "there is no profile huge")
	said, code = h.command("explain", "--user", "root")
	require.Equal(t, 1, code)
	require.Contains(t, said, "root is an account of the system and never comes in")
}

// TestRulesAreReadAgain while the gateway runs; a faulty file changes nothing.
func TestRulesAreReadAgain(t *testing.T) {
	t.Parallel()
	h := start(t, everyday, nil)
	alice := h.client()
	require.NoError(t, alice.Version(h.as("alice")))
	h.writeRules("rules:\n  - {name: staff, users: [boss], form: [10.0.0.0/8]}\n")
	env.Eventually(t, 5*time.Second, "the fault is in the log", func() bool { return strings.Contains(h.Log(), "rules file not usable") })
	require.NoError(t, alice.Version(h.as("alice")), "the rules read before hold")
	h.writeRules("rules:\n  - {name: staff, users: [boss]}\n")
	env.Eventually(t, 5*time.Second, "the new rules hold", func() bool {
		return status.Code(alice.Version(h.as("alice"))) == codes.PermissionDenied
	})
	require.Equal(t, 1, strings.Count(h.Log(), "rules file not usable"), "it is said once")
	require.Contains(t, h.Log(), "did you mean from?")
	h.writeRules(everyday)
	env.Eventually(t, 5*time.Second, "alice is back, in her session", func() bool { return alice.Version(h.as("alice")) == nil })
}

// TestOperators see and end what the rules name, and nothing else.
func TestOperators(t *testing.T) {
	t.Parallel()
	h := start(t, everyday, nil)
	alice, bob := h.client(), h.client()
	require.NoError(t, alice.Version(h.as("alice")))
	require.NoError(t, bob.Version(h.as("bob")))
	reply, list := h.rest("olga", http.MethodGet, "/api/v1/admin/sessions", "")
	require.Equal(t, http.StatusOK, reply.StatusCode)
	require.Contains(t, list, alice.Session)
	require.NotContains(t, list, bob.Session)
	for path, want := range map[string]int{
		"/api/v1/admin/sessions/%s": http.StatusNotFound, "/api/v1/sessions/%s": http.StatusNotFound,
	} {
		reply, text := h.rest("olga", http.MethodDelete, fmt.Sprintf(path, bob.Session), "")
		require.Equal(t, want, reply.StatusCode, text)
	}
	reply, text := h.rest("olga", http.MethodDelete, "/api/v1/admin/sessions/"+alice.Session, "")
	require.Equal(t, http.StatusOK, reply.StatusCode, text)
	require.ErrorContains(t, alice.Version(h.as("alice")), "Operator olga ended it over REST")
	require.NoError(t, bob.Version(h.as("bob")))
	reply, _ = h.rest("alice", http.MethodGet, "/api/v1/admin/sessions", "")
	require.Equal(t, http.StatusForbidden, reply.StatusCode)
	reply, _ = h.rest("olga", http.MethodPost, "/api/v1/admin/users/alice/disable", "")
	require.Equal(t, http.StatusForbidden, reply.StatusCode, "an operator is no administrator")
}
