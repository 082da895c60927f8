// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
)

// TestDoors: a user name and a password open both doors, in every spelling for
// one user; and neither they nor those of the account are seen anywhere.
func TestDoors(t *testing.T) {
	h := start(t, env.StartSlapd(t), map[string]string{
		"kyuubi.authentication.ldap.binddn":         env.LDAPService,
		"kyuubi.authentication.ldap.bindpw":         "env:SERVICE_PASSWORD",
		"kyuubi.authentication.ldap.groupFilter":    "analysts",
		"kyuubi.authentication.ldap.groups.enabled": "true",
		"kyuubi.authentication.ldap.baseDN":         env.LDAPBase,
	}, "SERVICE_PASSWORD="+env.LDAPServicePassword)
	client := from(t, "127.0.0.1", 10)
	for _, name := range []string{"alice", "ALICE", "alice@example.test"} {
		good := basic(name, env.LDAPPassword("alice"))
		require.Equal(t, http.StatusOK, h.code(client, good), name)
		require.NoError(t, h.person(good).version(t.Context()), name)
	}
	require.Equal(t, 1, h.Binds(""))
	require.Len(t, h.Engines(), 1, "one user, one engine")
	require.Equal(t, "alice", h.Engines()[0].User)
	require.Len(t, h.Sessions(), 3)
	for _, bad := range []string{basic("alice", "wrong"), basic("carol", env.LDAPPassword("carol")), basic("gateway", env.LDAPServicePassword), "Bearer x"} {
		require.Equal(t, http.StatusUnauthorized, h.code(client, bad))
		require.Equal(t, codes.Unauthenticated, status.Code(h.person(bad).version(t.Context())))
	}
	argv, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", h.PID()))
	require.NoError(t, err)
	_, metrics := h.Call(http.MethodGet, "/metrics", "")
	for _, secret := range []string{env.LDAPPassword("alice"), env.LDAPPassword("carol"), env.LDAPServicePassword} {
		require.NotContains(t, h.Gateway.Log(), secret)
		require.NotContains(t, string(argv)+string(metrics), secret)
	}
}

// injections are names and passwords that would come in if a filter or a DN
// were made of them as they are, or a directory took them for nobody.
var injections = [][2]string{
	{"*", "x"}, {"*)(uid=*", "x"}, {"admin)(&)", "x"}, {"alice)(|(uid=*", "x"}, {"a*", "x"}, {"alice", ""}, {"", ""}, {"", "x"}, {"alice", "\x00"},
	{"alice\x00", "x"}, {"alice\x00)(uid=*", "x"}, {`alice\2a`, "x"}, {"alice,ou=people", "x"}, {"alice+cn=alice", "x"},
	{"uid=alice,ou=people," + env.LDAPBase, "x"}, {env.LDAPService, "x"}, {"%s", "x"}, {"alice ", "x"}, {" alice", "x"}, {"#alice", "x"}, {"ａｌｉｃｅ", "x"},
}

// forged are the credentials of injections, each also with good passwords.
func forged() (all []string) {
	for _, pair := range injections {
		for _, password := range []string{pair[1], env.LDAPPassword("alice"), env.LDAPServicePassword} {
			if pair[1] != "x" { // what is wrong is the password
				password = pair[1]
			}
			all = append(all, basic(pair[0], password))
		}
	}
	return all
}

// TestInjections: none comes in, with the password of somebody or none, when
// people sign in directly and when an account looks them up; and the directory
// hears of none of them.
func TestInjections(t *testing.T) {
	s := env.StartSlapd(t)
	for name, settings := range map[string]map[string]string{
		"directly": {},
		"by account": {"kyuubi.authentication.ldap.userDNPattern": "", "kyuubi.authentication.ldap.baseDN": env.LDAPBase,
			"kyuubi.authentication.ldap.binddn": env.LDAPService, "kyuubi.authentication.ldap.bindpw": env.LDAPServicePassword},
		"by query": {"kyuubi.authentication.ldap.baseDN": env.LDAPBase, "kyuubi.authentication.ldap.customLDAPQuery": "(&(objectClass=person)(uid=%s))"},
	} {
		t.Run(name, func(t *testing.T) {
			settings["kyuubi.authentication.throttle.user.failures"] = "0"
			settings["kyuubi.authentication.throttle.address.failures"] = "0"
			h := start(t, s, settings)
			client, before := from(t, "127.0.0.1", 20), s.Log()
			var all sync.WaitGroup
			for _, bad := range forged() {
				p := h.person(bad)
				all.Go(func() {
					assert.Equal(t, http.StatusUnauthorized, h.code(client, bad), bad)
					assert.Equal(t, codes.Unauthenticated, status.Code(p.version(t.Context())), bad)
				})
			}
			all.Wait()
			require.NotContains(t, strings.TrimPrefix(s.Log(), before), "BIND")
			require.Empty(t, h.Engines())
			require.Equal(t, http.StatusOK, h.code(client, basic("alice", env.LDAPPassword("alice"))))
		})
	}
}

