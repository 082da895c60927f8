// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"net"
	"sync"
)

// cutListener knows its connections, so that a test can reset them.
type cutListener struct {
	net.Listener
	mu struct {
		sync.Mutex
		open map[*net.TCPConn]struct{}
	}
}

func newCutListener(l net.Listener) *cutListener {
	c := &cutListener{Listener: l}
	c.mu.open = make(map[*net.TCPConn]struct{})
	return c
}

// Accept implements net.Listener.
func (l *cutListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp := conn.(*net.TCPConn)
	l.mu.Lock()
	l.mu.open[tcp] = struct{}{}
	l.mu.Unlock()
	return &cutConn{TCPConn: tcp, from: l}, nil
}

func (l *cutListener) cut() {
	l.mu.Lock()
	open := make([]*net.TCPConn, 0, len(l.mu.open))
	for c := range l.mu.open {
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		_ = c.SetLinger(0) // a reset, not an orderly end
		_ = c.Close()
	}
}

// cutConn leaves its listener's list when it is closed.
type cutConn struct {
	*net.TCPConn
	from *cutListener
}

// Close implements net.Conn.
func (c *cutConn) Close() error {
	c.from.mu.Lock()
	delete(c.from.mu.open, c.TCPConn)
	c.from.mu.Unlock()
	return c.TCPConn.Close()
}
