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
		require.ErrorContains(t, b.m.Unusable(here.launches()[0].RefID), "kyuubi.engine.spark.connect.relay")
		require.NoError(t, a.m.Unusable(here.launches()[0].RefID))
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

// TestALostMachine: what nobody can reach and nobody registers is gone, for the limits too.
func TestALostMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, here, there := newEnsemble(), newMachine(), newMachine()
		a := s.gateway(t, "a", here)
		first := a.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		l := here.launches()[0]
		s.register(l) // without a relay
		took(t, first)
		a.stop()
		b := s.gateway(t, "b", there, elsewhere) // starts all the same
		time.Sleep(2 * lostAfter)
		synctest.Wait()
		require.Contains(t, s.all(), l.RefID, "its gateway may come back")
		s.set(func() { s.dead["a"], s.nodes[l.Spec.Path()] = true, nil })
		time.Sleep(2 * tendInterval)
		synctest.Wait()
		require.Empty(t, s.all())
		require.Equal(t, 1, s.watches, "that of the launch: looking leaves no watches behind")
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
	keys := keysOf(clusterSecret, "r")
	self, err := caller(keys.Relay, "r")
	require.NoError(t, err)
	known, err := keys.CallerFingerprint("r")
	require.NoError(t, err)
	for name, test := range map[string]struct{ pin, fault string }{
		"the one":     {hex.EncodeToString(sum[:]), ""},
		"another one": {hex.EncodeToString(make([]byte, 32)), "another certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := net.Pipe()
			relay := tls.Server(server, &tls.Config{
				Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"h2", "http/1.1"},
				ClientAuth: tls.RequireAnyClientCert, VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
					shown := sha256.Sum256(raw[0])
					if hex.EncodeToString(shown[:]) != known {
						return errors.New("a stranger")
					}
					return nil
				},
			})
			ended, faults := make(chan struct{}), make(chan error, 1)
			go func() { // waited for below
				defer close(ended)
				faults <- relay.Handshake()
				_ = relay.Close()
			}()
			config := pinned(test.pin, "h2", self)
			conn := tls.Client(client, config)
			err := conn.Handshake()
			if test.fault == "" {
				require.NoError(t, err)
				require.Equal(t, "h2", conn.ConnectionState().NegotiatedProtocol)
				require.NoError(t, <-faults, "it knows the gateway")
			} else {
				require.ErrorContains(t, err, test.fault)
			}
			_ = client.Close()
			<-ended
		})
	}
}

// TestCallersAreMadeAlike: gateways make the same certificate at any time, for each
// engine another one.
func TestCallersAreMadeAlike(t *testing.T) {
	one, err := keysOf(clusterSecret, "r").CallerFingerprint("r")
	require.NoError(t, err)
	again, err := keysOf(clusterSecret, "r").CallerFingerprint("r")
	require.NoError(t, err)
	other, err := keysOf(clusterSecret, "s").CallerFingerprint("s")
	require.NoError(t, err)
	require.Equal(t, one, again)
	require.NotEqual(t, one, other)
	_, err = caller("00", "r")
	require.ErrorContains(t, err, "seed")
}

// TestRelaysOfOnesOwn: an engine's user cannot make the gateway dial what only the
// gateway reaches.
func TestRelaysOfOnesOwn(t *testing.T) {
	for _, address := range []string{"127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "169.254.169.254:80", "[fe80::1]:1", "0.0.0.0:1", "224.0.0.1:1"} {
		at := Endpoint{Address: address, TLS: pinned("00", "h2", tls.Certificate{})}
		_, err := at.dial(t.Context(), address)
		require.ErrorContains(t, err, "no address of a relay", address)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	at := Endpoint{Address: "192.0.2.1:1", TLS: pinned("00", "h2", tls.Certificate{})}
	_, err := at.dial(ctx, at.Address)
	require.True(t, errors.Is(err, context.Canceled), "%v", err)
}
