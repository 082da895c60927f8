// SPDX-License-Identifier: Apache-2.0

package tlsx

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// served is the certificate that a handshake with the server shows, or its error.
func served(t *testing.T, s *Server, client *tls.Config) (*x509.Certificate, error) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", s.Config())
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { // ends with the handshake or the listener, waited for below
		conn, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		done <- conn.(*tls.Conn).Handshake()
	}()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", l.Addr().String(), client)
	_ = l.Close()
	if serverErr := <-done; serverErr != nil {
		err = serverErr
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0], nil
}

// trusting are the settings of a client of an authority.
func trusting(t *testing.T, a *Authority) *tls.Config {
	t.Helper()
	roots, err := LoadAuthorities(a.Files.Certificate)
	require.NoError(t, err)
	return &tls.Config{RootCAs: roots, ServerName: "gateway.example", NextProtos: []string{"h2"}}
}

func TestClientsOfTheAuthorityAlone(t *testing.T) {
	s, other := newSet(t), newSet(t)
	show := func(a *Authority) *tls.Config {
		pair, err := a.Client("alice")
		require.NoError(t, err)
		c := trusting(t, s.authority)
		c.MaxVersion = tls.VersionTLS12 // where both ends learn of a refusal at once
		loaded, err := tls.LoadX509KeyPair(pair.Certificate, pair.Key)
		require.NoError(t, err)
		// Shown whatever authorities the server names.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &loaded, nil }
		return c
	}
	bare := trusting(t, s.authority)
	bare.MaxVersion = tls.VersionTLS12
	for clients, good := range map[Clients][3]bool{ // own, of another authority, none
		ClientsNone: {true, true, true}, ClientsOptional: {true, false, true}, ClientsRequired: {true, false, false},
	} {
		o := Options{Files: Files{Certificate: s.pair.Certificate, Key: s.pair.Key}, Clients: clients, Authorities: s.authority.Files.Certificate}
		server, err := NewServer(o, "test", []string{"h2"}, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		for i, client := range []*tls.Config{show(s.authority), show(other.authority), bare} {
			_, err := served(t, server, client)
			require.Equal(t, good[i], err == nil, "%v %v %v", clients, i, err)
		}
	}
}

// TestWithdrawnAuthorities: an authority that is taken out of the file is out for
// open connections too, though the certificate of the port has a fault by then.
func TestWithdrawnAuthorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, other := newSet(t), newSet(t)
		both := filepath.Join(t.TempDir(), "authorities.pem")
		own, err := os.ReadFile(s.authority.Files.Certificate)
		require.NoError(t, err)
		others, err := os.ReadFile(other.authority.Files.Certificate)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(both, slices.Concat(own, others), 0o600))
		server, err := NewServer(Options{Files: Files{Certificate: s.pair.Certificate, Key: s.pair.Key}, Clients: ClientsOptional, Authorities: both},
			"test", []string{"h2"}, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		open := func(a *Authority) *Peer {
			pair, err := a.Client("alice")
			require.NoError(t, err)
			loaded, err := tls.LoadX509KeyPair(pair.Certificate, pair.Key)
			require.NoError(t, err)
			return server.Peer(tls.ConnectionState{PeerCertificates: []*x509.Certificate{loaded.Leaf}})
		}
		stays, goes, none := open(s.authority), open(other.authority), server.Peer(tls.ConnectionState{})
		first := server.leaf().Raw
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- server.Run(ctx) }() // waited for below
		require.NotNil(t, stays.Certificate())
		require.NotNil(t, goes.Certificate())
		require.Nil(t, none.Certificate())
		require.NoError(t, errors.Join(os.WriteFile(both, own, 0o600), os.WriteFile(s.pair.Key, []byte("broken"), 0o600)))
		time.Sleep(5 * checkInterval)
		synctest.Wait()
		require.NotNil(t, stays.Certificate())
		require.Nil(t, goes.Certificate())
		require.Equal(t, first, server.leaf().Raw)
		require.NoError(t, os.WriteFile(both, nil, 0o600))
		time.Sleep(5 * checkInterval)
		synctest.Wait()
		require.NotNil(t, stays.Certificate(), "a file with faults changes nothing")
		stop()
		require.NoError(t, <-over)
	})
}

// TestFaultsThatTimeCures: a certificate of the near future is in use once it is
// valid, without another change and without another word.
func TestFaultsThatTimeCures(t *testing.T) {
	s := newSet(t)
	var log bytes.Buffer
	server, err := NewServer(Options{Files: Files{Certificate: s.pair.Certificate, Key: s.pair.Key}}, "test", nil, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(time.Minute), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"gateway.example"},
		}, s.authority.certificate, key.Public(), s.authority.key)
		require.NoError(t, err)
		require.NoError(t, errors.Join(writePEM(s.pair.Key, "PRIVATE KEY", encoded), writePEM(s.pair.Certificate, "CERTIFICATE", der)))
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- server.Run(ctx) }() // waited for below
		time.Sleep(50 * time.Second)
		synctest.Wait()
		require.NotEqual(t, der, server.leaf().Raw)
		time.Sleep(10*time.Second + retryInterval)
		synctest.Wait()
		require.Equal(t, der, server.leaf().Raw)
		require.Equal(t, 1, bytes.Count(log.Bytes(), []byte("new certificate files cannot be used")), log.String())
		stop()
		require.NoError(t, <-over)
	})
}

func TestNewFilesAreTaken(t *testing.T) {
	s := newSet(t)
	client := trusting(t, s.authority)
	var log bytes.Buffer
	server, err := NewServer(Options{Files: Files{Certificate: s.pair.Certificate, Key: s.pair.Key}}, "test", []string{"h2"},
		slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	first, err := served(t, server, client)
	require.NoError(t, err)
	key, err := os.ReadFile(s.pair.Key)
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- server.Run(ctx) }() // waited for below
		turns := func() { time.Sleep(5 * checkInterval); synctest.Wait() }

		require.NoError(t, os.WriteFile(s.pair.Key, []byte("broken"), 0o600))
		turns()
		require.Equal(t, 1, bytes.Count(log.Bytes(), []byte("new certificate files cannot be used")), log.String())
		require.Equal(t, first.Raw, server.leaf().Raw)

		require.NoError(t, os.WriteFile(s.pair.Key, key, 0o600))
		turns()
		require.Equal(t, first.Raw, server.leaf().Raw)

		time.Sleep(remindInterval)
		require.NotContains(t, log.String(), "expires on")
		_, err := s.authority.Server([]string{"gateway.example"})
		require.NoError(t, err)
		turns()
		require.NotEqual(t, first.Raw, server.leaf().Raw)
		require.Contains(t, log.String(), "certificate files read again")
		stop()
		require.NoError(t, <-over)
	})
}
