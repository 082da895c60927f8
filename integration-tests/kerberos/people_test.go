// SPDX-License-Identifier: Apache-2.0

package kerberos

import (
	"encoding/base64"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
	"roundhouse/internal/krb5/krb5test"
	pb "roundhouse/proto/gen/spark/connect"
)

// TestCurl: kinit, then a call, with MIT's library.
func TestCurl(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no curl: sudo apt-get install -y curl")
	}
	s := newSite(t)
	g := s.gateway()
	alice := s.kdc.Login("alice", s.people)
	said := curl(t, g, alice)
	if strings.Contains(said, "is not supported") || strings.Contains(said, "does not support") {
		t.Skip("this curl has no SPNEGO")
	}
	require.Contains(t, said, "200 OK")
	require.Contains(t, said, "< Www-Authenticate: Negotiate o")
	for range env.Count(5, 100) {
		require.Contains(t, curl(t, g, alice), "200 OK", "each call has a new token")
	}
	require.Contains(t, curl(t, g, s.kdc.Environ("KRB5CCNAME=FILE:"+t.TempDir()+"/none")), "401 Unauthorized", "without a ticket")
	require.Contains(t, curl(t, g, s.kdc.Login("hdfs", s.people)), "401 Unauthorized", "an account of the system")
}

// TestJava: the JDK's own Kerberos, which has the gateway prove itself.
func TestJava(t *testing.T) {
	java, err := exec.LookPath("java")
	if err != nil {
		t.Skip("no java: sudo apt-get install -y openjdk-17-jdk-headless")
	}
	s := newSite(t)
	g := s.gateway()
	var cache string
	for _, v := range s.kdc.Login("alice", s.people) {
		if path, ok := strings.CutPrefix(v, "KRB5CCNAME=FILE:"); ok {
			cache = path
		}
	}
	for _, mechanism := range []string{"spnego", "krb5"} {
		said := env.Run(t, exec.Command(java, "-Djava.security.krb5.conf="+s.kdc.Conf, "Negotiate.java",
			"http://"+g.REST+"/api/v1/sessions", cache, mechanism))
		require.Contains(t, said, "200 proved=true", mechanism)
	}
}

// TestSparkConnect: the ticket decides, not the name that the client claims.
func TestSparkConnect(t *testing.T) {
	s := newSite(t)
	g := s.gateway()
	alice, bob := s.client(g, "alice", "bob"), s.client(g, "bob", "bob")
	bob.Session = alice.Session
	require.NoError(t, alice.Version(t.Context()))
	require.NoError(t, bob.Version(t.Context()))
	rows := 0
	_, err := alice.Query(t.Context(), "select 1", func(*pb.ExecutePlanResponse) error { rows++; return nil })
	require.NoError(t, err)
	require.Positive(t, rows)
	var users []string
	for _, one := range g.Sessions() {
		require.Equal(t, alice.Session, one.Identifier)
		users = append(users, one.User)
	}
	require.ElementsMatch(t, []string{"alice", "bob"}, users, "one id, two sessions")
}

// TestUsers: the rules of hadoop.security.auth_to_local, for real principals.
func TestUsers(t *testing.T) {
	s := newSite(t)
	g := s.gateway()
	for person, want := range map[string]string{"Carol/OPS": "carol", "dave/other": "", "nn/localhost": "", "hdfs": ""} {
		c := s.client(g, person, "alice")
		err := c.Version(t.Context())
		require.Equal(t, want == "", err != nil, "%s: %v", person, err)
		if err != nil {
			require.ErrorContains(t, err, "[GATEWAY.UNAUTHENTICATED]")
			continue
		}
		require.Equal(t, want, g.Sessions()[0].User)
	}
}

// TestOrder: the methods are asked in order, and each decides about its own.
func TestOrder(t *testing.T) {
	s := newSite(t)
	g := s.gateway()
	sent := s.ticket("alice").Token(t, krb5test.Token{Mutual: true})
	got := ask(t, g, negotiate(sent.Bytes))
	require.Equal(t, http.StatusOK, got.code, got.body)
	require.Len(t, got.challenge, 1)
	reply, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(got.challenge[0], "Negotiate "))
	require.NoError(t, err)
	sent.RequireReply(t, reply)
	require.Equal(t, http.StatusOK, ask(t, g, "Bearer "+admin).code)
	for _, bad := range []string{"", "Bearer of-nobody-at-all-here", "Basic YWxpY2U6YWxpY2U=", "Negotiate " + admin, "Bearer " + base64.StdEncoding.EncodeToString(sent.Bytes)} {
		require.Equal(t, http.StatusUnauthorized, ask(t, g, bad).code, bad)
	}
	require.NotContains(t, g.Log(), base64.StdEncoding.EncodeToString(sent.Bytes), "tokens in the log")
	require.NotContains(t, g.Log(), admin, "tokens in the log")
}

// TestNewKeys: a keytab with new keys holds at once, tickets under the old ones
// are good as long as the keytab has those.
func TestNewKeys(t *testing.T) {
	s := newSite(t)
	g := s.gateway()
	old := s.ticket("alice")
	s.kdc.Rekey(s.services, service)
	require.Equal(t, http.StatusOK, ask(t, g, negotiate(s.ticket("alice").Token(t, krb5test.Token{}).Bytes)).code, "a new ticket")
	require.Equal(t, http.StatusOK, ask(t, g, negotiate(old.Token(t, krb5test.Token{}).Bytes)).code, "a ticket from before")
	require.NoError(t, os.Rename(s.services, s.services+".away"))
	gone := ask(t, g, negotiate(old.Token(t, krb5test.Token{}).Bytes))
	require.Equal(t, http.StatusServiceUnavailable, gone.code, "no keytab")
	require.Contains(t, gone.body, "GATEWAY.AUTH_UNAVAILABLE")
	require.NotContains(t, gone.body, s.services, "paths of the gateway are not for callers")
	require.NoError(t, os.Rename(s.services+".away", s.services))
	require.Equal(t, http.StatusOK, ask(t, g, negotiate(old.Token(t, krb5test.Token{}).Bytes)).code)
}
