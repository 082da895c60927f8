// SPDX-License-Identifier: Apache-2.0

package tls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
	"roundhouse/internal/tlsx"
)

const (
	connectClients = "kyuubi.frontend.spark.connect.ssl.client.auth"
	restClients    = "kyuubi.frontend.rest.ssl.client.auth"
	clientCA       = "kyuubi.frontend.ssl.client.ca.path"
)

// TestAKeystoreIsAsGoodAsPEM: one certificate as PEM, PKCS12 and JKS, the latter
// two made by the tools that people have.
func TestAKeystoreIsAsGoodAsPEM(t *testing.T) {
	t.Parallel()
	keytool, openssl := program(t, "keytool", "openjdk-17-jdk-headless"), program(t, "openssl", "openssl")
	dir := t.TempDir()
	secret := write(t, dir, "password", "hunter2hunter2\n")
	h := prepare(t)
	p12, jks := filepath.Join(dir, "server.p12"), filepath.Join(dir, "server.jks")
	env.Run(t, exec.Command(openssl, "pkcs12", "-export", "-in", h.files.Certificate, "-inkey", h.files.Key, "-name", "gateway",
		"-certfile", h.authority.Files.Certificate, "-out", p12, "-passout", "file:"+secret))
	env.Run(t, exec.Command(keytool, "-importkeystore", "-srckeystore", p12, "-srcstoretype", "pkcs12", "-destkeystore", jks, "-deststoretype", "jks",
		"-srcstorepass:file", secret, "-deststorepass:file", secret, "-noprompt"))
	require.NoError(t, os.Chmod(jks, 0o600))
	want := load(t, h.files).Leaf
	pem := []string{"kyuubi.frontend.ssl.certificate.path", "", "kyuubi.frontend.ssl.key.path", ""}
	for name, settings := range map[string][]string{
		"PKCS12": {"kyuubi.frontend.ssl.keystore.path", p12, "kyuubi.frontend.ssl.keystore.password", "file:" + secret},
		"JKS":    {"kyuubi.frontend.ssl.keystore.path", jks, "kyuubi.frontend.ssl.keystore.password", "file:" + secret, "kyuubi.frontend.ssl.keystore.type", "JKS"},
		"one for each port": {
			"kyuubi.frontend.spark.connect.ssl.keystore.path", jks, "kyuubi.frontend.spark.connect.ssl.keystore.password", "file:" + secret,
			"kyuubi.frontend.rest.ssl.keystore.path", p12, "kyuubi.frontend.rest.ssl.keystore.password", "file:" + secret,
		},
	} {
		t.Run(name, func(t *testing.T) {
			own := prepare(t, append(pem, settings...)...)
			own.roots = h.roots
			own.Client = own.web(nil)
			own.StartUntilCleanup()
			require.Equal(t, want.Raw, own.served(own.GRPC).Raw)
			require.Equal(t, want.Raw, own.served(own.REST).Raw)
			require.NoError(t, own.version(aliceToken, nil))
			require.NotContains(t, own.Log(), "hunter2")
		})
	}
}

// TestRenewalUnderLoad: clients that make a connection for each call see no
// failure while the certificate is replaced, first by one that is broken.
func TestRenewalUnderLoad(t *testing.T) {
	t.Parallel()
	h := start(t)
	require.NoError(t, h.version(aliceToken, nil)) // the engine runs
	var calls, failed atomic.Int64
	over := make(chan struct{})
	var clients sync.WaitGroup
	loop := func(call func() error) {
		clients.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				calls.Add(1)
				if err := call(); err != nil {
					failed.Add(1)
					t.Log(err)
				}
			}
		})
	}
	for range 2 {
		loop(func() error { return h.version(aliceToken, nil) })
	}
	loop(func() error {
		_, _, err := h.get(h.web(nil), "/api/v1/version", aliceToken)
		return err
	})
	began := time.Now()
	renewals := env.Count(2, 20)
	for range renewals {
		renew(t, h)
	}
	close(over)
	clients.Wait()
	require.Zero(t, failed.Load(), "of %d", calls.Load())
	require.Greater(t, calls.Load(), int64(20))
	require.Contains(t, h.Log(), "new certificate files cannot be used")
	figure(t, "%d calls over connections of their own in %v with %d renewals: %d failed", calls.Load(), time.Since(began).Round(time.Second), renewals, failed.Load())
}

// renew replaces the certificate of both ports and waits until they show it.
func renew(t *testing.T, h *house) {
	t.Helper()
	key, err := os.ReadFile(h.files.Key)
	require.NoError(t, err)
	before, faults := h.served(h.GRPC).SerialNumber, strings.Count(h.Log(), "cannot be used")
	require.NoError(t, os.WriteFile(h.files.Key, []byte("broken"), 0o600))
	env.Eventually(t, patience, "the fault is reported", func() bool { return strings.Count(h.Log(), "cannot be used") == faults+2 })
	require.NoError(t, os.WriteFile(h.files.Key, key, 0o600))
	_, err = h.authority.Server([]string{"127.0.0.1"})
	require.NoError(t, err)
	for _, address := range []string{h.GRPC, h.REST} {
		env.Eventually(t, patience, "the new certificate is shown", func() bool { return h.served(address).SerialNumber.Cmp(before) != 0 })
	}
}

