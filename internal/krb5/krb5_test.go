// SPDX-License-Identifier: Apache-2.0

package krb5_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/internal/errs"
	"roundhouse/internal/krb5"
	"roundhouse/internal/krb5/krb5test"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	gateway = "HTTP/gateway.example.org@EXAMPLE.ORG"
	other   = "hive/gateway.example.org@EXAMPLE.ORG"
	alice   = "alice@EXAMPLE.ORG"
)

var peer = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 50000}

func service(t *testing.T, keytab, replays string) *krb5.Service {
	t.Helper()
	s, err := krb5.NewService(krb5.Options{Principal: gateway, Keytab: keytab, ReplayDir: replays})
	require.NoError(t, err)
	return s
}

func TestAccept(t *testing.T) {
	keytab := krb5test.Keytab(t, gateway, other)
	s := service(t, keytab, t.TempDir()+"/replays")
	good := krb5test.Forgery{Client: alice, Service: gateway, Keytab: keytab}
	for name, c := range map[string]struct {
		change func(*krb5test.Forgery)
		token  krb5test.Token
	}{
		"plain":             {nil, krb5test.Token{}},
		"mutual":            {nil, krb5test.Token{Mutual: true}},
		"late by 4 minutes": {nil, krb5test.Token{Off: -4 * time.Minute}},
		"early by 4":        {nil, krb5test.Token{Off: 4 * time.Minute}},
		"of this address":   {func(f *krb5test.Forgery) { f.Address = []byte{192, 0, 2, 7} }, krb5test.Token{}},
		"32 KB of groups":   {func(f *krb5test.Forgery) { f.Groups = 32 << 10 }, krb5test.Token{Mutual: true}},
	} {
		f := good
		if c.change != nil {
			c.change(&f)
		}
		sent := krb5test.Forge(t, f).Token(t, c.token)
		who, err := s.Accept(sent.Bytes, peer)
		require.NoError(t, err, name)
		require.Equal(t, []string{"alice"}, who.Components, name)
		require.Equal(t, "EXAMPLE.ORG", who.Realm, name)
		require.WithinDuration(t, time.Now().Add(time.Hour), who.Expires, time.Minute, name)
		if c.token.Mutual {
			sent.RequireReply(t, who.Reply)
		}
	}
}

func TestAcceptBare(t *testing.T) {
	keytab := krb5test.Keytab(t, gateway)
	s := service(t, keytab, t.TempDir()+"/replays")
	ticket := krb5test.Forge(t, krb5test.Forgery{Client: "HTTP/x.example.org@EXAMPLE.ORG", Service: gateway, Keytab: keytab})
	who, err := s.Accept(ticket.Token(t, krb5test.Token{Bare: true}).Bytes, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"HTTP", "x.example.org"}, who.Components)
	require.Empty(t, who.Reply)
}

