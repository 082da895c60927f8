// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"encoding/json"
	"net/http"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
)

const (
	kyuubisKey = "kyuubi.session.proxy.user"
	hivesKey   = "hive.server2.proxy.user"
)

// proxies are Hadoop's settings of these tests.
func proxies() map[string]string {
	return map[string]string{
		"hadoop.proxyuser.hue.users": "alice,root,HDFS", "hadoop.proxyuser.hue.groups": "analysts", "hadoop.proxyuser.hue.hosts": "127.0.0.0/8",
		"hadoop.proxyuser.olga.users": "*", "hadoop.proxyuser.olga.hosts": "192.0.2.7",
		"hadoop.proxyuser.bob.groups": "*", "hadoop.proxyuser.bob.hosts": "localhost",
		"hadoop.user.group.static.mapping.overrides": "carol=staff,analysts;alice=;eve=analysts-not",
	}
}

// TestActingForOthers: who may, in each way to ask for it, and that nothing is
// launched for who may not.
func TestActingForOthers(t *testing.T) {
	h := start(t, "", proxies())
	ways := map[string]func(real, user string) error{
		"in the connection string": func(real, user string) error { return h.open(real, kyuubisKey, user) },
		"by Hive's name":           func(real, user string) error { return h.open(real, hivesKey, user) },
		"by the prefix of headers": func(real, user string) error { return h.open(real, "x-"+kyuubisKey, user) },
		"in the first Config.Set":  func(real, user string) error { return set(h.as(real), h.client(), kyuubisKey, user) },
		"in the first, in capitals": func(real, user string) error {
			return set(h.as(real), h.client(), "KYUUBI.Session.Proxy.User", user)
		},
	}
	for name, tt := range map[string]struct{ real, user, says string }{
		"a listed user":              {"hue", "alice", ""},
		"a user of a listed group":   {"hue", "carol", ""},
		"everybody, from a host":     {"bob", "carol", ""},
		"oneself":                    {"alice", "alice", ""},
		"a user who is not listed":   {"hue", "bob", "neither hadoop.proxyuser.hue.users nor .groups lists user bob"},
		"a group that begins so":     {"hue", "eve", "neither"},
		"from another address":       {"olga", "alice", "hadoop.proxyuser.olga.hosts does not list the address 127.0.0.1"},
		"who may act for nobody":     {"alice", "bob", "alice may act for nobody"},
		"an administrator":           {"boss", "alice", "boss may act for nobody"},
		"a system user, though":      {"hue", "root", "an account of the system"},
		"a system user in capitals":  {"hue", "HDFS", "an account of the system"},
		"a system user by everybody": {"bob", "hdfs", "an account of the system"},
	} {
		for way, open := range ways {
			before := h.owners()
			err := open(tt.real, tt.user)
			if tt.says == "" {
				require.NoError(t, err, "%s, %s", name, way)
				require.Contains(t, h.owners(), tt.user, "%s, %s", name, way)
				continue
			}
			requireDenied(t, err, tt.says)
			require.Equal(t, before, h.owners(), "%s, %s: nothing is launched", name, way)
		}
	}
	for _, odd := range []string{"", " ", "../x", "alice\t", "a b", "-rf", "alice,bob"} {
		for way, open := range ways {
			require.Contains(t, []codes.Code{codes.InvalidArgument, codes.PermissionDenied, codes.OK}, status.Code(open("hue", odd)), way)
		}
	}
	require.Subset(t, []string{"alice", "carol", "hue"}, h.owners(), "no engine for an odd name")
}

