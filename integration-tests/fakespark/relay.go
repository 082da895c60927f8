// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	relayConnections = 64
	relayHandshake   = 5 * time.Second
	relaySilence     = 10 * time.Second // for the first byte after the handshake
	// relayOtherWay is how long one way of a connection may go on after the other one.
	relayOtherWay = 10 * time.Second
)

// relaySettings are the properties of an engine that offers a relay.
type relaySettings struct{ bind, host string }

func (r *reader) relay() *relaySettings {
	if r.props["spark.kyuubi.engine.spark.connect.relay"] != "true" {
		return nil
	}
	host := strings.Trim(r.props["spark.driver.host"], "[]")
	return &relaySettings{bind: cmp.Or(strings.Trim(r.props["spark.driver.bindAddress"], "[]"), host), host: host}
}

// relay is the door for gateways on other machines. nil is none.
type relay struct {
	lis         net.Listener
	config      *tls.Config
	host        string
	fingerprint string
	targets     map[string]string
	places      chan struct{}
}

// newRelay listens; the ports that it leads to are not dialled before Run. An engine that
// was not told its host has no relay: Spark would find one.
func newRelay(s *relaySettings, k keys, connect, control string) (*relay, error) {
	if s == nil || s.host == "" {
		return nil, nil
	}
	certificate, err := relayCertificate(k)
	if err != nil {
		return nil, err
	}
	if len(k.relayClient) != hex.EncodedLen(sha256.Size) {
		return nil, errors.New("the key file has no valid relay.client, which says whom the relay lets in")
	}
	lis, err := net.Listen("tcp", net.JoinHostPort(s.bind, "0"))
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	sum := sha256.Sum256(certificate.Certificate[0])
	return &relay{
		lis: lis, host: s.host, fingerprint: hex.EncodeToString(sum[:]), targets: map[string]string{"h2": connect, "http/1.1": control},
		config: &tls.Config{
			Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"},
			ClientAuth: tls.RequireAnyClientCert, VerifyPeerCertificate: onlyCaller(k.relayClient),
		},
		places: make(chan struct{}, relayConnections),
	}, nil
}

// onlyCaller lets in whoever shows the certificate with this SHA-256, in hex.
func onlyCaller(hash string) func([][]byte, [][]*x509.Certificate) error {
	return func(raw [][]byte, _ [][]*x509.Certificate) error {
		if sum := sha256.Sum256(raw[0]); hex.EncodeToString(sum[:]) != hash {
			return errors.New("the caller is no gateway of this cluster")
		}
		return nil
	}
}

func relayCertificate(k keys) (tls.Certificate, error) {
	der, err := base64.StdEncoding.DecodeString(k.relayKey)
	if err != nil {
		return tls.Certificate{}, errors.New("the key of the relay is no base64")
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return tls.Certificate{}, errors.New("the key of the relay is no PKCS 8")
	}
	shown, err := base64.StdEncoding.DecodeString(k.relayCertificate)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("the certificate of the relay: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{shown}, PrivateKey: key}, nil
}

// attributes are those of the engine's node, in order: address and fingerprint; empty without a relay.
func (r *relay) attributes() (address, fingerprint string) {
	if r == nil {
		return "", ""
	}
	_, port, _ := net.SplitHostPort(r.lis.Addr().String())
	return net.JoinHostPort(r.host, port), r.fingerprint
}

func (r *relay) close() {
	if r != nil {
		_ = r.lis.Close()
	}
}

// Run takes connections until ctx ends, and returns when they have ended.
func (r *relay) Run(ctx context.Context) {
	if r == nil {
		return
	}
	var all sync.WaitGroup
	defer all.Wait()
	defer context.AfterFunc(ctx, r.close)()
	for {
		wire, err := r.lis.Accept()
		if err != nil {
			return
		}
		select {
		case r.places <- struct{}{}:
			all.Go(func() { // waited for above
				defer func() { <-r.places }()
				defer context.AfterFunc(ctx, func() { _ = wire.Close() })()
				defer wire.Close()
				_ = r.serve(ctx, wire) // the client sees the end
			})
		default:
			_ = wire.Close()
		}
	}
}

func (r *relay) serve(ctx context.Context, wire net.Conn) error {
	stream := tls.Server(wire, r.config)
	limited, cancel := context.WithTimeout(ctx, relayHandshake)
	defer cancel()
	if err := stream.HandshakeContext(limited); err != nil {
		return err
	}
	target, known := r.targets[stream.ConnectionState().NegotiatedProtocol]
	if !known {
		return errors.New("the client names no protocol")
	}
	first, err := firstBytes(stream)
	if err != nil {
		return err
	}
	to, err := net.DialTimeout("tcp", target, relayHandshake)
	if err != nil {
		return err
	}
	defer to.Close()
	if _, err := to.Write(first); err != nil {
		return err
	}
	carryBoth(stream, to.(*net.TCPConn), func() { _ = errors.Join(wire.Close(), to.Close()) })
	return nil
}

// firstBytes is what the client says first, in time.
func firstBytes(stream net.Conn) ([]byte, error) {
	if err := stream.SetReadDeadline(time.Now().Add(relaySilence)); err != nil {
		return nil, err
	}
	first := make([]byte, 16<<10)
	n, err := stream.Read(first)
	if err != nil {
		return nil, err
	}
	return first[:n], stream.SetReadDeadline(time.Time{})
}

// way is one end of a connection that is carried.
type way interface {
	net.Conn
	CloseWrite() error
}

// carryBoth carries until both ways have ended, or one breaks; cut closes both connections.
func carryBoth(one, other way, cut func()) {
	var both sync.WaitGroup
	carry := func(to, from way) {
		_, err := io.Copy(to, from)
		if errors.Join(err, to.CloseWrite()) != nil {
			cut()
			return
		}
		late := time.Now().Add(relayOtherWay)
		_ = errors.Join(to.SetReadDeadline(late), from.SetWriteDeadline(late))
	}
	both.Go(func() { carry(one, other) })
	both.Go(func() { carry(other, one) })
	both.Wait()
}
