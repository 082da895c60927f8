// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
	"roundhouse/internal/errs"
)

// everybody plays the list of disabled users.
type everybody struct{ w *world }

func (e everybody) Disable(_ context.Context, by auth.Identity, user, reason string) (string, error) {
	if e.w.endErr != nil {
		return "", e.w.endErr
	}
	e.w.note("disable", by.User, user, reason)
	return "User " + user + " is disabled.", nil
}

func (e everybody) Enable(_ context.Context, by auth.Identity, user string) (string, error) {
	e.w.note("enable", by.User, user)
	return "User " + user + " may come in again.", e.w.endErr
}

func (everybody) List() []DisabledView {
	return []DisabledView{{User: "eve", By: "root", Reason: "left", Since: time.UnixMilli(1_700_000_000_000)}}
}

// rulesOfTheTest know olga, who may see what belongs to alice, and otto, who may
// end it too; hue may act for alice.
type rulesOfTheTest struct{}

func (rulesOfTheTest) Act(_ context.Context, id auth.Identity, peer net.Addr, user string) (auth.Identity, error) {
	if id.User != "hue" || user != "alice" || peer == nil {
		return auth.Identity{}, errs.New(errs.PermissionDenied, "%s cannot act for %s.", id.User, user)
	}
	return auth.Identity{User: user, RealUser: id.User, Method: id.Method}, nil
}

func (rulesOfTheTest) IsOperator(_ context.Context, caller auth.Identity) bool {
	return caller.User == "olga" || caller.User == "otto"
}

func (rulesOfTheTest) Operates(_ context.Context, caller auth.Identity, do Action, owner string) bool {
	return owner == "alice" && (caller.User == "otto" || caller.User == "olga" && do == See)
}

func TestDisableUser(t *testing.T) {
	w := aWorld()
	c := serve(t, options(w))
	reply := c.do("root", "POST", "/api/v1/admin/users/eve/disable", `{"reason": "left"}`)
	require.Equal(t, http.StatusOK, reply.Code, reply.Body)
	require.JSONEq(t, `{"message": "User eve is disabled."}`, reply.Body.String())
	require.Equal(t, 200, c.do("root", "POST", "/api/v1/admin/users/eve/disable", "").Code)
	require.Equal(t, 200, c.do("root", "POST", "/api/v1/admin/users/eve/enable", "").Code)
	require.JSONEq(t, `[{"user": "eve", "by": "root", "since": 1700000000000, "reason": "left"}]`,
		c.do("root", "GET", "/api/v1/admin/users/disabled", "").Body.String())
	require.Equal(t, 400, c.do("root", "POST", "/api/v1/admin/users/root/disable", "").Code, "nobody locks the own door")
	require.Equal(t, 400, c.do("root", "POST", "/api/v1/admin/users/ROOT/disable", "").Code, "however it is written")
	require.Equal(t, 400, c.do("root", "POST", "/api/v1/admin/users/eve/disable", `{"why": "left"}`).Code)
	require.Equal(t, []string{"disable root eve left", "disable root eve ", "enable root eve"}, w.done())
}

func TestOperators(t *testing.T) {
	for name, tt := range map[string]struct {
		user, method, path string
		want               int
	}{
		"sees her session":           {"olga", "GET", "/api/v1/sessions/" + aliceSession, 200},
		"and none of others":         {"olga", "GET", "/api/v1/sessions/" + bobSession, 404},
		"may not end it":             {"olga", "DELETE", "/api/v1/sessions/" + aliceSession, 403},
		"nor as an administrator":    {"olga", "DELETE", "/api/v1/admin/sessions/" + aliceSession, 403},
		"others do not exist":        {"otto", "DELETE", "/api/v1/admin/sessions/" + bobSession, 404},
		"may end it":                 {"otto", "DELETE", "/api/v1/admin/sessions/" + aliceSession, 200},
		"may end it as the owner":    {"otto", "DELETE", "/api/v1/sessions/" + aliceSession, 200},
		"sees her engine":            {"olga", "GET", "/api/v1/admin/engine?proxyUser=alice", 200},
		"may not stop it":            {"olga", "DELETE", "/api/v1/admin/engine?refId=" + aliceEngine, 404},
		"nor by name":                {"olga", "DELETE", "/api/v1/admin/engine?proxyUser=alice", 403},
		"may stop it":                {"otto", "DELETE", "/api/v1/admin/engine?refId=" + aliceEngine, 200},
		"not that of others":         {"otto", "DELETE", "/api/v1/admin/engine?refId=" + bobEngine, 404},
		"nor see it":                 {"otto", "GET", "/api/v1/admin/engine?proxyUser=bob", 403},
		"is no administrator":        {"otto", "POST", "/api/v1/admin/users/eve/disable", 403},
		"a user is no operator":      {"alice", "GET", "/api/v1/admin/sessions", 403},
		"nor of what is the user's":  {"alice", "DELETE", "/api/v1/admin/sessions/" + aliceSession, 403},
		"nor asks for all":           {"alice", "GET", "/api/v1/admin/engine?all=true", 403},
		"an operator asks for all":   {"olga", "GET", "/api/v1/admin/engine?all=true", 200},
		"an administrator sees both": {"root", "GET", "/api/v1/admin/sessions", 200},
	} {
		w := aWorld()
		reply := serve(t, options(w)).do(tt.user, tt.method, tt.path, "")
		require.Equal(t, tt.want, reply.Code, "%s: %s", name, reply.Body)
		if tt.want != 200 {
			require.Empty(t, w.done(), name)
		}
	}
	listed := serve(t, options(aWorld())).do("olga", "GET", "/api/v1/admin/sessions", "").Body.String()
	require.Contains(t, listed, aliceSession)
	require.NotContains(t, listed, bobSession)
	engines := serve(t, options(aWorld())).do("olga", "GET", "/api/v1/admin/engine?all=true", "").Body.String()
	require.Contains(t, engines, aliceEngine)
	require.NotContains(t, engines, bobEngine)
}