// TestTheSessionOfAnother: all calls of a session are those of its user, also
// when only the first one names the user, over a restart of the gateway, and
// after its end.
func TestTheSessionOfAnother(t *testing.T) {
	h := start(t, "", proxies())
	c, hue := h.client(), h.as("hue")
	require.NoError(t, set(hue, c, kyuubisKey, "alice", "spark.sql.shuffle.partitions", "5"))
	require.NoError(t, set(hue, c, kyuubisKey, "alice"), "PySpark sends it twice")
	require.NoError(t, c.Version(hue))
	require.Equal(t, []string{"alice"}, h.owners(), "one engine, and it is hers")
	require.Equal(t, "alice", h.Sessions()[0].User)

	requireDenied(t, c.Version(h.as("hue", kyuubisKey, "carol")), "has opened session "+c.Session+" for alice")
	requireDenied(t, set(hue, c, hivesKey, "carol"), "for alice")
	own := h.client()
	require.NoError(t, own.Version(hue))
	requireDenied(t, set(hue, own, kyuubisKey, "alice"), "for hue, so it cannot be used for alice")

	requireNotTheirs(t, h, c)
	_, list := h.rest("hue", http.MethodGet, "/api/v1/sessions", "")
	require.Contains(t, list, c.Session, "who opened a session sees it")
	_, list = h.rest("alice", http.MethodGet, "/api/v1/sessions", "")
	require.Contains(t, list, c.Session, "whose it is, too")
	_, list = h.rest("bob", http.MethodGet, "/api/v1/sessions", "")
	require.NotContains(t, list, c.Session)

	h.Signal(syscall.SIGTERM)
	h.Start()
	require.NoError(t, c.Version(hue), "the next gateway knows for whom")
	require.ElementsMatch(t, []string{"alice", "hue"}, h.owners())
	reply, text := h.rest("boss", http.MethodDelete, "/api/v1/admin/sessions/"+c.Session, "")
	require.Equal(t, http.StatusOK, reply.StatusCode, text)
	require.ErrorContains(t, c.Version(hue), "INVALID_HANDLE.SESSION_CHANGED", "a late call is no new session of hue")
	require.NoError(t, c.Release(hue))
	require.Len(t, h.Sessions(), 1)
}

// requireNotTheirs: the id of a session is worth nothing to others.
func requireNotTheirs(t *testing.T, h *house, c *env.SparkClient) {
	t.Helper()
	before := len(h.Sessions())
	for _, ctx := range []context.Context{h.as("bob"), h.as("bob", kyuubisKey, "carol")} {
		stranger := *c
		require.NoError(t, stranger.Version(ctx), "an id of somebody else is just an id")
	}
	requireDenied(t, c.Version(h.as("bob", kyuubisKey, "alice")), "")
	require.Len(t, h.Sessions(), before+2)
}

// TestASessionOfAnotherByREST, which its client then finds by its id alone.
func TestASessionOfAnotherByREST(t *testing.T) {
	h := start(t, "", proxies())
	body := func(user string) string { return `{"configs": {"kyuubi.session.proxy.user": "` + user + `"}}` }
	reply, text := h.rest("hue", http.MethodPost, "/api/v1/sessions", body("alice"))
	require.Equal(t, http.StatusOK, reply.StatusCode, text)
	var opened struct{ Identifier string }
	require.NoError(t, json.Unmarshal([]byte(text), &opened))
	c := h.client()
	c.Session = opened.Identifier
	require.NoError(t, c.Version(h.as("hue")))
	require.Equal(t, []string{"alice"}, h.owners())
	require.NoError(t, c.Version(h.as("alice")), "it is hers")
	for _, user := range []string{"bob", "root"} {
		reply, text = h.rest("hue", http.MethodPost, "/api/v1/sessions", body(user))
		require.Equal(t, http.StatusForbidden, reply.StatusCode, text)
	}
	reply, text = h.rest("boss", http.MethodPost, "/api/v1/sessions", body("alice"))
	require.Equal(t, http.StatusForbidden, reply.StatusCode, "an administrator is not exempt: %s", text)
	reply, _ = h.rest("bob", http.MethodDelete, "/api/v1/sessions/"+opened.Identifier, "")
	require.Equal(t, http.StatusNotFound, reply.StatusCode)
	reply, _ = h.rest("hue", http.MethodDelete, "/api/v1/sessions/"+opened.Identifier, "")
	require.Equal(t, http.StatusOK, reply.StatusCode)
	require.Equal(t, []string{"alice"}, h.owners())
}

// TestNobodyActsWhereNamesAreNotVerified.
func TestNobodyActsWhereNamesAreNotVerified(t *testing.T) {
	g := env.Start(t, env.FakeSpark(t))
	h := &house{Gateway: g, t: t}
	requireDenied(t, h.open("hue", kyuubisKey, "alice"), "nobody's name is verified here")
	requireDenied(t, set(t.Context(), env.NewSparkClient(t, g.GRPC, "hue"), hivesKey, "alice"), "nobody's name is verified here")
	require.Empty(t, g.Engines())
}
