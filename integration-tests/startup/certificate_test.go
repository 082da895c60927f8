// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
	"roundhouse/internal/tlsx"
)

// tlsLines turn TLS on, with the files that certificate makes.
var tlsLines = []string{
	"kyuubi.frontend.spark.connect.ssl.enabled=true",
	"kyuubi.frontend.spark.connect.ssl.certificate.path={dir}/cert.pem",
	"kyuubi.frontend.spark.connect.ssl.key.path={dir}/key.pem",
}

// certificateOptions change a certificate that would be good.
type certificateOptions struct {
	from, to time.Duration // from now; an hour before to an hour after if zero
	noName   bool
	rsaBits  int
}

// certificate makes cert.pem and key.pem.
func certificate(m *machine, o certificateOptions) {
	m.t.Helper()
	template := &x509.Certificate{NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	if o.from != 0 || o.to != 0 {
		template.NotBefore, template.NotAfter = time.Now().Add(o.from), time.Now().Add(o.to)
	}
	if !o.noName {
		template.DNSNames = []string{"gateway.example"}
	}
	certificate, key := env.SelfSigned(m.t, template, newKey(m.t, o.rsaBits))
	m.file("cert.pem", string(certificate), 0o644)
	m.file("key.pem", string(key), 0o600)
}

// aSignedCertificate makes cert.pem and key.pem, and ca.pem of their authority.
func aSignedCertificate(m *machine) {
	m.t.Helper()
	authority, err := tlsx.OpenAuthority(m.t.TempDir(), "test")
	require.NoError(m.t, err)
	pair, err := authority.Server([]string{"gateway.example"})
	require.NoError(m.t, err)
	for name, path := range map[string]string{"cert.pem": pair.Certificate, "key.pem": pair.Key, "ca.pem": authority.Files.Certificate} {
		text, err := os.ReadFile(path)
		require.NoError(m.t, err)
		m.file(name, string(text), 0o600)
	}
}

func newKey(t *testing.T, rsaBits int) crypto.Signer {
	t.Helper()
	if rsaBits == 0 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		return key
	}
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	require.NoError(t, err)
	return key
}
