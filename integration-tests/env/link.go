// SPDX-License-Identifier: Apache-2.0

package env

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Link is a TCP relay on loopback that plays the network between two programs.
// It begins open.
type Link struct {
	// Addr is host:port to dial in the target's place. It stays reserved while
	// the link refuses connections.
	Addr string

	targets []string       // the first one that takes a connection gets it
	work    sync.WaitGroup // relayed connections and the accept loop
	mu      struct {
		sync.Mutex
		dark, over bool
		listener   net.Listener // nil while connections are refused
		reserved   int          // holds the port meanwhile
		pairs      map[*pair]bool
		cuts       int
	}
}

// NewLink starts a link to target (host:port), which need not listen yet. A connection
// that it does not take goes to the first of the others that does. It ends with the test.
func NewLink(t testing.TB, target string, others ...string) *Link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &Link{Addr: listener.Addr().String(), targets: append([]string{target}, others...)}
	l.mu.pairs = map[*pair]bool{}
	l.serve(listener)
	t.Cleanup(l.close)
	return l
}

// Open lets new connections pass. Those that went dark stay dark.
func (l *Link) Open(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	l.mu.dark = false
	refusing := l.mu.listener == nil
	l.mu.Unlock()
	if !refusing {
		return
	}
	require.NoError(t, syscall.Listen(l.mu.reserved, 128))
	file := os.NewFile(uintptr(l.mu.reserved), l.Addr)
	listener, err := net.FileListener(file)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	l.serve(listener)
}

// Darken swallows from now on what either side sends, on all connections and
// on new ones, and tells nobody: a lost route, or a balancer that forgot.
func (l *Link) Darken() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.dark = true
	for p := range l.mu.pairs {
		p.darken()
	}
}

// HalfOpen darkens the connections that there are; new ones pass.
func (l *Link) HalfOpen(t testing.TB) {
	t.Helper()
	l.Darken()
	l.Open(t)
}

// Refuse resets all connections, and refuses new ones until Open.
func (l *Link) Refuse(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	listener := l.mu.listener
	l.mu.listener = nil
	l.mu.Unlock()
	require.NotNil(t, listener, "the link refuses already")
	address := listener.Addr().(*net.TCPAddr)
	require.NoError(t, listener.Close())
	reserved, err := reserve(address)
	require.NoError(t, err)
	l.mu.reserved = reserved
	l.Cut()
}

// reserve binds a port without listening: connections are refused, and no other
// program gets the port.
func reserve(a *net.TCPAddr) (fd int, err error) {
	if fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0); err != nil {
		return 0, err
	}
	syscall.CloseOnExec(fd)
	to := &syscall.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())}
	if err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err == nil {
		err = syscall.Bind(fd, to)
	}
	if err != nil {
		_ = syscall.Close(fd)
		return 0, fmt.Errorf("reserve %v: %w", a, err)
	}
	return fd, nil
}

// Cut resets all connections; new ones are taken.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.mu.pairs {
		p.reset()
		l.mu.cuts++
	}
}

// Cuts is how many connections were reset so far.
func (l *Link) Cuts() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.cuts
}

// Connections is how many connections there are.
func (l *Link) Connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.mu.pairs)
}

// Flap cuts a way after random pauses between shortest and longest until ctx ends.
func Flap(ctx context.Context, random *rand.Rand, shortest, longest time.Duration, cut func()) {
	for {
		timer := time.NewTimer(shortest + time.Duration(random.Int64N(int64(longest-shortest))))
		select {
		case <-timer.C:
			cut()
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

func (l *Link) serve(listener net.Listener) {
	l.mu.Lock()
	l.mu.listener = listener
	l.mu.Unlock()
	l.work.Go(func() { // waited for by close
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			l.relay(from.(*net.TCPConn))
		}
	})
}

// relay carries a new connection until both of its directions have ended.
func (l *Link) relay(from *net.TCPConn) {
	p := &pair{from: from}
	l.mu.Lock()
	p.dark, l.mu.pairs[p] = l.mu.dark, true
	over := l.mu.over
	l.mu.Unlock()
	if over {
		p.reset()
	}
	l.work.Go(func() { // waited for by close
		p.run(l.targets)
		l.mu.Lock()
		delete(l.mu.pairs, p)
		l.mu.Unlock()
	})
}

func (l *Link) close() {
	l.mu.Lock()
	l.mu.over = true
	listener := l.mu.listener
	for p := range l.mu.pairs {
		p.reset()
	}
	l.mu.Unlock()
	if listener != nil {
		_ = listener.Close()
	} else {
		_ = syscall.Close(l.mu.reserved)
	}
	l.work.Wait()
}

// pair is a relayed connection: from whoever dialled, to the target.
type pair struct {
	from *net.TCPConn

	mu   sync.Mutex
	to   *net.TCPConn // nil before it is dialled
	dark bool
	over bool
}

func (p *pair) run(targets []string) {
	defer p.reset()
	if !p.isDark() && !slices.ContainsFunc(targets, p.dial) {
		return
	}
	var back sync.WaitGroup
	if p.to != nil {
		back.Go(func() { p.pump(p.from, p.to) })
	}
	p.pump(p.to, p.from)
	back.Wait()
}

func (p *pair) dial(target string) bool {
	to, err := net.Dial("tcp", target)
	if err != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to.(*net.TCPConn)
	if p.over {
		_ = to.Close()
	}
	return !p.over
}

// pump carries one direction to its end. In the dark even that is not told.
func (p *pair) pump(to, from *net.TCPConn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !p.isDark() {
			if _, failed := to.Write(buffer[:n]); failed != nil {
				err = failed
			}
		}
		switch {
		case err == nil:
		case p.isDark():
			return
		case err == io.EOF:
			_ = to.CloseWrite()
			return
		default:
			p.reset()
			return
		}
	}
}

func (p *pair) isDark() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dark
}

func (p *pair) darken() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dark = true
}

// reset ends both sides with a TCP reset.
func (p *pair) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	for _, c := range []*net.TCPConn{p.from, p.to} {
		if c != nil {
			_ = c.SetLinger(0)
			_ = c.Close()
		}
	}
}
