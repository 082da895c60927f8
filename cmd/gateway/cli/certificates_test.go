// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCertificates: what it prints to standard output makes a configuration that
// is valid, and a second call renews what the first one made.
func TestCertificates(t *testing.T) {
	m := newMachine(t, "fine")
	made := m.requireRun(ExitOK, "certificates", "--host", "gateway.example", "--host", "192.0.2.7")
	for line := range strings.Lines(made.stdout) {
		require.Regexp(t, `^kyuubi\.frontend\.[a-z.]+=`, line)
	}
	ca := filepath.Join(m.home, "data", "tls", "ca.pem")
	require.Contains(t, made.stderr, "export GRPC_DEFAULT_SSL_ROOTS_FILE_PATH="+ca)
	m.configure("kyuubi.frontend.spark.connect.enabled=true\n" + made.stdout)
	valid := m.requireRun(ExitOK, "validate")
	require.NotContains(t, valid.stderr, "expires")

	pair, err := tls.LoadX509KeyPair(m.path("data/tls/server.pem"), m.path("data/tls/server.key.pem"))
	require.NoError(t, err)
	text, err := os.ReadFile(ca)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(text))
	for _, host := range []string{"localhost", "127.0.0.1", "::1", "gateway.example", "192.0.2.7"} {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host})
		require.NoError(t, err, host)
	}

	first := m.read("data/tls/server.pem")
	again := m.requireRun(ExitOK, "certificates", "--client", "alice")
	require.Contains(t, again.stderr, "server.pem, the certificate of this gateway, stays as it is.")
	require.Equal(t, first, m.read("data/tls/server.pem"))
	require.NotContains(t, again.stdout, "certificate.path", "that is set already")
	require.Contains(t, again.stdout, "kyuubi.frontend.ssl.client.ca.path="+ca)
	require.Contains(t, again.stderr, "client-alice.key.pem")
	same, err := os.ReadFile(ca)
	require.NoError(t, err)
	require.Equal(t, text, same)
	files, err := filepath.Glob(filepath.Join(m.home, "data", "tls", "*"))
	require.NoError(t, err)
	require.Len(t, files, 6)
	for _, path := range files {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode(), path)
	}
	before, err := os.ReadFile(m.path("data/tls/server.pem"))
	require.NoError(t, err)
	require.Contains(t, m.requireRun(ExitUsage, "certificates", "--client", "bob", "--client", "../alice").stderr, `"../alice" cannot be used`)
	after, err := os.ReadFile(m.path("data/tls/server.pem"))
	require.NoError(t, err)
	require.Equal(t, before, after, "names are looked at first")
	require.Contains(t, m.requireRun(ExitUsage, "certificates", "--host", "a:443").stderr, "without a port")
}

// TestRenewedCertificatesKeepTheirNames, and are renewed for more of them.
func TestRenewedCertificatesKeepTheirNames(t *testing.T) {
	m := newMachine(t, "fine")
	m.requireRun(ExitOK, "certificates", "--client", "alice", "--host", "gateway.example", "--host", "192.0.2.7")
	first := m.read("data/tls/server.pem")
	m.requireRun(ExitOK, "certificates")
	renewed := m.read("data/tls/server.pem")
	require.NotEqual(t, first, renewed)
	m.requireRun(ExitOK, "certificates", "--client", "alice", "--host", "other.example")
	pair, err := tls.LoadX509KeyPair(m.path("data/tls/server.pem"), m.path("data/tls/server.key.pem"))
	require.NoError(t, err)
	for _, host := range []string{"localhost", "127.0.0.1", "gateway.example", "192.0.2.7", "other.example"} {
		require.NoError(t, pair.Leaf.VerifyHostname(host))
	}

	fresh := newMachine(t, "fine")
	fresh.requireRun(ExitOK, "certificates", "--client", "alice")
	fresh.path("data/tls/server.pem")
}
