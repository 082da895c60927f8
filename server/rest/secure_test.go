// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
	"roundhouse/internal/tlsx"
)

// byCertificate knows callers by their certificate alone.
type byCertificate struct{}

func (byCertificate) Authenticate(ctx context.Context, r auth.Request) (auth.Identity, error) {
	if r.Certificate == nil || !r.Secure {
		return bearerIsUser{}.Authenticate(ctx, r)
	}
	name := r.Certificate.Subject.CommonName
	return auth.Identity{User: name, RealUser: name, Method: "CERTIFICATE"}, nil
}

// someStrangers may be connected with a secureServer.
const someStrangers = 3

// secureServer serves over TLS and returns the address and a client that may
// show the certificate of alice.
func secureServer(t *testing.T, w *world) (address string, caller func(certificate bool) *http.Client) {
	t.Helper()
	authority, err := tlsx.OpenAuthority(t.TempDir(), "test")
	require.NoError(t, err)
	files, err := authority.Server([]string{"127.0.0.1"})
	require.NoError(t, err)
	alice, err := authority.Client("alice")
	require.NoError(t, err)
	w.ca = authority.Files.Certificate
	made, err := tlsx.NewServer(tlsx.Options{
		Files: tlsx.Files{Certificate: files.Certificate, Key: files.Key}, Clients: tlsx.ClientsOptional, Authorities: authority.Files.Certificate,
	}, "REST", []string{"http/1.1"}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	o := options(w)
	o.Authenticator, o.TLS, o.CA, o.Strangers = byCertificate{}, made, w.ca, someStrangers
	o.Listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s, err := New(o)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }() // waited for at the end
	t.Cleanup(func() { stop(); require.NoError(t, <-over) })
	roots, err := tlsx.LoadAuthorities(authority.Files.Certificate)
	require.NoError(t, err)
	return s.Addr().String(), func(certificate bool) *http.Client {
		c := &tls.Config{RootCAs: roots}
		if certificate {
			pair, err := tls.LoadX509KeyPair(alice.Certificate, alice.Key)
			require.NoError(t, err)
			c.Certificates = []tls.Certificate{pair}
		}
		transport := &http.Transport{TLSClientConfig: c}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport, Timeout: 10 * time.Second}
	}
}

func answerOf(t *testing.T, c *http.Client, request *http.Request) (*http.Response, string) {
	t.Helper()
	reply, err := c.Do(request)
	require.NoError(t, err)
	defer func() { _ = reply.Body.Close() }()
	body, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	return reply, string(body)
}

func getRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	require.NoError(t, err)
	return request
}

func TestTLS(t *testing.T) {
	w := aWorld()
	address, caller := secureServer(t, w)
	reply, body := answerOf(t, caller(true), getRequest(t, "https://"+address+"/api/v1/sessions"))
	require.Equal(t, http.StatusOK, reply.StatusCode, body)
	require.Contains(t, body, aliceSession)
	require.Equal(t, hsts, reply.Header.Get("Strict-Transport-Security"))
	reply, _ = answerOf(t, caller(false), getRequest(t, "https://"+address+"/api/v1/sessions"))
	require.Equal(t, http.StatusUnauthorized, reply.StatusCode)
	reply, body = answerOf(t, caller(false), getRequest(t, "https://"+address+"/ca.pem"))
	require.Equal(t, http.StatusOK, reply.StatusCode)
	require.True(t, x509.NewCertPool().AppendCertsFromPEM([]byte(body)))
	require.NotContains(t, body, "PRIVATE")

	left, err := tlsx.OpenAuthority(t.TempDir(), "of a trial")
	require.NoError(t, err)
	text, err := os.ReadFile(left.Files.Certificate)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(w.ca, text, 0o600))
	reply, _ = answerOf(t, caller(false), getRequest(t, "https://"+address+"/ca.pem"))
	require.Equal(t, http.StatusNotFound, reply.StatusCode, "an authority that vouches for nothing here is not given away")
}