// TestNothingInClearText: whoever records the way to the directory sees no
// password, with ldaps as with StartTLS; without either they would.
func TestNothingInClearText(t *testing.T) {
	s := env.StartSlapd(t)
	const url, startTLS = "kyuubi.authentication.ldap.url", "kyuubi.authentication.ldap.start.tls"
	for name, tt := range map[string]struct {
		scheme, target, startTLS string
		seen                     bool
	}{
		"ldaps": {"ldaps://", s.Secure, "false", false}, "StartTLS": {"ldap://", s.Plain, "true", false}, "neither": {"ldap://", s.Plain, "false", true},
	} {
		t.Run(name, func(t *testing.T) {
			tap := newTap(t, tt.target)
			h := start(t, s, map[string]string{url: tt.scheme + tap.addr, startTLS: tt.startTLS})
			password := env.LDAPPassword("bob")
			require.Equal(t, http.StatusOK, h.code(from(t, "127.0.0.1", 1), basic("bob", password)))
			require.Equal(t, tt.seen, bytes.Contains(tap.recorded(), []byte(password)))
			require.Equal(t, tt.seen, bytes.Contains(tap.recorded(), []byte("uid=bob")))
			require.Greater(t, len(tap.recorded()), 50)
		})
	}
}

// TestStrangersAreNotAsked: a server with another certificate is told nothing.
func TestStrangersAreNotAsked(t *testing.T) {
	s := env.StartSlapd(t)
	other, _ := env.Certificate(t)
	h := start(t, s, map[string]string{"kyuubi.authentication.ldap.ssl.ca.path": other})
	code, body, retryAfter := h.rest(from(t, "127.0.0.1", 1), basic("bob", env.LDAPPassword("bob")))
	require.Equal(t, http.StatusServiceUnavailable, code, body)
	require.Contains(t, body, "The directory that decides about user names and passwords cannot be asked at the moment")
	require.NotContains(t, body, "x509")
	require.NotEmpty(t, retryAfter)
	require.Contains(t, h.Gateway.Log(), "certificate signed by unknown authority")
	require.Zero(t, s.Binds(""))
}

// TestManyAtOnce: a hundred logins of one user at both doors are one bind.
func TestManyAtOnce(t *testing.T) {
	h := start(t, env.StartSlapd(t), nil)
	client, good := from(t, "127.0.0.1", 50), basic("carol", env.LDAPPassword("carol"))
	people := make([]*person, 50)
	for i := range people {
		people[i] = h.person(good)
	}
	var all sync.WaitGroup
	codes, errors := make([]int, len(people)), make([]error, len(people))
	for i, p := range people {
		all.Go(func() { codes[i] = h.code(client, good) })
		all.Go(func() { errors[i] = p.version(t.Context()) })
	}
	all.Wait()
	for i := range people {
		require.Equal(t, http.StatusOK, codes[i])
		require.NoError(t, errors[i])
	}
	require.Equal(t, 1, h.Binds(""))
}

// tap relays connections to a server and records what clients say.
type tap struct {
	addr string
	mu   sync.Mutex
	said bytes.Buffer
}

func newTap(t *testing.T, target string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &tap{addr: l.Addr().String()}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.relay(c, target) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return p
}

// relay ends when both sides have.
func (p *tap) relay(client net.Conn, target string) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	_, _ = io.Copy(io.MultiWriter(p, server), client)
	_ = server.(*net.TCPConn).CloseWrite()
	back.Wait()
}

// Write records.
func (p *tap) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

func (p *tap) recorded() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.said.Bytes())
}