func TestForgeriesAreRefused(t *testing.T) {
	keytab := krb5test.Keytab(t, gateway, other)
	stranger := krb5test.Keytab(t, gateway)
	s := service(t, keytab, t.TempDir()+"/replays")
	good := krb5test.Forgery{Client: alice, Service: gateway, Keytab: keytab}
	for name, c := range map[string]struct {
		change func(*krb5test.Forgery)
		token  krb5test.Token
		says   string
	}{
		"a key of somebody else":        {func(f *krb5test.Forgery) { f.Keytab = stranger }, krb5test.Token{}, "decrypting"},
		"another service":               {func(f *krb5test.Forgery) { f.Service = other }, krb5test.Token{}, "the ticket is for"},
		"another service, relabelled":   {func(f *krb5test.Forgery) { f.Service = other }, krb5test.Token{Service: gateway}, "decrypting"},
		"another realm":                 {nil, krb5test.Token{Service: "HTTP/gateway.example.org@EVIL.ORG"}, "the ticket is for"},
		"a service without a name":      {nil, krb5test.Token{Service: "@EXAMPLE.ORG"}, "the ticket is for"},
		"late by 6 minutes":             {nil, krb5test.Token{Off: -6 * time.Minute}, "skew"},
		"early by 6 minutes":            {nil, krb5test.Token{Off: 6 * time.Minute}, "skew"},
		"late, with an hour of Cusec":   {nil, krb5test.Token{Off: -time.Hour, Cusec: int(time.Hour / time.Microsecond)}, "the time of the authenticator is none"},
		"a Cusec below zero":            {nil, krb5test.Token{Cusec: -1}, "the time of the authenticator is none"},
		"an expired ticket":             {func(f *krb5test.Forgery) { f.Ends = -6 * time.Minute }, krb5test.Token{}, "expired"},
		"a ticket of tomorrow":          {func(f *krb5test.Forgery) { f.Starts = time.Hour }, krb5test.Token{}, "not yet valid"},
		"another client in the request": {nil, krb5test.Token{Client: "bob@EXAMPLE.ORG"}, "does not match"},
		"another realm in the request": {func(f *krb5test.Forgery) { f.Client, f.Checked = "alice@EVIL.ORG", true },
			krb5test.Token{Client: alice}, "another realm"},
		"a realm that nobody checked": {func(f *krb5test.Forgery) { f.Client = "alice@EVIL.ORG" }, krb5test.Token{}, "no KDC has checked"},
		"another address":             {func(f *krb5test.Forgery) { f.Address = []byte{192, 0, 2, 8} }, krb5test.Token{}, "address"},
		"NTLM before Kerberos":        {nil, krb5test.Token{NTLM: true}, "only Kerberos"},
		"no checksum of GSS-API":      {nil, krb5test.Token{Plain: true}, "not made for GSS-API"},
	} {
		f := good
		if c.change != nil {
			c.change(&f)
		}
		who, err := s.Accept(krb5test.Forge(t, f).Token(t, c.token).Bytes, peer)
		require.ErrorContains(t, err, c.says, name)
		require.False(t, errs.Is(err, errs.AuthUnavailable), name)
		require.Zero(t, who, name)
	}
}

func TestOddTokensAreRefused(t *testing.T) {
	keytab := krb5test.Keytab(t, gateway)
	s := service(t, keytab, t.TempDir()+"/replays")
	token := krb5test.Forge(t, krb5test.Forgery{Client: alice, Service: gateway, Keytab: keytab}).Token(t, krb5test.Token{Mutual: true}).Bytes
	odd := map[string][]byte{
		"empty": nil, "zeros": make([]byte, 100), "65 KB": make([]byte, 65<<10), "bare NTLM": []byte("NTLMSSP\x00\x01\x00\x00\x00"),
		"text": []byte(strings.Repeat("Negotiate ", 10)), "an answer": {0xa1, 0x07, 0x30, 0x05, 0xa0, 0x03, 0x0a, 0x01, 0x00},
	}
	for name, b := range odd {
		_, err := s.Accept(b, peer)
		require.Error(t, err, name)
	}
	for n := range token {
		_, err := s.Accept(token[:n], peer)
		require.Error(t, err, "cut at %d", n)
	}
	who, err := s.Accept(token, peer)
	require.NoError(t, err, "the whole one is good")
	require.Equal(t, []string{"alice"}, who.Components)
}

// TestFlippedBits: no flipped bit makes a token of somebody else, or a second
// good one after the first.
func TestFlippedBits(t *testing.T) {
	keytab := krb5test.Keytab(t, gateway)
	s := service(t, keytab, t.TempDir()+"/replays")
	token := krb5test.Forge(t, krb5test.Forgery{Client: alice, Service: gateway, Keytab: keytab}).Token(t, krb5test.Token{}).Bytes
	_, err := s.Accept(token, peer)
	require.NoError(t, err)
	for i := range token {
		for bit := range 8 {
			flipped := slices.Clone(token)
			flipped[i] ^= 1 << bit
			_, err := s.Accept(flipped, peer)
			require.Error(t, err, "byte %d, bit %d", i, bit)
		}
	}
}

