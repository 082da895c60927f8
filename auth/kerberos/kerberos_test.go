// SPDX-License-Identifier: Apache-2.0

package kerberos_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/auth"
	"roundhouse/auth/authtest"
	"roundhouse/auth/kerberos"
	"roundhouse/internal/krb5/krb5test"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	gateway = "HTTP/gateway.example.org@EXAMPLE.ORG"
	fresh   = "fresh"
)

// person has a ticket, and stands between a test and the chain: a token is
// good once, so each request that says "fresh" gets a new one.
type person struct {
	t      *testing.T
	ticket krb5test.Ticket
	chain  *auth.Chain
}

func newPerson(t *testing.T, principal, rules string) *person {
	t.Helper()
	keytab := krb5test.Keytab(t, gateway)
	m, err := kerberos.New(kerberos.Options{Principal: gateway, Keytab: keytab, ReplayDir: t.TempDir() + "/used", Rules: rules})
	require.NoError(t, err)
	return &person{
		t:      t,
		ticket: krb5test.Forge(t, krb5test.Forgery{Client: principal, Service: gateway, Keytab: keytab}),
		chain:  &auth.Chain{Methods: []auth.Method{m}, Refused: []string{"hdfs"}},
	}
}

// Authenticate checks and removes what differs each time.
func (p *person) Authenticate(ctx context.Context, r auth.Request) (auth.Identity, error) {
	sent := p.ticket.Token(p.t, krb5test.Token{Mutual: true})
	if r.Header["authorization"][0] == fresh {
		r.Header = map[string][]string{"authorization": {negotiate(sent.Bytes)}}
	}
	id, err := p.chain.Authenticate(ctx, r)
	if err != nil {
		return id, err
	}
	require.WithinDuration(p.t, time.Now().Add(time.Hour), id.Expires, time.Minute)
	reply, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(id.Reply, "Negotiate "))
	require.NoError(p.t, err)
	sent.RequireReply(p.t, reply)
	id.Expires, id.Reply = time.Time{}, ""
	return id, nil
}

func negotiate(token []byte) string { return "Negotiate " + base64.StdEncoding.EncodeToString(token) }

func with(header ...string) auth.Request {
	return auth.Request{Peer: authtest.Loopback, Header: map[string][]string{"authorization": header}}
}

func TestConforms(t *testing.T) {
	alice := newPerson(t, "alice@EXAMPLE.ORG", "")
	used := negotiate(alice.ticket.Token(t, krb5test.Token{}).Bytes)
	_, err := alice.chain.Authenticate(t.Context(), with(used))
	require.NoError(t, err)
	remote := with(fresh)
	remote.Peer = authtest.Remote
	authtest.Run(t, authtest.Subject{
		Authenticator: alice,
		Good:          with(fresh),
		Want:          auth.Identity{User: "alice", RealUser: "alice", Method: kerberos.Name},
		Bad: map[string]auth.Request{
			"a call without credentials": with("Negotiate"),
			"no base64":                  with("Negotiate !!!!!!!!!!!!!!!!!!!!"),
			"NTLM":                       with(negotiate([]byte("NTLMSSP\x00\x01\x00\x00\x00\x00\x00\x00\x00"))),
			"a token that was used":      with(used),
			"a token given twice":        with(used, used),
			"a bearer token":             with("Bearer 0123456789abcdef"),
			"a password":                 with("Basic " + base64.StdEncoding.EncodeToString([]byte("alice:a long password"))),
			"65 KB":                      with(negotiate(make([]byte, 65<<10))),
			"clear text from afar":       remote,
		},
	})
}

func TestUsers(t *testing.T) {
	const lower = "RULE:[1:$1@$0](.*@CORP.EXAMPLE)s/@.*///L RULE:[2:$1@$0](nn@EXAMPLE.ORG)s/.*/hdfs/ DEFAULT"
	for principal, want := range map[string]string{
		"alice@EXAMPLE.ORG": "alice", "Alice@EXAMPLE.ORG": "Alice", "alice/laptop@EXAMPLE.ORG": "alice",
		"nn/host@EXAMPLE.ORG": "", "hdfs@EXAMPLE.ORG": "", "..@EXAMPLE.ORG": "", "alice\n@EXAMPLE.ORG": "", "a/b/c@EXAMPLE.ORG": "",
	} {
		id, err := newPerson(t, principal, lower).Authenticate(t.Context(), with(fresh))
		require.Equal(t, want, id.User, "%q", principal)
		require.Equal(t, want == "", err != nil, "%q: %v", principal, err)
	}
}

func TestNewRefuses(t *testing.T) {
	keytab := krb5test.Keytab(t, gateway)
	_, err := kerberos.New(kerberos.Options{Principal: gateway, Keytab: keytab, ReplayDir: t.TempDir(), Rules: "RULE:[1:$9]"})
	require.Error(t, err)
	_, err = kerberos.New(kerberos.Options{Principal: gateway, Keytab: keytab, ReplayDir: t.TempDir() + "/used", Rules: "RULE:[1:$9]"})
	require.ErrorIs(t, err, kerberos.ErrRules)
	_, err = kerberos.New(kerberos.Options{Principal: gateway, Keytab: keytab + ".none", ReplayDir: t.TempDir() + "/used"})
	require.ErrorContains(t, err, "no such file")
}

func TestRunEnds(t *testing.T) {
	m, err := kerberos.New(kerberos.Options{Principal: gateway, Keytab: krb5test.Keytab(t, gateway), ReplayDir: t.TempDir() + "/used"})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error)
	go func() { over <- m.Run(ctx) }() // waited for below
	cancel()
	require.NoError(t, <-over)
}
