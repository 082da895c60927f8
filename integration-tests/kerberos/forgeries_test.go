// SPDX-License-Identifier: Apache-2.0

package kerberos

import (
	"context"
	"net/http"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
	"roundhouse/internal/krb5/krb5test"
)

// refused presents credentials at both doors; each must answer as it does to
// anybody else whom it does not know.
func refused(t *testing.T, g *env.Gateway, name, authorization string) {
	t.Helper()
	stranger := ask(t, g, "Bearer of-nobody-at-all-here")
	got := ask(t, g, authorization)
	require.Equal(t, http.StatusUnauthorized, got.code, "%s: %s", name, got.body)
	require.Equal(t, stranger, got, name)
	c := env.NewSparkClient(t, g.GRPC, "alice")
	defer c.Close()
	err := c.Version(metadata.AppendToOutgoingContext(context.Background(), "authorization", authorization))
	require.Equal(t, codes.Unauthenticated, status.Code(err), "%s: %v", name, err)
}

// accepted presents a good token, so that a gateway that refuses everything
// does not pass for a careful one.
func accepted(t *testing.T, g *env.Gateway, ticket krb5test.Ticket) string {
	t.Helper()
	token := negotiate(ticket.Token(t, krb5test.Token{Mutual: true}).Bytes)
	got := ask(t, g, token)
	require.Equal(t, http.StatusOK, got.code, got.body)
	return token
}

// TestForgeries: none of them gets in, on a gateway that lets the owner of the
// same ticket in before and after.
func TestForgeries(t *testing.T) {
	s := newSite(t)
	a, b := s.gateway(), s.gateway()
	alice := s.ticket("alice")
	used := accepted(t, a, alice)
	refused(t, a, "replay on the same gateway", used)
	refused(t, b, "replay on another gateway of the host", used)
	refused(t, a, "replay of what another gateway saw", accepted(t, b, alice))

	evil := env.StartKDC(t, "EVIL.TEST")
	evilService, evilPeople := evil.Keytab(service), evil.Keytab("alice")
	impostor := env.StartKDC(t, realm) // of the same name, with other keys
	impostorService, impostorPeople := impostor.Keytab(service), impostor.Keytab("alice")
	require.NotEmpty(t, evilService+impostorService)
	atHost := krb5test.Issued(t, s.kdc.Conf, s.people, "alice@"+realm, "host/localhost@"+realm)
	atEvil := krb5test.Issued(t, evil.Conf, evilPeople, "alice@EVIL.TEST", service+"@EVIL.TEST")
	atImpostor := krb5test.Issued(t, impostor.Conf, impostorPeople, "alice@"+realm, service+"@"+realm)
	expired := krb5test.Forgery{Client: "alice@" + realm, Service: service + "@" + realm, Keytab: s.services, Ends: -6 * time.Minute}
	stolen := krb5test.Forgery{Client: "alice@" + realm, Service: service + "@" + realm, Keytab: s.services, Address: []byte{192, 0, 2, 7}}
	for name, token := range map[string]krb5test.Sent{
		"six minutes late":                       alice.Token(t, krb5test.Token{Off: -6 * time.Minute}),
		"six minutes early":                      alice.Token(t, krb5test.Token{Off: 6 * time.Minute}),
		"another service":                        atHost.Token(t, krb5test.Token{}),
		"another service, relabelled":            atHost.Token(t, krb5test.Token{Service: service + "@" + realm}),
		"another realm":                          atEvil.Token(t, krb5test.Token{}),
		"another realm, relabelled":              atEvil.Token(t, krb5test.Token{Service: service + "@" + realm, Client: "alice@" + realm}),
		"another KDC of the same name":           atImpostor.Token(t, krb5test.Token{}),
		"bob's name on alice's ticket":           alice.Token(t, krb5test.Token{Client: "bob@" + realm}),
		"another realm's name on alice's ticket": alice.Token(t, krb5test.Token{Client: "alice@EVIL.TEST"}),
		"NTLM before Kerberos":                   alice.Token(t, krb5test.Token{NTLM: true}),
		"an authenticator of another protocol":   alice.Token(t, krb5test.Token{Plain: true}),
		"an expired ticket":                      krb5test.Forge(t, expired).Token(t, krb5test.Token{}),
		"a ticket of another machine":            krb5test.Forge(t, stolen).Token(t, krb5test.Token{}),
	} {
		refused(t, a, name, negotiate(token.Bytes))
	}
	refused(t, a, "NTLM", negotiate([]byte("NTLMSSP\x00\x01\x00\x00\x00\x07\x82\x08\xa2")))
	accepted(t, a, alice)
	accepted(t, b, alice)
}

