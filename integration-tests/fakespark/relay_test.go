// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"roundhouse/engine/control"
	"roundhouse/integration-tests/env"
	"roundhouse/internal/secret"
	connect "roundhouse/proto/gen/spark/connect"
)

// caller is a certificate as gateways derive one for each engine.
func caller(t *testing.T) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

func hash(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// relayProps are the properties of an engine with a relay on loopback. Its key file gets the
// key and the certificate, whose fingerprint is returned, and more lines.
func relayProps(t *testing.T, lines string) (props map[string]string, fingerprint string) {
	t.Helper()
	der := func(path string) []byte {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		block, _ := pem.Decode(text)
		return block.Bytes
	}
	certificate, key := env.Certificate(t)
	file := t.TempDir() + "/engine.key"
	text := "rpc=rpc-key\nregister=register-key\ncontrol=control-key\nzk=zoo-key\nrelay.key=" + base64.StdEncoding.EncodeToString(der(key)) +
		"\nrelay.certificate=" + base64.StdEncoding.EncodeToString(der(certificate)) + "\n" + lines
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return map[string]string{
		"spark.kyuubi.engine.key.file": file, "spark.kyuubi.engine.spark.connect.relay": "true", "spark.driver.host": "127.0.0.1",
	}, hash(der(certificate))
}

func relayTLS(shown []tls.Certificate, version uint16, protocols ...string) *tls.Config {
	return &tls.Config{Certificates: shown, InsecureSkipVerify: true, NextProtos: protocols, MinVersion: version, MaxVersion: version}
}

func TestRelay(t *testing.T) {
	w := newZooWorld(t)
	shown := []tls.Certificate{caller(t)}
	props, fingerprint := relayProps(t, "relay.client="+hash(shown[0].Certificate[0])+"\n")
	r, n := w.start(t, props)
	address := n.Attributes["relay"]
	require.Equal(t, fingerprint, n.Attributes["fingerprint"])
	require.Equal(t, secret.MAC(r.keys.register, "roundhouse-registration-v1", testPath, n.Address, n.Attributes["control"], fingerprint, r.refID, address),
		n.Attributes["mac"])

	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(relayTLS(shown, tls.VersionTLS13, "h2"))))
	require.NoError(t, err)
	defer conn.Close()
	_, err = connect.NewSparkConnectServiceClient(conn).Config(
		metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+r.keys.rpc),
		&connect.ConfigRequest{
			SessionId: "00000000-0000-4000-8000-000000000001", UserContext: &connect.UserContext{UserId: "alice"},
			Operation: &connect.ConfigRequest_Operation{OpType: &connect.ConfigRequest_Operation_Set{Set: &connect.ConfigRequest_Set{}}},
		})
	require.NoError(t, err)

	c := control.NewOver(address, r.keys.control, relayTLS(shown, tls.VersionTLS13, "http/1.1"), func(ctx context.Context, address string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	})
	defer c.Close()
	s, err := c.Status(t.Context())
	require.NoError(t, err)
	require.Len(t, s.Sessions, 1)
	requireRelayRefuses(t, address, shown)

	require.NoError(t, c.Order(t.Context(), control.OrderStop, "admin"))
	require.Equal(t, exitOrderly, r.exitCode(t), r.log.String())
	_, err = net.Dial("tcp", address)
	require.Error(t, err, "it ended with its engine")
}

func requireRelayRefuses(t *testing.T, address string, shown []tls.Certificate) {
	t.Helper()
	for name, config := range map[string]*tls.Config{
		"another protocol":    relayTLS(shown, tls.VersionTLS13, "h3"),
		"no protocol":         relayTLS(shown, tls.VersionTLS13),
		"TLS 1.2":             relayTLS(shown, tls.VersionTLS12, "h2"),
		"no certificate":      relayTLS(nil, tls.VersionTLS13, "h2"),
		"another certificate": relayTLS([]tls.Certificate{caller(t)}, tls.VersionTLS13, "h2"),
		"says nothing":        relayTLS(shown, tls.VersionTLS13, "h2"),
	} {
		conn, err := tls.Dial("tcp", address, config)
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}
		require.Error(t, err, name)
	}
}

func TestNoRelay(t *testing.T) {
	w := newZooWorld(t)
	client := "relay.client=" + hash(nil) + "\n"
	for name, change := range map[string]struct{ key, value, lines string }{
		"not wanted":     {"spark.kyuubi.engine.spark.connect.relay", "false", client},
		"not told where": {"spark.driver.host", "", client},
		"cannot listen":  {"spark.driver.bindAddress", "198.51.100.1", client},
		"not told who":   {"spark.driver.bindAddress", "", "relay.client=12\n"},
	} {
		props, _ := relayProps(t, change.lines)
		props[change.key] = change.value
		r, n := w.start(t, props)
		require.Empty(t, n.Attributes["relay"], name)
		signed := []string{"roundhouse-registration-v1", testPath, n.Address, n.Attributes["control"], "", r.refID}
		require.Equal(t, secret.MAC(r.keys.register, signed...), n.Attributes["mac"], name)
		r.stop()
		require.Equal(t, exitSignal, r.exitCode(t))
		w.await(t, 0)
	}
}
