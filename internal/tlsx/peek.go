// SPDX-License-Identifier: Apache-2.0

package tlsx

import "net"

// Peeked is a connection whose first byte can be looked at before it is read.
// The zero value with Conn set is ready.
type Peeked struct {
	net.Conn
	first [1]byte
	left  bool // first is still to be read
}

// handshakeRecord is the first byte of a TLS connection (RFC 8446 section 5.1).
const handshakeRecord = 22

// SpeaksTLS waits for the first byte and says whether the peer begins with a
// handshake of TLS. Call it once, before Read.
func (p *Peeked) SpeaksTLS() (bool, error) {
	_, err := p.Conn.Read(p.first[:])
	p.left = err == nil
	return p.left && p.first[0] == handshakeRecord, err
}

// Read implements net.Conn.
func (p *Peeked) Read(b []byte) (int, error) {
	if p.left && len(b) > 0 {
		p.left = false
		return copy(b, p.first[:]), nil
	}
	return p.Conn.Read(b)
}

// CloseWrite ends what is sent, if the connection can do so.
func (p *Peeked) CloseWrite() error {
	half, ok := p.Conn.(interface{ CloseWrite() error })
	if !ok {
		return nil
	}
	return half.CloseWrite()
}
