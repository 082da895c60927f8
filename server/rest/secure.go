// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"roundhouse/internal/door"
	"roundhouse/internal/errs"
	"roundhouse/internal/tlsx"
)

// secureListener is the listener of a port that speaks TLS and takes plain HTTP
// as well, by the first byte of a connection: engines of this machine register
// in plain, under an address that outlives any certificate, and whoever else
// speaks plaintext is told so.
type secureListener struct {
	net.Listener
	port   *tlsx.Server
	config *tls.Config
}

// Accept implements net.Listener. The handshake is part of the first Read, so
// that a slow one holds up nobody else.
func (l secureListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &eitherConn{Peeked: tlsx.Peeked{Conn: c}, port: l.port, config: l.config}, nil
}

// eitherConn speaks TLS or plaintext, as its first byte says.
type eitherConn struct {
	tlsx.Peeked
	port   *tlsx.Server
	config *tls.Config
	begin  sync.Once
	failed error // of the beginning
	// secure is nil for plaintext, and before the end of the handshake; so is peer.
	secure atomic.Pointer[tls.Conn]
	peer   atomic.Pointer[tlsx.Peer]
}

// Read implements net.Conn. The deadline of the first one bounds the handshake.
func (c *eitherConn) Read(p []byte) (int, error) {
	c.begin.Do(func() { c.failed = c.start() })
	if c.failed != nil {
		return 0, c.failed
	}
	return c.spoken().Read(p)
}

func (c *eitherConn) start() error {
	speaks, err := c.SpeaksTLS()
	if !speaks {
		return err
	}
	secure := tls.Server(&c.Peeked, c.config)
	err = secure.Handshake()
	if err == nil {
		c.peer.Store(c.port.Peer(secure.ConnectionState()))
	}
	c.secure.Store(secure)
	return err
}

// spoken is the connection in the language of the client.
func (c *eitherConn) spoken() net.Conn {
	if secure := c.secure.Load(); secure != nil {
		return secure
	}
	return &c.Peeked
}

// Write implements net.Conn.
func (c *eitherConn) Write(p []byte) (int, error) { return c.spoken().Write(p) }

// Close implements net.Conn.
func (c *eitherConn) Close() error { return c.spoken().Close() }

// CloseWrite lets the client read an answer to a request that it still sends.
func (c *eitherConn) CloseWrite() error {
	half, ok := c.spoken().(interface{ CloseWrite() error })
	if !ok {
		return nil // Close follows
	}
	return half.CloseWrite()
}

// state is that of TLS, nil for plaintext; ask once something was read.
func (c *eitherConn) state() *tls.ConnectionState {
	secure := c.secure.Load()
	if secure == nil {
		return nil
	}
	state := secure.ConnectionState()
	return &state
}

// certificate is the client's that is good now; nil without one.
func (c *eitherConn) certificate() *x509.Certificate {
	if peer := c.peer.Load(); peer != nil {
		return peer.Certificate()
	}
	return nil
}

// connKey finds the connection of a call in its context.
type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// admitted tells the door that somebody is known on the connection of a call.
func admitted(r *http.Request) {
	conn, ok := r.Context().Value(connKey{}).(net.Conn)
	if !ok { // a test's recorder
		return
	}
	if peer, ok := conn.RemoteAddr().(door.Addr); ok {
		peer.Known()
	}
}

// engineRoutes begin the paths that engines call.
const engineRoutes = "/api/v1/internal/engines/"

// hsts tells browsers to use TLS alone for a year (RFC 6797).
const hsts = "max-age=31536000"

// secured serves calls that came over TLS, and in plain those of engines on this
// machine: their MAC keeps them whole, and there is no secret in them.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := r.Context().Value(connKey{}).(*eitherConn)
		r.TLS = conn.state()
		switch {
		case r.TLS != nil:
			w.Header().Set("Strict-Transport-Security", hsts)
		case !strings.HasPrefix(r.URL.Path, engineRoutes) || !sameMachine(conn):
			refusePlain(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func refusePlain(w http.ResponseWriter) {
	_, body := errs.HTTP(errs.New(errs.InvalidRequest, "This port of the gateway speaks TLS: write https:// in the place of http://."))
	w.Header().Set("Connection", "close")
	writeJSON(w, http.StatusBadRequest, body)
}

// sameMachine says whether both ends of a connection are on this machine.
func sameMachine(c net.Conn) bool {
	local, err1 := netip.ParseAddrPort(c.LocalAddr().String())
	remote, err2 := netip.ParseAddrPort(c.RemoteAddr().String())
	from := remote.Addr().Unmap()
	return err1 == nil && err2 == nil && (from.IsLoopback() || from == local.Addr().Unmap())
}
