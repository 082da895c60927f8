// SPDX-License-Identifier: Apache-2.0

package tlsx

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"software.sslmate.com/src/go-pkcs12"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "hunter2hunter2"

// set is a certificate for a server in all forms.
type set struct {
	authority *Authority
	pair      Pair
	p12, jks  string
}

func newSet(t *testing.T) set {
	t.Helper()
	dir := t.TempDir()
	authority, err := OpenAuthority(dir, "here")
	require.NoError(t, err)
	pair, err := authority.Server([]string{"gateway.example", "127.0.0.1"})
	require.NoError(t, err)
	s := set{authority, pair, filepath.Join(dir, "server.p12"), filepath.Join(dir, "server.jks")}
	loaded, err := Files{Certificate: pair.Certificate, Key: pair.Key}.Load()
	require.NoError(t, err)
	text, err := pkcs12.Modern.Encode(loaded.PrivateKey, loaded.Leaf, []*x509.Certificate{authority.certificate}, password)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(s.p12, text, 0o600))
	require.NoError(t, os.WriteFile(s.jks, asJKS(t, loaded, password), 0o600))
	return s
}

func asJKS(t *testing.T, pair *tls.Certificate, keyPassword string) []byte {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	require.NoError(t, err)
	store := keystore.New()
	require.NoError(t, store.SetPrivateKeyEntry("gateway", keystore.PrivateKeyEntry{
		CreationTime: time.Now(), PrivateKey: key,
		CertificateChain: []keystore.Certificate{{Type: "X509", Content: pair.Certificate[0]}},
	}, []byte(keyPassword)))
	var b bytes.Buffer
	require.NoError(t, store.Store(&b, []byte(password)))
	return b.Bytes()
}

func TestAllFormsAreOneCertificate(t *testing.T) {
	s := newSet(t)
	want, err := Files{Certificate: s.pair.Certificate, Key: s.pair.Key}.Load()
	require.NoError(t, err)
	for _, f := range []Files{
		{Keystore: s.p12, Password: password}, {Keystore: s.p12, Password: password, Type: PKCS12},
		{Keystore: s.jks, Password: password}, {Keystore: s.jks, Password: password, Type: JKS},
	} {
		got, err := f.Load()
		require.NoError(t, err)
		require.Equal(t, want.Certificate[0], got.Certificate[0])
		require.Equal(t, want.PrivateKey, got.PrivateKey)
	}
}

func TestFaultsNameThePart(t *testing.T) {
	s := newSet(t)
	dir := filepath.Dir(s.p12)
	write := func(name string, text []byte, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, text, mode))
		require.NoError(t, os.Chmod(path, mode))
		return path
	}
	p12, err := os.ReadFile(s.p12)
	require.NoError(t, err)
	loaded, err := Files{Certificate: s.pair.Certificate, Key: s.pair.Key}.Load()
	require.NoError(t, err)
	other := newSet(t)
	for name, tt := range map[string]struct {
		files Files
		part  Part
		text  string
	}{
		"no certificate":        {Files{Certificate: dir + "/none", Key: s.pair.Key}, PartCertificate, "cannot be read"},
		"a folder":              {Files{Certificate: dir, Key: s.pair.Key}, PartCertificate, "is no file"},
		"no key":                {Files{Certificate: s.pair.Certificate, Key: dir + "/none"}, PartKey, "cannot be read"},
		"another key":           {Files{Certificate: s.pair.Certificate, Key: other.pair.Key}, PartKey, "not the one of the certificate"},
		"a key that is none":    {Files{Certificate: s.pair.Certificate, Key: s.pair.Certificate}, PartKey, "no private key"},
		"a certificate of none": {Files{Certificate: s.pair.Key, Key: s.pair.Key}, PartCertificate, "no certificate can be read"},
		"an authority":          {Files{Certificate: s.authority.Files.Certificate, Key: s.authority.Files.Key}, PartCertificate, "names no host"},
		"no keystore":           {Files{Keystore: dir + "/none"}, PartKeystore, "cannot be read"},
		"an open keystore":      {Files{Keystore: write("open.p12", p12, 0o644), Password: password}, PartKeystore, "chmod 600"},
		"wrong password":        {Files{Keystore: s.p12, Password: "other"}, PartPassword, "does not open"},
		"wrong password of JKS": {Files{Keystore: s.jks, Password: "other"}, PartPassword, "does not open"},
		"another type":          {Files{Keystore: s.p12, Password: password, Type: JKS}, PartType, "is a keystore of type PKCS12, not JKS"},
		"JCEKS":                 {Files{Keystore: write("a.jceks", []byte{0xce, 0xce, 0xce, 0xce, 1}, 0o600)}, PartKeystore, "-deststoretype pkcs12"},
		"a key password":        {Files{Keystore: write("key.jks", asJKS(t, loaded, "other-password"), 0o600), Password: password}, PartKeystore, "keytool -keypasswd"},
		"garbage":               {Files{Keystore: write("garbage", []byte("garbage"), 0o600), Password: password}, PartKeystore, "cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tt.files.Load()
			var f *Fault
			require.ErrorAs(t, err, &f)
			require.Equal(t, tt.part, f.Part, f.Text)
			require.Contains(t, f.Text, tt.text)
			require.NotContains(t, f.Text, password)
		})
	}
}