// strange are certificates that the authority did not make for clients of today.
func strange(t *testing.T, h *house) map[string]*tls.Certificate {
	t.Helper()
	other, err := tlsx.OpenAuthority(t.TempDir(), "other")
	require.NoError(t, err)
	return map[string]*tls.Certificate{
		"of another authority": client(t, other, "alice"),
		"expired":              expired(t, h.authority),
		"of a server":          load(t, h.files),
		"signed by itself":     expired(t, nil),
		"none":                 nil,
	}
}

// expired makes a certificate for alice that was good until an hour ago, or,
// without an authority, one that it signs itself and that is good.
func expired(t *testing.T, a *tlsx.Authority) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "alice"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	parent, signer := template, any(key)
	if a != nil {
		authority := load(t, a.Files)
		parent, signer = authority.Leaf, authority.PrivateKey
		template.NotAfter = time.Now().Add(-time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	require.NoError(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestCertificatesOfClients: who shows one of the authority is let in as whom it
// names, and nobody else is.
func TestCertificatesOfClients(t *testing.T) {
	t.Parallel()
	h := prepare(t, "kyuubi.authentication", "CERTIFICATE", connectClients, "REQUIRED", restClients, "REQUIRED", clientCA, "{ca}",
		"kyuubi.server.administrators", "operator")
	h.Token, h.Client = "", h.web(client(t, h.authority, "operator"))
	h.StartUntilCleanup()

	alice := client(t, h.authority, "alice")
	require.NoError(t, h.version("", alice))
	require.Equal(t, "alice", h.Sessions()[0].User)
	code, body, err := h.get(h.web(alice), "/api/v1/sessions", "")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, body, session)

	asked, err := http.NewRequest(http.MethodPost, "https://"+h.REST+"/api/v1/tokens", nil)
	require.NoError(t, err)
	reply, err := h.web(alice).Do(asked)
	require.NoError(t, err)
	defer func() { _ = reply.Body.Close() }()
	var got struct{ User, Method, Token string }
	require.NoError(t, json.NewDecoder(reply.Body).Decode(&got))
	require.Equal(t, "alice CERTIFICATE", got.User+" "+got.Method)
	require.NoError(t, h.version(got.Token, client(t, h.authority, "operator")), "it is alice's, whoever shows it")
	require.Len(t, h.Sessions(), 1)

	for name, own := range strange(t, h) {
		require.Equal(t, codes.Unavailable, status.Code(h.version("", own)), name)
		_, _, err := h.get(h.web(own), "/healthz", "")
		require.Error(t, err, name)
	}
	require.Equal(t, codes.Unauthenticated, status.Code(h.version(aliceToken, alice)), "credentials that no method knows decide, not the certificate")
	require.Len(t, h.Sessions(), 1)
}

// TestCertificatesAndTokens side by side: what a call names itself decides.
func TestCertificatesAndTokens(t *testing.T) {
	t.Parallel()
	h := start(t, "kyuubi.authentication", "CERTIFICATE,TOKEN", connectClients, "OPTIONAL", restClients, "OPTIONAL", clientCA, "{ca}")
	alice := client(t, h.authority, "alice")
	require.Equal(t, codes.Unauthenticated, status.Code(h.version("", nil)))
	require.NoError(t, h.version("", alice))
	require.NoError(t, h.version(bobToken, alice), "the token is bob's")
	require.NoError(t, h.version(bobToken, nil))
	users := map[string]bool{}
	for _, s := range h.Sessions() {
		users[s.User] = true
	}
	require.Equal(t, map[string]bool{"alice": true, "bob": true}, users)
	for name, own := range strange(t, h) {
		if own != nil {
			require.Equal(t, codes.Unavailable, status.Code(h.version(aliceToken, own)), "%s, though the token is good", name)
		}
	}
	code, _, err := h.get(h.web(nil), "/api/v1/sessions", "")
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, code)
}

// TestAWithdrawnAuthorityIsOut on both ports at once: for connections that are
// open, and though the key of the ports cannot be read at that moment.
func TestAWithdrawnAuthorityIsOut(t *testing.T) {
	t.Parallel()
	other, err := tlsx.OpenAuthority(t.TempDir(), "other")
	require.NoError(t, err)
	own, err := os.ReadFile(other.Files.Certificate)
	require.NoError(t, err)
	file := write(t, t.TempDir(), "authorities.pem", string(own))
	h := start(t, "kyuubi.authentication", "CERTIFICATE,TOKEN", connectClients, "OPTIONAL", restClients, "OPTIONAL", clientCA, file)
	alice := client(t, other, "alice")
	conn := h.connection(alice)
	defer func() { _ = conn.Close() }()
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: h.config(alice)}, Timeout: patience}
	defer web.CloseIdleConnections()
	rest := func() int {
		code, _, err := h.get(web, "/api/v1/sessions", "")
		require.NoError(t, err)
		return code
	}
	require.NoError(t, version(conn, ""))
	require.Equal(t, http.StatusOK, rest())
	stays, err := os.ReadFile(h.authority.Files.Certificate)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(h.files.Key, []byte("broken"), 0o600))
	require.NoError(t, os.WriteFile(file, stays, 0o600))
	env.Eventually(t, patience, "REST refuses", func() bool { return rest() == http.StatusUnauthorized })
	env.Eventually(t, patience, "Connect refuses", func() bool { return status.Code(version(conn, "")) == codes.Unauthenticated })
	require.NoError(t, version(conn, aliceToken), "the connection itself goes on")
}
