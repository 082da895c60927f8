// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"crypto/tls"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"

	"roundhouse/internal/tlsx"
)

// handshaker are the TLS credentials of the port. Unlike those of grpc they
// answer a client that speaks plaintext in its own language: Spark's clients
// would otherwise try again for minutes without a word.
type handshaker struct {
	credentials.TransportCredentials
	port   *tlsx.Server
	config *tls.Config
}

func newHandshaker(port *tlsx.Server) handshaker {
	config := port.Config()
	return handshaker{credentials.NewTLS(config), port, config}
}

// secureInfo is what calls of a connection over TLS know of it.
type secureInfo struct {
	credentials.TLSInfo
	*tlsx.Peer
}

// Clone implements credentials.TransportCredentials.
func (h handshaker) Clone() credentials.TransportCredentials {
	return handshaker{h.TransportCredentials.Clone(), h.port, h.config}
}

// ServerHandshake implements credentials.TransportCredentials; grpc gives it
// handshakeTimeout. Clients that do not agree to HTTP/2 by ALPN are refused (RFC
// 9113 section 3.2).
func (h handshaker) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	peeked := &tlsx.Peeked{Conn: raw}
	speaks, err := peeked.SpeaksTLS()
	switch {
	case err != nil:
		_ = raw.Close()
		return nil, nil, err
	case !speaks:
		answerPlain(peeked)
		_ = raw.Close()
		return nil, nil, errors.New("the client speaks plaintext")
	}
	conn := tls.Server(peeked, h.config)
	if err := conn.Handshake(); err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	state := conn.ConnectionState()
	if state.NegotiatedProtocol != "h2" {
		_ = conn.Close()
		return nil, nil, errors.New("the client did not agree to HTTP/2 (ALPN)")
	}
	level := credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}
	return conn, secureInfo{credentials.TLSInfo{State: state, CommonAuthInfo: level}, h.port.Peer(state)}, nil
}
