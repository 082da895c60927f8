// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"roundhouse/engine/control"
	"roundhouse/integration-tests/env"
	"roundhouse/internal/secret"
	connect "roundhouse/proto/gen/spark/connect"
)

// relayProps are the properties of an engine with a relay on loopback; its key file gets the
// key and the certificate, whose fingerprint is returned.
func relayProps(t *testing.T) (props map[string]string, fingerprint string) {
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
		"\nrelay.certificate=" + base64.StdEncoding.EncodeToString(der(certificate)) + "\n"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	sum := sha256.Sum256(der(certificate))
	return map[string]string{
		"spark.kyuubi.engine.key.file": file, "spark.kyuubi.engine.spark.connect.relay": "true", "spark.driver.host": "127.0.0.1",
	}, hex.EncodeToString(sum[:])
}

func relayTLS(version uint16, protocols ...string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: protocols, MinVersion: version, MaxVersion: version}
}

func TestRelay(t *testing.T) {
	w := newZooWorld(t)
	props, fingerprint := relayProps(t)
	r, n := w.start(t, props)
	address := n.Attributes["relay"]
	require.Equal(t, fingerprint, n.Attributes["fingerprint"])
	require.Equal(t, secret.MAC(r.keys.register, "roundhouse-registration-v1", testPath, n.Address, n.Attributes["control"], fingerprint, r.refID, address),
		n.Attributes["mac"])

	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(relayTLS(tls.VersionTLS13, "h2"))))
	require.NoError(t, err)
	defer conn.Close()
	_, err = connect.NewSparkConnectServiceClient(conn).Config(
		metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+r.keys.rpc),
		&connect.ConfigRequest{
			SessionId: "00000000-0000-4000-8000-000000000001", UserContext: &connect.UserContext{UserId: "alice"},
			Operation: &connect.ConfigRequest_Operation{OpType: &connect.ConfigRequest_Operation_Set{Set: &connect.ConfigRequest_Set{}}},
		})
	require.NoError(t, err)

	c := control.NewOver(address, r.keys.control, relayTLS(tls.VersionTLS13, "http/1.1"), func(ctx context.Context, address string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	})
	defer c.Close()
	s, err := c.Status(t.Context())
	require.NoError(t, err)
	require.Len(t, s.Sessions, 1)
	requireRelayRefuses(t, address)

	require.NoError(t, c.Order(t.Context(), control.OrderStop, "admin"))
	require.Equal(t, exitOrderly, r.exitCode(t), r.log.String())
	_, err = net.Dial("tcp", address)
	require.Error(t, err, "it ended with its engine")
}

func requireRelayRefuses(t *testing.T, address string) {
	t.Helper()
	for name, config := range map[string]*tls.Config{
		"another protocol": relayTLS(tls.VersionTLS13, "h3"), "no protocol": relayTLS(tls.VersionTLS13), "TLS 1.2": relayTLS(tls.VersionTLS12, "h2"),
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
	for name, change := range map[string]struct{ key, value string }{
		"not wanted":     {"spark.kyuubi.engine.spark.connect.relay", "false"},
		"not told where": {"spark.driver.host", ""},
		"cannot listen":  {"spark.driver.bindAddress", "198.51.100.1"},
	} {
		props, _ := relayProps(t)
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