func TestAuthorities(t *testing.T) {
	s := newSet(t)
	_, err := LoadAuthorities(s.authority.Files.Certificate)
	require.NoError(t, err)
	_, err = LoadAuthorities(s.pair.Certificate)
	require.ErrorContains(t, err, "of no authority")
	_, err = LoadAuthorities(s.pair.Key)
	require.ErrorContains(t, err, "there is no certificate")
	require.NoError(t, os.Chmod(s.authority.Files.Certificate, 0o664))
	_, err = LoadAuthorities(s.authority.Files.Certificate)
	require.ErrorContains(t, err, "let anybody in")
}

func TestOnlyCertificatesAreGivenOut(t *testing.T) {
	s := newSet(t)
	var both []byte
	for _, path := range []string{s.pair.Key, s.authority.Files.Certificate} {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		both = append(both, text...)
	}
	path := filepath.Join(t.TempDir(), "both.pem")
	require.NoError(t, os.WriteFile(path, both, 0o600))
	given, err := ReadCertificates(path)
	require.NoError(t, err)
	block, rest := pem.Decode(given)
	require.Equal(t, s.authority.certificate.Raw, block.Bytes)
	require.Empty(t, rest)
	_, err = ReadCertificates(s.pair.Key)
	require.ErrorContains(t, err, "no certificate")
	_, err = ReadCertificates(path + ".none")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestAuthorityStays(t *testing.T) {
	s := newSet(t)
	dir := filepath.Dir(s.pair.Key)
	again, err := OpenAuthority(dir, "here")
	require.NoError(t, err)
	require.Equal(t, s.authority.certificate.Raw, again.certificate.Raw)
	_, err = again.Server([]string{"127.0.0.1"})
	require.NoError(t, err, "its own certificate is renewed")
	client, err := again.Client("alice")
	require.NoError(t, err)
	for _, path := range []string{client.Key, client.Certificate, again.Files.Key} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode())
	}
	_, err = again.Client("../alice")
	require.Error(t, err)

	other := newSet(t)
	require.NoError(t, errors.Join(os.Rename(other.pair.Certificate, s.pair.Certificate), os.Rename(other.pair.Key, s.pair.Key)))
	_, err = again.Server([]string{"127.0.0.1"})
	require.ErrorContains(t, err, "of another authority and is not replaced")
	require.NoError(t, os.Remove(again.Files.Key))
	_, err = OpenAuthority(dir, "here")
	require.ErrorContains(t, err, "cannot be used")
}

func TestTrustedBy(t *testing.T) {
	s := newSet(t)
	pair, err := Files{Certificate: s.pair.Certificate, Key: s.pair.Key}.Load()
	require.NoError(t, err)
	roots, err := ReadCertificates(s.authority.Files.Certificate)
	require.NoError(t, err)
	require.True(t, TrustedBy(roots, pair))
	require.False(t, TrustedBy(nil, pair))
	others, err := ReadCertificates(newSet(t).authority.Files.Certificate)
	require.NoError(t, err)
	require.False(t, TrustedBy(others, pair))
}

