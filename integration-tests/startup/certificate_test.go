// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	if o.from != 0 || o.to != 0 {
		template.NotBefore, template.NotAfter = time.Now().Add(o.from), time.Now().Add(o.to)
	}
	if !o.noName {
		template.DNSNames = []string{"gateway.example"}
	}
	key := newKey(m.t, o.rsaBits)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(m.t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(m.t, err)
	m.file("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o644)
	m.file("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})), 0o600)
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
