// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"

	"roundhouse/internal/door"
	"roundhouse/internal/netaddr"
)

// The patience with one address, in connections that were thrown out: for a
// protocol error, too many pings or headers that have no end.
const (
	thrownOut       = 200 // in a row, before the next ones wait
	thrownOutRefill = 2   // a second
	thrownOutDebt   = 10  // at most, so that nobody waits longer than 5 s
	manyAddresses   = 1024
)

// pacer paces the connections of the port: each by its frames, and new ones of
// an address by how the last ones ended. It stands behind TLS, as the transport
// credentials of the gRPC server.
type pacer struct {
	credentials.TransportCredentials
	*addresses
	log *slog.Logger
}

func newPacer(behind credentials.TransportCredentials, log *slog.Logger) pacer {
	return pacer{behind, &addresses{known: map[string]*bucket{}}, log}
}

// Clone implements credentials.TransportCredentials.
func (p pacer) Clone() credentials.TransportCredentials {
	return pacer{p.TransportCredentials.Clone(), p.addresses, p.log}
}

// ServerHandshake implements credentials.TransportCredentials. It waits as long
// as the address has to; grpc gives it handshakeTimeout.
func (p pacer) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	from := netaddr.Network(host(raw.RemoteAddr()))
	if d := p.debt(from); d > 0 {
		<-time.After(d)
	}
	conn, info, err := p.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	slowed := func() { p.slowed(raw.RemoteAddr()) }
	ended := func(threwOut bool) {
		if threwOut {
			p.threwOut(from)
		}
	}
	return plain(conn, newPacedConn(conn, slowed, ended)), info, nil
}

// plain lets grpc read from c without a buffer, unless there is TLS in between.
func plain(conn net.Conn, c *pacedConn) net.Conn {
	if g, ok := conn.(*door.Guest); ok {
		conn = g.Conn
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			return newPacedTCP(c, raw)
		}
	}
	return c
}

// slowed tells the administrator, at most once a second.
func (p pacer) slowed(peer net.Addr) {
	if p.mayTell() {
		p.log.Warn("a client is slowed down: it sends many HTTP/2 frames that move no call forward (resets, pings, settings)", "peer", peer)
	}
}

// addresses remembers which networks had connections thrown out of late.
type addresses struct {
	mu    sync.Mutex
	known map[string]*bucket
	told  time.Time
}

func (a *addresses) debt(from string) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b := a.known[from]; b != nil {
		return b.debt()
	}
	return 0
}

func (a *addresses) threwOut(from string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.known[from]
	if b == nil {
		a.forget()
		fresh := newBucket(thrownOut, thrownOutRefill)
		b = &fresh
		a.known[from] = b
	}
	b.spend(1)
	b.level = max(b.level, -thrownOutDebt)
}

// forget drops what has recovered, once there are many.
func (a *addresses) forget() {
	if len(a.known) < manyAddresses {
		return
	}
	for from, b := range a.known {
		if b.spend(0); b.level == b.most {
			delete(a.known, from)
		}
	}
}

func (a *addresses) mayTell() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Since(a.told) < time.Second {
		return false
	}
	a.told = time.Now()
	return true
}
