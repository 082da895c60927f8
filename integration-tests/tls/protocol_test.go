// SPDX-License-Identifier: Apache-2.0

package tls

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// handshake makes a handshake with openssl and says whether it came about.
func handshake(t *testing.T, h *house, address string, args ...string) (bool, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	args = append([]string{"s_client", "-connect", address, "-CAfile", h.authority.Files.Certificate, "-verify_return_error"}, args...)
	cmd := exec.CommandContext(ctx, program(t, "openssl", "openssl"), args...)
	cmd.Stdin = strings.NewReader("")
	out, err := cmd.CombinedOutput()
	require.NoError(t, ctx.Err(), "%s hangs", cmd.Args)
	return err == nil && !bytes.Contains(out, []byte("Cipher is (NONE)")), string(out)
}

// TestWeakTLSIsRefused, on both ports, by openssl; each refusal stands beside a
// handshake that differs in one thing and succeeds. It is for a certificate of
// ECDSA and for one of RSA, because suites are for one of the two.
func TestWeakTLSIsRefused(t *testing.T) {
	t.Parallel()
	for kind, house := range map[string]func(*testing.T) *house{
		"ECDSA": func(t *testing.T) *house { return start(t) }, "RSA": withRSA,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			h := house(t)
			for port, tt := range map[string]struct{ address, alpn string }{"Connect": {h.GRPC, "h2"}, "REST": {h.REST, "http/1.1"}} {
				for args, good := range handshakes(kind) {
					ok, said := handshake(t, h, tt.address, append(strings.Fields(args), "-alpn", tt.alpn)...)
					require.Equal(t, good, ok, "%s %s:\n%s", port, args, said)
				}
				ok, said := handshake(t, h, tt.address, "-alpn", "spdy/3")
				require.False(t, ok, "%s speaks what it does not know:\n%s", port, said)
			}
		})
	}
}

// handshakes are arguments of openssl, and whether a port with a certificate of
// that kind lets them in.
func handshakes(kind string) map[string]bool {
	all := map[string]bool{
		"-tls1_3": true, "-tls1_2": true,
		"-tls1_2 -cipher ECDHE-" + kind + "-AES128-GCM-SHA256":        true,
		"-tls1_2 -cipher ECDHE-" + kind + "-CHACHA20-POLY1305":        true,
		"-tls1_1 -cipher DEFAULT@SECLEVEL=0":                          false,
		"-tls1 -cipher DEFAULT@SECLEVEL=0":                            false,
		"-tls1_2 -cipher ECDHE-" + kind + "-AES128-SHA@SECLEVEL=0":    false, // CBC
		"-tls1_2 -cipher ECDHE-" + kind + "-AES128-SHA256@SECLEVEL=0": false, // CBC
		"-tls1_2 -cipher aNULL@SECLEVEL=0":                            false, // nobody authenticates
		"-tls1_2 -cipher PSK-AES128-GCM-SHA256 -psk 00":               false,
	}
	if kind == "RSA" { // no forward secrecy
		all["-tls1_2 -cipher AES128-GCM-SHA256"] = false
		all["-tls1_2 -cipher AES128-SHA@SECLEVEL=0"] = false
	}
	return all
}

// TestRC4AndOldVersionsAreRefused by a client in Go, which still has them.
func TestRC4AndOldVersionsAreRefused(t *testing.T) {
	ecdsa, rsa := start(t), withRSA(t)
	dial := func(h *house, change func(*tls.Config)) error {
		c := h.config(nil, "h2")
		c.MinVersion = tls.VersionTLS10
		change(c)
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", h.GRPC, c)
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	for _, h := range []*house{ecdsa, rsa} {
		require.NoError(t, dial(h, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }))
		require.Error(t, dial(h, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS10 }))
		require.Error(t, dial(h, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 }))
	}
	for suite, h := range map[uint16]*house{
		tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA: ecdsa, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256: ecdsa,
		tls.TLS_RSA_WITH_RC4_128_SHA: rsa, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA: rsa, tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA: rsa,
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256: rsa,
	} {
		require.Error(t, dial(h, func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{suite} }), tls.CipherSuiteName(suite))
	}
}

