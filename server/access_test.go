// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
	"roundhouse/auth/authtest"
	"roundhouse/auth/proxyuser"
	"roundhouse/conf"
	"roundhouse/discovery/embedded"
	"roundhouse/internal/errs"
	"roundhouse/server/people"
	"roundhouse/session"
)

const someRules = `
rules:
  - {name: portals, users: [portal], from: [192.0.2.0/24], proxy-users: [alice, bob, lost]}
  - {name: careful, groups: [staff], profiles: [small], share-levels: [USER]}
  - {name: admins, users: [admin]}
operators:
  - {name: leads, users: [lead], groups: [helpers], of: {groups: [staff]}, may: [see]}
`

// testAccess reads settings and rules.
func testAccess(t *testing.T) (*access, *conf.Conf) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"rules.yaml": someRules, "kyuubi-session-small.conf": "", "kyuubi-session-large.conf": ""} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	c, err := conf.Load(conf.LoadOptions{ConfDir: dir, Overrides: []string{
		"kyuubi.authentication=TOKEN", "kyuubi.server.rules.file=" + filepath.Join(dir, "rules.yaml"),
		"hadoop.proxyuser.portal.users=alice,carol,lost,denied,root", "hadoop.proxyuser.portal.hosts=192.0.2.7",
		"hadoop.user.group.static.mapping.overrides=alice=staff;carol=staff;bob=;lost=;denied=staff;portal=;admin=;guest=;kate=helpers;lead=",
		"kyuubi.server.limit.connections.user.deny.list=denied",
	}})
	require.NoError(t, err)
	a, err := newAccess(c, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return a, c
}

func from(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 5} }

func TestActNeedsAllOfThem(t *testing.T) {
	a, _ := testAccess(t)
	portal := auth.Identity{User: "portal", RealUser: "portal", Groups: []string{"x"}, Method: "TOKEN", Admin: true, Token: "t-1"}
	acting, err := a.Act(t.Context(), portal, from("192.0.2.7"), "alice")
	require.NoError(t, err)
	require.Equal(t, auth.Identity{User: "alice", RealUser: "portal", Method: "TOKEN", Token: "t-1"}, acting, "rights of the real user stay behind")
	for name, tt := range map[string]struct{ user, from, says string }{
		"Hadoop does not list the user":      {"bob", "192.0.2.7", "neither"},
		"nor the address":                    {"alice", "192.0.2.8", "does not list the address"},
		"the rules do not list the user":     {"carol", "192.0.2.7", `does not allow the proxy user "carol"`},
		"the user's own rule is missing":     {"lost", "192.0.2.7", "no rule fits user lost"},
		"a system user":                      {"root", "192.0.2.7", "account of the system"},
		"a denied user, who is not in rules": {"denied", "192.0.2.7", "proxy user"},
		"no user":                            {"../x", "192.0.2.7", "cannot be used"},
	} {
		_, err := a.Act(t.Context(), portal, from(tt.from), tt.user)
		require.ErrorContains(t, err, tt.says, name)
	}
	_, err = a.Act(t.Context(), portal, from("192.0.2.8"), "alice")
	require.NotContains(t, err.Error(), "Ask the administrator", "the caller is one")
	portal.Admin = false
	_, err = a.Act(t.Context(), portal, from("192.0.2.8"), "alice")
	require.ErrorContains(t, err, "Ask the administrator")
	_, err = a.Act(t.Context(), auth.Identity{User: "portal", Method: auth.MethodNone}, from("192.0.2.7"), "alice")
	require.True(t, errs.Is(err, errs.PermissionDenied))
}

// TestActWhileNobodyCanTell is told to come back, not refused.
func TestActWhileNobodyCanTell(t *testing.T) {
	a, _ := testAccess(t)
	var err error
	a.proxies, err = proxyuser.New(map[string]string{"portal.groups": "staff", "portal.hosts": "*"}, func(context.Context, string) ([]string, error) {
		return nil, errors.New("silent")
	})
	require.NoError(t, err)
	_, err = a.Act(t.Context(), auth.Identity{User: "portal", Method: "TOKEN"}, from("192.0.2.7"), "alice")
	require.True(t, errs.Is(err, errs.AuthUnavailable), "%v", err)
	require.ErrorContains(t, err, "hadoop.proxyuser.portal.groups")
}

func TestPermit(t *testing.T) {
	a, _ := testAccess(t)
	wish := session.Wishes{User: "alice", Caller: auth.Identity{User: "alice", Method: "TOKEN"}, Address: "127.0.0.1"}
	choose := func(profiles string) conf.Options {
		return conf.Options{ShareLevel: "USER", Choices: map[string]string{"kyuubi.session.conf.profile": profiles}}
	}
	require.NoError(t, a.permit(wish, choose("small")))
	require.NoError(t, a.permit(wish, choose("")))
	require.ErrorContains(t, a.permit(wish, choose("small,large")), `the profile "large"`)
	require.ErrorContains(t, a.permit(wish, conf.Options{ShareLevel: "CONNECTION"}), "share level")
}

