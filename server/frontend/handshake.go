// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"google.golang.org/grpc/credentials"
)

// plainPatience is how long a client that speaks plaintext may take to read why
// it is refused.
const plainPatience = 500 * time.Millisecond

// prefaceStart begins what HTTP/2 clients send first (RFC 9113 section 3.4).
const prefaceStart = "PRI * HTTP/2.0"

// plainAdvice is what it reads.
const plainAdvice = "This port of the gateway speaks TLS: add ;use_ssl=true to the sc:// line."

// handshaker are the TLS credentials of the port. Unlike those of grpc they
// answer a client that speaks plaintext in its own language: Spark's clients
// would otherwise retry for minutes without a word.
type handshaker struct {
	credentials.TransportCredentials
	config *tls.Config
}

func newHandshaker(config *tls.Config) handshaker {
	return handshaker{credentials.NewTLS(config), config}
}

// Clone implements credentials.TransportCredentials.
func (h handshaker) Clone() credentials.TransportCredentials {
	return handshaker{h.TransportCredentials.Clone(), h.config}
}

// ServerHandshake implements credentials.TransportCredentials; grpc gives it
// handshakeTimeout. Clients that do not agree to HTTP/2 by ALPN are refused (RFC
// 9113 section 3.2).
func (h handshaker) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn := tls.Server(raw, h.config)
	err := conn.Handshake()
	if plain := (tls.RecordHeaderError{}); errors.As(err, &plain) {
		explain(raw, plain.RecordHeader)
	}
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	state := conn.ConnectionState()
	if state.NegotiatedProtocol != "h2" {
		_ = conn.Close()
		return nil, nil, errors.New("the client did not agree to HTTP/2 (ALPN)")
	}
	level := credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}
	return conn, credentials.TLSInfo{State: state, CommonAuthInfo: level}, nil
}

// explain says what to do to a client whose first bytes are not TLS. What it
// still sends is read for a moment, or TCP would reset the connection before
// the answer arrives.
func explain(raw net.Conn, first [5]byte) {
	answer := plainHTTP1()
	if bytes.HasPrefix([]byte(prefaceStart), first[:]) {
		answer = goAway()
	}
	_ = raw.SetDeadline(time.Now().Add(plainPatience))
	if _, err := raw.Write(answer); err != nil {
		return
	}
	if g, ok := raw.(*guest); ok {
		raw = g.Conn
	}
	if tcp, ok := raw.(*net.TCPConn); ok && tcp.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, tcp, wasteAtClose)
	}
}

func plainHTTP1() []byte {
	return fmt.Appendf(nil, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s\n",
		len(plainAdvice)+1, plainAdvice)
}

// goAway is an HTTP/2 server that begins and at once ends a connection: an empty
// SETTINGS frame, then GOAWAY for INADEQUATE_SECURITY, 0xc (RFC 9113 sections
// 6.5, 6.8 and 7).
func goAway() []byte {
	b := []byte{0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, byte(8 + len(plainAdvice)), 7, 0, 0, 0, 0, 0}
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0xc)
	return append(b, plainAdvice...)
}
