// SPDX-License-Identifier: Apache-2.0

// Package tls holds the tests of TLS: the real gateway binary, openssl,
// keytool, curl and Go as clients, certificates of every kind, and fake engines.
package tls

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"roundhouse/integration-tests/env"
	"roundhouse/internal/tlsx"
	pb "roundhouse/proto/gen/spark/connect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	aliceToken = "0123456789abcdef-of-alice"
	bobToken   = "0123456789abcdef-of-bob"
	session    = "00112233-4455-6677-8899-aabbccddeeff"
	patience   = 20 * time.Second
)

// house is a gateway whose both ports speak TLS, with an authority.
type house struct {
	*env.Gateway
	t         *testing.T
	authority *tlsx.Authority
	files     tlsx.Pair
	roots     *x509.CertPool
}

// prepare makes a gateway with fake engines and tokens; settings are laid over
// its own, with {ca} for the file of the authority.
func prepare(t *testing.T, settings ...string) *house {
	t.Helper()
	dir := t.TempDir()
	h := &house{t: t}
	var err error
	h.authority, err = tlsx.OpenAuthority(dir, "test")
	require.NoError(t, err)
	h.files, err = h.authority.Server([]string{"127.0.0.1", "localhost"})
	require.NoError(t, err)
	h.roots, err = tlsx.LoadAuthorities(h.authority.Files.Certificate)
	require.NoError(t, err)
	conf := env.FakeSpark(t,
		"kyuubi.frontend.spark.connect.ssl.enabled", "true", "kyuubi.frontend.rest.ssl.enabled", "true",
		"kyuubi.frontend.ssl.certificate.path", h.files.Certificate, "kyuubi.frontend.ssl.key.path", h.files.Key,
		"kyuubi.frontend.ssl.ca.path", h.authority.Files.Certificate)
	maps.Copy(conf, env.Tokens(t, aliceToken+" alice admin", bobToken+" bob"))
	for i := 0; i < len(settings); i += 2 {
		conf[settings[i]] = strings.ReplaceAll(settings[i+1], "{ca}", h.authority.Files.Certificate)
	}
	h.Gateway = env.Prepare(t, conf)
	h.Token, h.Client = aliceToken, h.web(nil)
	return h
}

// withRSA is a gateway whose certificate has an RSA key, as suites with RSA need:
// with one of ECDSA they would be refused, whatever the gateway allows.
func withRSA(t *testing.T) *house {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	certificate, private := env.SelfSigned(t, &x509.Certificate{
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, key)
	dir := t.TempDir()
	ca := write(t, dir, "cert.pem", string(certificate))
	h := prepare(t, "kyuubi.frontend.ssl.certificate.path", ca, "kyuubi.frontend.ssl.key.path", write(t, dir, "key.pem", string(private)))
	h.authority.Files.Certificate = ca
	require.True(t, h.roots.AppendCertsFromPEM(certificate))
	h.StartUntilCleanup()
	return h
}

func start(t *testing.T, settings ...string) *house {
	t.Helper()
	h := prepare(t, settings...)
	h.StartUntilCleanup()
	return h
}

// config is that of a client that trusts the gateway and may have a certificate.
func (h *house) config(own *tls.Certificate, protos ...string) *tls.Config {
	c := &tls.Config{RootCAs: h.roots, NextProtos: protos, MinVersion: tls.VersionTLS12}
	if own != nil { // whatever authorities the gateway names
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }
	}
	return c
}

// web is a client of REST with connections of its own, each for one call.
func (h *house) web(own *tls.Certificate) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: h.config(own), DisableKeepAlives: true}, Timeout: patience}
}

// get calls REST with a token, if it is not empty.
func (h *house) get(c *http.Client, path, token string) (int, string, error) {
	request, err := http.NewRequest(http.MethodGet, "https://"+h.REST+path, nil)
	require.NoError(h.t, err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	reply, err := c.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = reply.Body.Close() }()
	body, err := io.ReadAll(reply.Body)
	return reply.StatusCode, string(body), err
}

// version makes one call of Spark Connect over a connection of its own.
func (h *house) version(token string, own *tls.Certificate) error {
	conn := h.connection(own)
	defer func() { _ = conn.Close() }()
	return version(conn, token)
}

// connection is one of Spark Connect, which the caller closes.
func (h *house) connection(own *tls.Certificate) *grpc.ClientConn {
	conn, err := grpc.NewClient(h.GRPC, grpc.WithTransportCredentials(credentials.NewTLS(h.config(own))))
	require.NoError(h.t, err)
	return conn
}

func version(conn *grpc.ClientConn, token string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	_, err := pb.NewSparkConnectServiceClient(conn).AnalyzePlan(ctx, &pb.AnalyzePlanRequest{
		SessionId: session,
		Analyze:   &pb.AnalyzePlanRequest_SparkVersion_{SparkVersion: &pb.AnalyzePlanRequest_SparkVersion{}},
	})
	return err
}

// served is the certificate that a port shows now.
func (h *house) served(address string) *x509.Certificate {
	h.t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", address, h.config(nil))
	require.NoError(h.t, err)
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0]
}

// load reads a pair of files.
func load(t *testing.T, files tlsx.Pair) *tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(files.Certificate, files.Key)
	require.NoError(t, err)
	return &pair
}

// client is a certificate of the authority for a user.
func client(t *testing.T, a *tlsx.Authority, user string) *tls.Certificate {
	t.Helper()
	files, err := a.Client(user)
	require.NoError(t, err)
	return load(t, files)
}

// program is a program of this machine, or skips with what has it.
func program(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is missing: apt-get install %s", name, debian)
	}
	return path
}

// write makes a file of mode 0600 in a folder.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// figure prints a figure for the record.
func figure(t *testing.T, format string, args ...any) {
	t.Log("figure: " + fmt.Sprintf(format, args...))
}
