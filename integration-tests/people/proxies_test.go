// SPDX-License-Identifier: Apache-2.0

package people

import (
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
		"hadoop.proxyuser.portal.users": "alice,root,HDFS", "hadoop.proxyuser.portal.groups": "analysts", "hadoop.proxyuser.portal.hosts": "127.0.0.0/8",
		"hadoop.proxyuser.olga.users": "*", "hadoop.proxyuser.olga.hosts": "192.0.2.7",
		"hadoop.proxyuser.bob.groups": "*", "hadoop.proxyuser.bob.hosts": "localhost",
		"hadoop.proxyuser.eve.users": "alice", "hadoop.proxyuser.eve.hosts": "127.0.0.1,192.0.2.0/24",
		"hadoop.user.group.static.mapping.overrides": "carol=staff,analysts;alice=;eve=analysts-not",
	}
}

// TestActingForOthers: who may, in each way to ask for it, and that nothing is
// launched for who may not.
func TestActingForOthers(t *testing.T) {
	t.Parallel()
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
		"a listed user":              {"portal", "alice", ""},
		"a user of a listed group":   {"portal", "carol", ""},
		"everybody, from a host":     {"bob", "carol", ""},
		"oneself":                    {"alice", "alice", ""},
		"a user who is not listed":   {"portal", "bob", "neither hadoop.proxyuser.portal.users nor .groups lists user bob"},
		"a group that begins so":     {"portal", "eve", "neither"},
		"from another address":       {"olga", "alice", "hadoop.proxyuser.olga.hosts does not list the address 127.0.0.1"},
		"who may act for nobody":     {"alice", "bob", "alice may act for nobody"},
		"an administrator":           {"boss", "alice", "boss may act for nobody"},
		"a system user, though":      {"portal", "root", "an account of the system"},
		"a system user in capitals":  {"portal", "HDFS", "an account of the system"},
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
	for _, odd := range []string{"", " ", "../x", "a b", "-rf", "alice,bob"} {
		for way, open := range ways {
			require.Contains(t, []codes.Code{codes.InvalidArgument, codes.PermissionDenied, codes.OK}, status.Code(open("portal", odd)), way)
		}
	}
	require.Subset(t, []string{"alice", "carol", "portal"}, h.owners(), "no engine for an odd name")
}

// TestTheSessionOfAnother: all calls of a session are those of its user, also
// when only the first one names the user, over a restart of the gateway, and
// after its end.
func TestTheSessionOfAnother(t *testing.T) {
	t.Parallel()
	h := start(t, "", proxies())
	c, portal := h.client(), h.as("portal")
	require.NoError(t, set(portal, c, kyuubisKey, "alice", "spark.sql.shuffle.partitions", "5"))
	require.NoError(t, set(portal, c, kyuubisKey, "alice"), "PySpark sends it twice")
	require.NoError(t, c.Version(portal))
	require.Equal(t, []string{"alice"}, h.owners(), "one engine, and it is hers")
	require.Equal(t, "alice", h.Sessions()[0].User)

	requireDenied(t, c.Version(h.as("portal", kyuubisKey, "carol")), "has opened session "+c.Session+" for alice")
	requireDenied(t, set(portal, c, hivesKey, "carol"), "for alice")
	own := h.client()
	require.NoError(t, own.Version(portal))
	requireDenied(t, set(portal, own, kyuubisKey, "alice"), "for portal, so it cannot be used for alice")

	requireNotTheirs(t, h, c)
	_, list := h.rest("portal", http.MethodGet, "/api/v1/sessions", "")
	require.Contains(t, list, c.Session, "who opened a session sees it")
	_, list = h.rest("alice", http.MethodGet, "/api/v1/sessions", "")
	require.Contains(t, list, c.Session, "whose it is, too")
	_, list = h.rest("bob", http.MethodGet, "/api/v1/sessions", "")
	require.NotContains(t, list, `"user":"alice"`)

	h.Signal(syscall.SIGTERM)
	h.Start()
	require.NoError(t, c.Version(portal), "the next gateway knows for whom")
	require.ElementsMatch(t, []string{"alice", "portal", "bob"}, h.owners())
	reply, text := h.rest("boss", http.MethodDelete, "/api/v1/admin/sessions/"+c.Session+"?users=alice", "")
	require.Equal(t, http.StatusOK, reply.StatusCode, text)
	require.ErrorContains(t, c.Version(portal), "INVALID_HANDLE.SESSION_CHANGED", "a late call is no new session of portal")
	require.NoError(t, c.Release(portal))
	for _, s := range h.Sessions() {
		require.NotEqual(t, "alice", s.User)
	}
}

// requireNotTheirs: the id of a session is worth nothing to others.
func requireNotTheirs(t *testing.T, h *house, c *env.SparkClient) {
	t.Helper()
	before := len(h.Sessions())
	require.NoError(t, c.Version(h.as("bob")), "an id of somebody else is just an id")
	requireDenied(t, c.Version(h.as("bob", kyuubisKey, "alice")), "for bob, so it cannot be used for alice")
	requireDenied(t, c.Version(h.as("eve", kyuubisKey, "alice")), "eve acts for alice and has not opened session")
	require.Len(t, h.Sessions(), before+1)
}

// TestASessionOfAnotherByREST, which its client then finds by its id alone.
func TestASessionOfAnotherByREST(t *testing.T) {
	t.Parallel()
	h := start(t, "", proxies())
	body := func(user string) string { return `{"configs": {"kyuubi.session.proxy.user": "` + user + `"}}` }
	reply, text := h.rest("portal", http.MethodPost, "/api/v1/sessions", body("alice"))
	require.Equal(t, http.StatusOK, reply.StatusCode, text)
	var opened struct{ Identifier string }
	require.NoError(t, json.Unmarshal([]byte(text), &opened))
	c := h.client()
	c.Session = opened.Identifier
	require.NoError(t, c.Version(h.as("portal")))
	require.Equal(t, []string{"alice"}, h.owners())
	require.NoError(t, c.Version(h.as("alice")), "it is hers")
	for _, user := range []string{"bob", "root"} {
		reply, text = h.rest("portal", http.MethodPost, "/api/v1/sessions", body(user))
		require.Equal(t, http.StatusForbidden, reply.StatusCode, text)
	}
	reply, text = h.rest("boss", http.MethodPost, "/api/v1/sessions", body("alice"))
	require.Equal(t, http.StatusForbidden, reply.StatusCode, "an administrator is not exempt: %s", text)
	reply, _ = h.rest("bob", http.MethodDelete, "/api/v1/sessions/"+opened.Identifier, "")
	require.Equal(t, http.StatusNotFound, reply.StatusCode)
	reply, _ = h.rest("portal", http.MethodDelete, "/api/v1/sessions/"+opened.Identifier, "")
	require.Equal(t, http.StatusOK, reply.StatusCode)
	require.Equal(t, []string{"alice"}, h.owners())
}

// TestNobodyActsWhereNamesAreNotVerified.
func TestNobodyActsWhereNamesAreNotVerified(t *testing.T) {
	t.Parallel()
	g := env.Start(t, env.FakeSpark(t))
	h := &house{Gateway: g, t: t}
	requireDenied(t, h.open("portal", kyuubisKey, "alice"), "nobody's name is verified here")
	requireDenied(t, set(t.Context(), env.NewSparkClient(t, g.GRPC, "portal"), hivesKey, "alice"), "nobody's name is verified here")
	require.Empty(t, g.Engines())
}