func TestExpiry(t *testing.T) {
	require.Empty(t, Expiry(&x509.Certificate{NotAfter: time.Now().Add(31 * 24 * time.Hour)}))
	require.Contains(t, Expiry(&x509.Certificate{NotAfter: time.Now().Add(12*24*time.Hour + time.Minute)}), "in 12 days")
}

// served is the certificate that a handshake with the server shows, or its error.
func served(t *testing.T, s *Server, client *tls.Config) (*x509.Certificate, error) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", s.Config())
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { // ends with the handshake or the listener, waited for below
		conn, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		done <- conn.(*tls.Conn).Handshake()
	}()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", l.Addr().String(), client)
	_ = l.Close()
	if serverErr := <-done; serverErr != nil {
		err = serverErr
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0], nil
}

// trusting are the settings of a client of an authority.
func trusting(t *testing.T, a *Authority) *tls.Config {
	t.Helper()
	roots, err := LoadAuthorities(a.Files.Certificate)
	require.NoError(t, err)
	return &tls.Config{RootCAs: roots, ServerName: "gateway.example", NextProtos: []string{"h2"}}
}

func TestClientsOfTheAuthorityAlone(t *testing.T) {
	s, other := newSet(t), newSet(t)
	show := func(a *Authority) *tls.Config {
		pair, err := a.Client("alice")
		require.NoError(t, err)
		c := trusting(t, s.authority)
		c.MaxVersion = tls.VersionTLS12 // where both ends learn of a refusal at once
		loaded, err := tls.LoadX509KeyPair(pair.Certificate, pair.Key)
		require.NoError(t, err)
		// Shown whatever authorities the server names.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &loaded, nil }
		return c
	}
	bare := trusting(t, s.authority)
	bare.MaxVersion = tls.VersionTLS12
	for clients, good := range map[Clients][3]bool{ // own, of another authority, none
		ClientsNone: {true, true, true}, ClientsOptional: {true, false, true}, ClientsRequired: {true, false, false},
	} {
		o := Options{Files: Files{Certificate: s.pair.Certificate, Key: s.pair.Key}, Clients: clients, Authorities: s.authority.Files.Certificate}
		server, err := NewServer(o, "test", []string{"h2"}, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		for i, client := range []*tls.Config{show(s.authority), show(other.authority), bare} {
			_, err := served(t, server, client)
			require.Equal(t, good[i], err == nil, "%v %v %v", clients, i, err)
		}
	}
}

func TestNewFilesAreTaken(t *testing.T) {
	s := newSet(t)
	client := trusting(t, s.authority)
	var log bytes.Buffer
	server, err := NewServer(Options{Files: Files{Certificate: s.pair.Certificate, Key: s.pair.Key}}, "test", []string{"h2"},
		slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	first, err := served(t, server, client)
	require.NoError(t, err)
	key, err := os.ReadFile(s.pair.Key)
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- server.Run(ctx) }() // waited for below
		turns := func() { time.Sleep(5 * checkInterval); synctest.Wait() }

		require.NoError(t, os.WriteFile(s.pair.Key, []byte("broken"), 0o600))
		turns()
		require.Equal(t, 1, bytes.Count(log.Bytes(), []byte("cannot be used, those read before stay in use")), log.String())
		require.Equal(t, first.Raw, server.leaf().Raw)

		require.NoError(t, os.WriteFile(s.pair.Key, key, 0o600))
		turns()
		require.Equal(t, first.Raw, server.leaf().Raw)

		time.Sleep(remindInterval)
		require.NotContains(t, log.String(), "expires on")
		_, err := s.authority.Server([]string{"gateway.example"})
		require.NoError(t, err)
		turns()
		require.NotEqual(t, first.Raw, server.leaf().Raw)
		require.Contains(t, log.String(), "certificate files read again")
		stop()
		require.NoError(t, <-over)
	})
}