func TestASessionForSomebodyElse(t *testing.T) {
	for body, want := range map[string]struct {
		user string
		code int
		done string
	}{
		`{"configs": {"kyuubi.session.proxy.user": "alice", "kyuubi.session.name": "n"}}`:         {"hue", 200, "open alice n"},
		`{"configs": {"hive.server2.proxy.user": "alice", "kyuubi.session.name": "n"}}`:           {"hue", 200, "open alice n"},
		`{"configs": {"kyuubi.session.proxy.user": "hue"}}`:                                       {"hue", 200, "open hue "},
		`{"configs": {"kyuubi.session.proxy.user": "bob"}}`:                                       {"hue", 403, ""},
		`{"configs": {"kyuubi.session.proxy.user": "alice" }}`:                                    {"root", 403, ""},
		`{"configs": {"kyuubi.session.proxy.user": ""}}`:                                          {"hue", 400, ""},
		`{"configs": {"kyuubi.session.proxy.user": "alice", "KYUUBI.session.proxy.user": "bob"}}`: {"hue", 400, ""},
		`{"configs": {"kyuubi.session.proxy.user": "bob", "hive.server2.proxy.user": "alice"}}`:   {"hue", 403, ""},
		`{"configs": {"X-Kyuubi.Session.Proxy.User": "bob"}}`:                                     {"hue", 403, ""},
	} {
		w := aWorld()
		reply := serve(t, options(w)).do(want.user, "POST", "/api/v1/sessions", body)
		require.Equal(t, want.code, reply.Code, "%s: %s", body, reply.Body)
		require.Equal(t, want.done, strings.Join(w.done(), ", "), body)
	}
}

func TestWhatIsWrittenDown(t *testing.T) {
	var all []Record
	w := aWorld()
	o := options(w)
	o.OnCall = func(r Record) { all = append(all, r) }
	c := serve(t, o)
	c.do("alice", "GET", "/api/v1/sessions", "")
	c.do("alice", "DELETE", "/api/v1/sessions/"+aliceSession, "")
	c.do("alice", "DELETE", "/api/v1/admin/engine?refId="+aliceEngine, "")
	w.sessions = append(w.sessions, SessionView{ID: newSessionID, User: "root"}, SessionView{ID: namedEngine, User: "carol", OpenedBy: "root"})
	c.do("root", "DELETE", "/api/v1/sessions/"+newSessionID, "")
	c.do("root", "DELETE", "/api/v1/sessions/"+namedEngine, "")
	c.do("root", "POST", "/api/v1/sessions", "{}")
	c.do("", "GET", "/api/v1/admin/sessions", "")
	require.Empty(t, all, "what people do to their own is told by the session; who is not known, by the login")
	c.do("root", "DELETE", "/api/v1/admin/sessions/"+aliceSession+"?users=alice", "")
	c.do("alice", "DELETE", "/api/v1/admin/sessions/"+bobSession, "")
	c.do("root", "GET", "/api/v1/admin/sessions", "")
	require.Len(t, all, 2)
	require.Equal(t, "/api/v1/admin/sessions/"+aliceSession+"?users=alice", all[0].Target)
	require.Equal(t, "root", all[0].Caller.User)
	require.NoError(t, all[0].Err)
	require.True(t, all[1].Refused)
	require.Equal(t, "alice", all[1].Caller.User)

	all = nil
	ends := []string{"/api/v1/sessions/" + aliceSession, "/api/v1/admin/engine?refId=" + aliceEngine}
	for _, user := range []string{"root", "otto"} {
		for _, target := range ends {
			require.Equal(t, http.StatusOK, c.do(user, "DELETE", target, "").Code)
			last := all[len(all)-1]
			require.Equal(t, []string{user, "192.0.2.1", target}, []string{last.Caller.User, last.Caller.Address, last.Target})
			require.False(t, last.Refused)
		}
	}
	require.Len(t, all, 4, "what operators end of others, by whatever path")
}