// TestWhoComesInConforms: a chain with all that decides about known people is an
// Authenticator as any other.
func TestWhoComesInConforms(t *testing.T) {
	a, _ := testAccess(t)
	good := auth.Request{Header: map[string][]string{"authorization": {"Bearer admin"}}, Peer: authtest.Loopback}
	authtest.Run(t, authtest.Subject{
		Authenticator: &auth.Chain{Methods: []auth.Method{named{}}, Admit: []func(context.Context, auth.Request, auth.Identity) error{a.admit}},
		Good:          good, Want: auth.Identity{User: "admin", RealUser: "admin", Method: "NAMED"},
	})
}

// named believes a bearer to be the user of that name.
type named struct{}

func (named) Name() string      { return "NAMED" }
func (named) Challenge() string { return "Bearer" }
func (named) Check(_ context.Context, _ auth.Request, c auth.Credentials) (auth.Identity, error) {
	return auth.Identity{User: c.Value}, nil
}

func TestAdmit(t *testing.T) {
	a, _ := testAccess(t)
	store, err := embedded.Open(embedded.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	defer func() { _ = store.Close() }()
	a.people, err = people.New(t.Context(), store, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	_, err = a.people.Disable(t.Context(), nothing{}, "admin", "root", "")
	require.NoError(t, err)
	r := auth.Request{Peer: from("127.0.0.1")}
	admit := func(id auth.Identity) error { return a.admit(t.Context(), r, id) }
	require.ErrorContains(t, admit(auth.Identity{User: "admin"}), "disabled")
	require.ErrorContains(t, admit(auth.Identity{User: "guest"}), "no rule fits user guest from 127.0.0.1")
	require.ErrorContains(t, admit(auth.Identity{User: "portal"}), "no rule fits")
	require.ErrorContains(t, admit(auth.Identity{User: "denied"}), "deny.list")
	require.NoError(t, admit(auth.Identity{User: "alice"}), "by her group")
	require.NoError(t, admit(auth.Identity{User: "guest", Groups: []string{"staff"}}), "by the group that the login brought")
	require.Error(t, admit(auth.Identity{User: "alice", Groups: []string{"other"}}), "which counts alone then")
	require.NoError(t, admit(auth.Identity{User: "admin", Host: true}), "who runs the gateway is never locked out")
}

type nothing struct{}

func (nothing) EndAll(context.Context, string, string) (people.Ended, error) {
	return people.Ended{}, nil
}

func TestOperatorsByGroup(t *testing.T) {
	a, _ := testAccess(t)
	lead := auth.Identity{User: "lead"}
	require.True(t, a.IsOperator(t.Context(), lead))
	require.True(t, a.Operates(t.Context(), lead, "see", "alice"))
	require.False(t, a.Operates(t.Context(), lead, "end", "alice"))
	require.False(t, a.Operates(t.Context(), lead, "see", "bob"))
	require.False(t, a.Operates(t.Context(), auth.Identity{User: "alice"}, "see", "alice"))

	kate := auth.Identity{User: "kate", Method: "KERBEROS"}
	require.True(t, a.IsOperator(t.Context(), kate), "her ticket names no groups")
	require.True(t, a.Operates(t.Context(), kate, "see", "alice"))
	require.False(t, a.Operates(t.Context(), kate, "see", "bob"))
	kate.Groups = []string{"others"}
	require.False(t, a.IsOperator(t.Context(), kate), "what the login brought counts alone")
}

func TestExplain(t *testing.T) {
	_, c := testAccess(t)
	for name, tt := range map[string]struct {
		q       Question
		allowed bool
		says    string
	}{
		"by a group":      {Question{User: "guest", Groups: []string{"staff"}, Profiles: []string{"small"}}, true, `rule "careful" in line 4 decides`},
		"another profile": {Question{User: "alice", Profiles: []string{"large"}}, false, `the profile "large", only small`},
		"acting":          {Question{User: "portal", From: "192.0.2.7", ProxyUser: "alice"}, true, "portal may act for alice"},
		"acting, level":   {Question{User: "portal", From: "192.0.2.7", ProxyUser: "alice", ShareLevel: "connection"}, false, `"CONNECTION", only USER`},
		"acting for bob":  {Question{User: "portal", From: "192.0.2.7", ProxyUser: "bob"}, false, "neither hadoop.proxyuser.portal.users"},
		"no such profile": {Question{User: "admin", Profiles: []string{"small", "huge"}}, false, "there is no profile huge (file kyuubi-session-huge.conf"},
		"several":         {Question{User: "admin", Profiles: []string{"small", "large"}}, true, "the profiles [small large]"},
		"no such level":   {Question{User: "admin", ShareLevel: "all"}, false, "kyuubi.engine.share.level"},
		"a denied user":   {Question{User: "denied"}, false, "deny.list"},
		"a system user":   {Question{User: "hdfs"}, false, "account of the system"},
		"an operator":     {Question{User: "kate"}, false, `operator "leads"`},
		"from nowhere":    {Question{User: "portal"}, false, "no rule fits user portal"},
	} {
		answer, err := Explain(t.Context(), c, tt.q)
		require.NoError(t, err, name)
		require.Equal(t, tt.allowed, answer.Allowed, "%s: %q", name, answer.Reasons)
		require.Contains(t, strings.Join(answer.Reasons, "\n"), tt.says, name)
	}
	_, err := Explain(t.Context(), c, Question{User: "a b"})
	require.Error(t, err)
	_, err = Explain(t.Context(), c, Question{User: "alice", From: "somewhere"})
	require.ErrorContains(t, err, "is no IP address")
}
