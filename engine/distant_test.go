// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"math/big"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnEngineOnAnotherMachineIsUsedThroughItsRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, here, there := newEnsemble(), newMachine(), newMachine()
		a, b := s.gateway(t, "a", here), s.gateway(t, "b", there, elsewhere)
		_ = a.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		result := b.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		l := here.launches()[0]
		s.relayed(l, "192.0.2.1:1", "00")
		e := took(t, result).Engine()
		require.Empty(t, there.launches())
		require.Equal(t, "192.0.2.1:1", e.connect.Address)
		require.Equal(t, []string{"h2"}, e.connect.TLS.NextProtos)

		// The gateway at its place buries it; the other one hears of that and touches no file.
		here.process(l.RefID).exit("exit code 0")
		<-e.Done()
		time.Sleep(2 * closeDelay)
		synctest.Wait()
		require.Empty(t, b.m.Engines())
		require.Empty(t, there.swept)
		a.stop()
		b.stop()
	})
}

func TestAnEngineOnAnotherMachineWithoutARelayIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, here, there := newEnsemble(), newMachine(), newMachine()
		a, b := s.gateway(t, "a", here), s.gateway(t, "b", there, elsewhere)
		first := a.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		s.register(here.launches()[0])
		took(t, first)
		synctest.Wait()
		require.Empty(t, b.m.Engines())
		result := b.acquire(t.Context(), userSpec("alice"))
		time.Sleep(3 * claimPause)
		synctest.Wait()
		require.Len(t, there.launches(), 1)
		require.NotEmpty(t, a.m.Engines(), "nobody ends what runs elsewhere")
		s.register(there.launches()[0])
		took(t, result)
		a.stop()
		b.stop()
	})
}

// TestPinned: the relay shows the registered certificate, and nothing else goes.
func TestPinned(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	sum := sha256.Sum256(der)
	for name, test := range map[string]struct{ pin, fault string }{
		"the one":     {hex.EncodeToString(sum[:]), ""},
		"another one": {hex.EncodeToString(make([]byte, 32)), "another certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := net.Pipe()
			relay := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"h2", "http/1.1"}})
			ended := make(chan struct{})
			go func() { // waited for below
				defer close(ended)
				_ = relay.Handshake()
				_ = relay.Close()
			}()
			config := pinned(test.pin, "h2")
			conn := tls.Client(client, config)
			err := conn.Handshake()
			if test.fault == "" {
				require.NoError(t, err)
				require.Equal(t, "h2", conn.ConnectionState().NegotiatedProtocol)
			} else {
				require.ErrorContains(t, err, test.fault)
			}
			_ = client.Close()
			<-ended
		})
	}
}

// TestRelaysOfOnesOwn: an engine's user cannot make the gateway dial what only the
// gateway reaches.
func TestRelaysOfOnesOwn(t *testing.T) {
	for _, address := range []string{"127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "169.254.169.254:80", "[fe80::1]:1", "0.0.0.0:1", "224.0.0.1:1"} {
		at := Endpoint{Address: address, TLS: pinned("00", "h2")}
		_, err := at.dial(t.Context(), address)
		require.ErrorContains(t, err, "no address of a relay", address)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	at := Endpoint{Address: "192.0.2.1:1", TLS: pinned("00", "h2")}
	_, err := at.dial(ctx, at.Address)
	require.True(t, errors.Is(err, context.Canceled), "%v", err)
}