// TestPlaintextOnATLSPort: engines of this machine alone are served.
func TestPlaintextOnATLSPort(t *testing.T) {
	w := aWorld()
	address, _ := secureServer(t, w)
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	for _, path := range []string{"/healthz", "/api/v1/sessions", "/ca.pem", "/api/v1/internal", "/none"} {
		reply, body := answerOf(t, plain, getRequest(t, "http://"+address+path))
		require.Equal(t, http.StatusBadRequest, reply.StatusCode, path)
		require.Contains(t, body, "write https:// in the place of http://")
		require.True(t, reply.Close)
		require.Empty(t, reply.Header.Get("Strict-Transport-Security"))
	}
	put, err := http.NewRequest(http.MethodPut, "http://"+address+"/api/v1/internal/engines/44444444-4444-4444-8444-444444444444", strings.NewReader(`{"path":"/p","node":"n"}`))
	require.NoError(t, err)
	put.Header.Set("Authorization", macScheme+"good")
	reply, body := answerOf(t, plain, put)
	require.Equal(t, http.StatusOK, reply.StatusCode, body)
}

// TestGarbageOnATLSPort ends at once, whatever language it resembles.
func TestGarbageOnATLSPort(t *testing.T) {
	address, _ := secureServer(t, aWorld())
	for _, first := range []string{"garbage\r\n\r\n", "\x16garbage garbage", "\x80\x2e\x01\x00\x02", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"} {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		_, err = io.WriteString(conn, first+"\r\n\r\n")
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Second)))
		_, err = io.Copy(io.Discard, bufio.NewReader(conn))
		var late net.Error
		require.NotErrorAs(t, err, &late, "%q was not closed", first)
		require.NoError(t, conn.Close())
	}
}

func TestWhoIsOnThisMachine(t *testing.T) {
	at := func(local, remote string) net.Conn {
		l, err := net.ResolveTCPAddr("tcp", local)
		require.NoError(t, err)
		r, err := net.ResolveTCPAddr("tcp", remote)
		require.NoError(t, err)
		return addressed{local: l, remote: r}
	}
	require.True(t, sameMachine(at("127.0.0.1:1", "127.0.0.1:2")))
	require.True(t, sameMachine(at("192.0.2.1:1", "192.0.2.1:2")))
	require.True(t, sameMachine(at("[::ffff:192.0.2.1]:1", "192.0.2.1:2")))
	require.False(t, sameMachine(at("192.0.2.1:1", "192.0.2.2:2")))
}

type addressed struct {
	net.Conn
	local, remote net.Addr
}

func (a addressed) LocalAddr() net.Addr  { return a.local }
func (a addressed) RemoteAddr() net.Addr { return a.remote }

// TestCallersAreKnownAtTheDoor: who only opens connections closes no connection
// of people or engines.
func TestCallersAreKnownAtTheDoor(t *testing.T) {
	address, caller := secureServer(t, aWorld())
	alice, engine := caller(true), &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
	t.Cleanup(engine.CloseIdleConnections)
	ask := func() (reused []bool) {
		trace := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = append(reused, i.Reused) }})
		reply, _ := answerOf(t, alice, getRequest(t, "https://"+address+"/api/v1/sessions").WithContext(trace))
		require.Equal(t, http.StatusOK, reply.StatusCode)
		put, err := http.NewRequestWithContext(trace, http.MethodPut, "http://"+address+engineRoutes+aliceEngine, strings.NewReader(`{"path":"/p","node":"n"}`))
		require.NoError(t, err)
		put.Header.Set("Authorization", macScheme+"good")
		reply, _ = answerOf(t, engine, put)
		require.Equal(t, http.StatusOK, reply.StatusCode)
		return reused
	}
	require.Equal(t, []bool{false, false}, ask())
	var idle []net.Conn
	for range 2 * someStrangers {
		c, err := net.Dial("tcp", address)
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		idle = append(idle, c)
	}
	for _, c := range idle[:someStrangers] {
		_, err := io.Copy(io.Discard, c)
		require.NoError(t, err, "the oldest strangers make room")
	}
	require.Equal(t, []bool{true, true}, ask())
	require.NoError(t, idle[someStrangers].SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	_, err := idle[someStrangers].Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "the newer ones stay")
}