// TestWithoutALPNNobodySpeaks: HTTP/2 is agreed to or the connection ends.
func TestWithoutALPNNobodySpeaks(t *testing.T) {
	h := start(t)
	conn, err := tls.Dial("tcp", h.GRPC, h.config(nil))
	require.NoError(t, err, "TLS itself has no objection")
	defer func() { _ = conn.Close() }()
	require.Empty(t, conn.ConnectionState().NegotiatedProtocol)
	_, err = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Second)))
	n, err := conn.Read(make([]byte, 100))
	require.Zero(t, n, "the gateway answers without ALPN")
	require.False(t, errors.Is(err, context.DeadlineExceeded) || isTimeout(err), "the connection stays open: %v", err)
}

func isTimeout(err error) bool {
	var late net.Error
	return errors.As(err, &late) && late.Timeout()
}

// TestPlaintextIsToldAndClosed within a second, in the language of the client.
func TestPlaintextIsToldAndClosed(t *testing.T) {
	h := start(t)
	const (
		h2   = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
		call = "\x00\x00\x01\x01\x04\x00\x00\x00\x01\x82"
	)
	for name, tt := range map[string]struct{ address, sent, answer string }{
		"Connect, HTTP/2":  {h.GRPC, h2 + call, "add ;use_ssl=true to the sc:// line"},
		"Connect, no call": {h.GRPC, h2, ""},
		"Connect, HTTP/1":  {h.GRPC, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "add ;use_ssl=true to the sc:// line"},
		"Connect, noise":   {h.GRPC, "\x00\x01\x02\x03\x04\x05\x06\x07", ""},
		"REST, HTTP/1":     {h.REST, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "write https:// in the place of http://"},
		"REST, HTTP/2":     {h.REST, h2, ""},
		"REST, noise":      {h.REST, "noise\r\n\r\n", "400 Bad Request"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", tt.address)
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			started := time.Now()
			_, err = io.WriteString(conn, tt.sent)
			require.NoError(t, err)
			require.NoError(t, conn.SetReadDeadline(started.Add(time.Second)))
			answer, err := io.ReadAll(conn)
			require.False(t, isTimeout(err), "still open after a second: %q", answer)
			require.Contains(t, string(answer), tt.answer)
			figure(t, "closed after %v", time.Since(started).Round(time.Millisecond))
		})
	}
}

// TestPySparkWithoutTLSIsTold in its first error what to add.
func TestPySparkWithoutTLSIsTold(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const text = "import sys; from pyspark.sql import SparkSession; SparkSession.builder.remote(sys.argv[1]).getOrCreate().version"
	out, err := exec.CommandContext(ctx, env.Python(t, "4.3"), "-c", text, h.Remote()).CombinedOutput()
	require.Error(t, err)
	require.NoError(t, ctx.Err(), "it goes on trying:\n%s", out)
	require.Contains(t, string(out), "add ;use_ssl=true to the sc:// line")
}

// TestSlowHandshakesHoldNobodyUp: connections that say nothing, or the half of a
// hello, lie about on both ports while good clients come and go.
func TestSlowHandshakesHoldNobodyUp(t *testing.T) {
	h := start(t)
	require.NoError(t, h.version(aliceToken, nil))
	for i := range 200 {
		address := []string{h.GRPC, h.REST}[i%2]
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		if i%4 > 1 {
			_, err = io.WriteString(conn, "\x16\x03\x01\x02\x00\x01\x00")
			require.NoError(t, err)
		}
	}
	slowest := time.Duration(0)
	for range 20 {
		begin := time.Now()
		require.NoError(t, h.version(aliceToken, nil))
		code, _, err := h.get(h.web(nil), "/healthz", "")
		require.NoError(t, err)
		require.Equal(t, 200, code)
		slowest = max(slowest, time.Since(begin))
	}
	require.Less(t, slowest, 3*time.Second)
	figure(t, "slowest of 20 pairs of calls beside 200 unfinished handshakes: %v", slowest.Round(time.Millisecond))
}