// TestReplay: a token is good once on a host, whichever gateway sees it, and
// whether or not that gateway still runs.
func TestReplay(t *testing.T) {
	keytab, replays := krb5test.Keytab(t, gateway), t.TempDir()+"/replays"
	ticket := krb5test.Forge(t, krb5test.Forgery{Client: alice, Service: gateway, Keytab: keytab})
	a, b := service(t, keytab, replays), service(t, keytab, replays)
	token := ticket.Token(t, krb5test.Token{}).Bytes
	_, err := a.Accept(token, peer)
	require.NoError(t, err)
	for _, s := range []*krb5.Service{a, b, service(t, keytab, replays)} {
		_, err = s.Accept(token, peer)
		require.ErrorContains(t, err, "used before")
	}
	_, err = b.Accept(ticket.Token(t, krb5test.Token{}).Bytes, peer)
	require.NoError(t, err, "the same ticket again, with a new authenticator")
}

func TestReplayAtOnce(t *testing.T) {
	keytab, replays := krb5test.Keytab(t, gateway), t.TempDir()+"/replays"
	token := krb5test.Forge(t, krb5test.Forgery{Client: alice, Service: gateway, Keytab: keytab}).Token(t, krb5test.Token{}).Bytes
	var in atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		s := service(t, keytab, replays)
		all.Go(func() {
			if _, err := s.Accept(token, peer); err == nil {
				in.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, in.Load())
}

// TestNoMemoryNoEntry: what cannot be remembered is not accepted.
func TestNoMemoryNoEntry(t *testing.T) {
	keytab, replays := krb5test.Keytab(t, gateway), t.TempDir()+"/replays"
	s := service(t, keytab, replays)
	require.NoError(t, os.WriteFile(replays, nil, 0o600))
	ticket := krb5test.Forge(t, krb5test.Forgery{Client: alice, Service: gateway, Keytab: keytab})
	_, err := s.Accept(ticket.Token(t, krb5test.Token{}).Bytes, peer)
	require.True(t, errs.Is(err, errs.AuthUnavailable), "%v", err)
}

func TestKeytabChanges(t *testing.T) {
	path, next := krb5test.Keytab(t, gateway), krb5test.Keytab(t, gateway)
	s := service(t, path, t.TempDir()+"/replays")
	require.NoError(t, os.Rename(next, path))
	ticket := krb5test.Forge(t, krb5test.Forgery{Client: alice, Service: gateway, Keytab: path})
	_, err := s.Accept(ticket.Token(t, krb5test.Token{}).Bytes, peer)
	require.NoError(t, err, "a new keytab holds at once")
	require.NoError(t, os.Chmod(path, 0o644))
	_, err = s.Accept(ticket.Token(t, krb5test.Token{}).Bytes, peer)
	require.True(t, errs.Is(err, errs.AuthUnavailable), "%v", err)
}

func TestNewServiceRefuses(t *testing.T) {
	good, dir := krb5test.Keytab(t, gateway), t.TempDir()
	garbage, open := filepath.Join(dir, "garbage"), filepath.Join(dir, "open")
	require.NoError(t, os.WriteFile(garbage, []byte("\x05\x02\xff\xff\xff"), 0o600))
	require.NoError(t, os.Mkdir(open, 0o755))
	for name, c := range map[string]struct {
		o    krb5.Options
		says string
	}{
		"no keytab":            {krb5.Options{Principal: gateway, Keytab: dir + "/none", ReplayDir: dir + "/r"}, "no such file"},
		"no keytab, but text":  {krb5.Options{Principal: gateway, Keytab: garbage, ReplayDir: dir + "/r"}, "is no keytab"},
		"keys of another":      {krb5.Options{Principal: other, Keytab: good, ReplayDir: dir + "/r"}, "has no key of hive/gateway.example.org@EXAMPLE.ORG, but of: HTTP/"},
		"a folder for all":     {krb5.Options{Principal: gateway, Keytab: good, ReplayDir: open}, "run: chmod 700"},
		"a folder that is not": {krb5.Options{Principal: gateway, Keytab: good, ReplayDir: garbage}, "is no folder"},
	} {
		_, err := krb5.NewService(c.o)
		require.ErrorContains(t, err, c.says, name)
	}
}