// TestBrokenTokens: cut, flipped and oversized ones are refused, and cost no
// more than that.
func TestBrokenTokens(t *testing.T) {
	s := newSite(t)
	g := s.gateway()
	alice := s.ticket("alice")
	token := alice.Token(t, krb5test.Token{}).Bytes
	require.Equal(t, http.StatusOK, ask(t, g, negotiate(token)).code)
	step := len(token)/env.Count(40, len(token)) + 1
	for i := 0; i < len(token); i += step {
		require.Equal(t, http.StatusUnauthorized, ask(t, g, negotiate(token[:i])).code, "cut at %d", i)
		flipped := slices.Clone(token)
		flipped[i] ^= 1 << (i % 8)
		require.Equal(t, http.StatusUnauthorized, ask(t, g, negotiate(flipped)).code, "flipped at %d", i)
	}
	large := krb5test.Forgery{Client: "alice@" + realm, Service: service + "@" + realm, Keytab: s.services, Groups: 32 << 10}
	ticket := krb5test.Forge(t, large)
	require.Equal(t, http.StatusOK, ask(t, g, negotiate(ticket.Token(t, krb5test.Token{}).Bytes)).code, "32 KB of groups, REST")
	c := env.NewSparkClient(t, g.GRPC, "alice")
	require.NoError(t, c.Version(metadata.AppendToOutgoingContext(t.Context(), "authorization", negotiate(ticket.Token(t, krb5test.Token{}).Bytes))), "32 KB of groups, Spark Connect")
	large.Groups = 65 << 10
	tooLarge := negotiate(krb5test.Forge(t, large).Token(t, krb5test.Token{}).Bytes)
	code := ask(t, g, tooLarge).code
	require.Contains(t, []int{http.StatusUnauthorized, http.StatusRequestHeaderFieldsTooLarge}, code, "65 KB, REST")
	require.Error(t, c.Version(metadata.AppendToOutgoingContext(t.Context(), "authorization", tooLarge)), "65 KB, Spark Connect")
	accepted(t, g, alice)
	require.NotContains(t, g.Log(), "panic")
}

// TestClocks: a real client whose clock is off by six minutes.
func TestClocks(t *testing.T) {
	for _, name := range []string{"faketime", "curl", "kvno"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("no %s: sudo apt-get install -y faketime curl krb5-user", name)
		}
	}
	s := newSite(t)
	g := s.gateway()
	environ := s.kdc.Login("alice", s.people)
	ticket := exec.Command("kvno", service+"@"+realm) // while the clock is right, as the KDC minds it too
	ticket.Env = environ
	env.Run(t, ticket)
	for shift, says := range map[string]string{"-6m": "401 Unauthorized", "+6m": "401 Unauthorized", "-4m": "200 OK", "+4m": "200 OK"} {
		require.Contains(t, curl(t, g, environ, "faketime", "-f", shift), says, shift)
	}
}

// TestTogether: many calls at once with one ticket are as many tokens, and one
// token at once on two gateways is good once.
func TestTogether(t *testing.T) {
	s := newSite(t)
	a, b := s.gateway(), s.gateway()
	alice := s.ticket("alice")
	for range env.Count(10, 200) {
		token := negotiate(alice.Token(t, krb5test.Token{}).Bytes)
		answers := make(chan int)
		for i := range 8 {
			g := []*env.Gateway{a, b}[i%2]
			go func() { answers <- ask(t, g, token).code }() // heard below
		}
		in := 0
		for range 8 {
			if <-answers == http.StatusOK {
				in++
			}
		}
		require.Equal(t, 1, in)
	}
}
