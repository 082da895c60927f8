// SPDX-License-Identifier: Apache-2.0

package zookeeper

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// dial opens a connection to a server, whose name is resolved anew each time. A server
// that does not greet in time loses it: the library would wait for several session timeouts.
func (l *link) dial(network, address string, _ time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(l.life, l.dialTimeout)
	defer cancel()
	c, err := l.open(ctx, network, address)
	l.mu.Lock()
	l.mu.dialled = err
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	s := &socket{Conn: c, heard: &l.heard, forgets: time.Since(time.Unix(0, l.heard.Load())) > l.timeout}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.hello != nil {
		l.mu.hello.Stop()
	}
	s.holding = l.guardedLocked()
	l.mu.socket = s
	l.mu.hello = time.AfterFunc(l.dialTimeout, func() { _ = s.Close() })
	return s, nil
}

func (l *link) open(ctx context.Context, network, address string) (net.Conn, error) {
	if l.tls == nil {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return (&tls.Dialer{Config: l.tls}).DialContext(ctx, network, address)
}

// The codes of requests that pass a socket which holds others back, and that of the one which they wait for.
const (
	opPing       = 11
	opAuth       = 100
	opSetWatches = 101
	opClose      = -11
)

// socket notes when something came. On a connection that takes up a session with watches, it has the library's
// request which sets them again go first: the library names in it the last change that it saw, and takes
// any later answer into account.
type socket struct {
	net.Conn
	heard   *atomic.Int64
	forgets bool // see forget
	holding bool // from here on used by the one goroutine that writes
	greeted bool
	held    []byte
}

// Write is given one packet at a time: its length, a number, the code.
func (s *socket) Write(p []byte) (int, error) {
	if !s.greeted {
		s.greeted = true
		return s.Conn.Write(s.forget(p))
	}
	if !s.holding || len(p) < 12 {
		return s.Conn.Write(p)
	}
	switch int32(binary.BigEndian.Uint32(p[8:])) {
	case opPing, opAuth, opClose:
		return s.Conn.Write(p)
	case opSetWatches:
		s.holding = false
		n, err := s.Conn.Write(p)
		if err == nil && len(s.held) > 0 {
			_, err = s.Conn.Write(s.held)
		}
		return n, err
	}
	s.held = append(s.held, p...)
	return len(p), nil
}

// forget is the greeting p, which names the last change that was seen: length, protocol, change. A server
// with less than that, as after it was set up anew, would close each connection without a word. After a
// session timeout without a server it matters no more: the session is over, or all is read again.
func (s *socket) forget(p []byte) []byte {
	const from, to = 8, 16
	if !s.forgets || len(p) < to {
		return p
	}
	p = slices.Clone(p)
	clear(p[from:to])
	return p
}

func (s *socket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if n > 0 {
		s.heard.Store(time.Now().UnixNano())
	}
	return n, err
}

// hosts gives the library one server after the other, by name: that of the
// library resolves names once, and not at all if one of them is unknown.
type hosts struct {
	mu    sync.Mutex
	all   []string
	next  int
	tried int // since the last session
}

// Init takes the servers, whose order the library has shuffled.
func (h *hosts) Init(servers []string) error {
	h.all = servers
	return nil
}

// Len is the number of servers.
func (h *hosts) Len() int { return len(h.all) }

// Next is the next server, and whether all have been tried since the last session: then the library
// pauses for a second.
func (h *hosts) Next() (server string, round bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	server = h.all[h.next]
	h.next = (h.next + 1) % len(h.all)
	h.tried++
	if h.tried > len(h.all) {
		h.tried = 1
		return server, true
	}
	return server, false
}

// Connected is told of a session.
func (h *hosts) Connected() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tried = 0
}

// logger passes what the library says on, for those who search for a fault.
type logger struct{ log *slog.Logger }

// Printf is the library's.
func (l logger) Printf(format string, args ...any) {
	l.log.Debug("ZooKeeper: " + fmt.Sprintf(format, args...))
}
