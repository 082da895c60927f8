// SPDX-License-Identifier: Apache-2.0

package tlsx

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
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

	other := newSet(t)
	require.NoError(t, errors.Join(os.Rename(other.pair.Certificate, s.pair.Certificate), os.Rename(other.pair.Key, s.pair.Key)))
	_, err = again.Server([]string{"127.0.0.1"})
	require.ErrorContains(t, err, "is not of this authority and is not replaced")
	require.NoError(t, os.WriteFile(s.pair.Key, []byte("of a machine"), 0o600))
	_, err = again.Server([]string{"127.0.0.1"})
	require.ErrorContains(t, err, "is not replaced", "its key cannot be read")
	require.NoError(t, os.Remove(s.pair.Certificate))
	_, err = again.Server([]string{"127.0.0.1"})
	require.ErrorContains(t, err, "is not replaced", "a key alone")
	text, err := os.ReadFile(s.pair.Key)
	require.NoError(t, err)
	require.Equal(t, "of a machine", string(text))
	require.NoError(t, os.Remove(again.Files.Key))
	_, err = OpenAuthority(dir, "here")
	require.ErrorContains(t, err, "cannot be used")
}

// TestNoCertificateWithoutItsKey: where the key cannot be written nothing changes.
func TestNoCertificateWithoutItsKey(t *testing.T) {
	s := newSet(t)
	before, err := os.ReadFile(s.pair.Certificate)
	require.NoError(t, err)
	require.NoError(t, errors.Join(os.Remove(s.pair.Key), os.MkdirAll(s.pair.Key+"/full", 0o700)))
	_, err = s.authority.Server([]string{"127.0.0.1"})
	require.Error(t, err)
	after, err := os.ReadFile(s.pair.Certificate)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

// TestFilesOfOthersAreRefused, which root alone can try.
func TestFilesOfOthersAreRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const nobody = 65534
	s := newSet(t)
	for _, path := range []string{s.pair.Key, s.p12, s.authority.Files.Certificate} {
		require.NoError(t, os.Chown(path, nobody, -1))
	}
	_, err := Files{Certificate: s.pair.Certificate, Key: s.pair.Key}.Load()
	require.ErrorContains(t, err, "belongs to uid 65534")
	_, err = Files{Keystore: s.p12, Password: password}.Load()
	require.ErrorContains(t, err, "belongs to uid 65534")
	_, err = LoadAuthorities(s.authority.Files.Certificate)
	require.ErrorContains(t, err, "belongs to uid 65534")

	home := t.TempDir()
	require.NoError(t, os.Chown(home, nobody, -1))
	_, err = OpenAuthority(filepath.Join(home, "data", "tls"), "here")
	require.ErrorContains(t, err, "who could not read files of root")
	require.NoDirExists(t, filepath.Join(home, "data"))
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
