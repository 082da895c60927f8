// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/mem"
)

// The allowance of a connection. Whoever makes calls and reads their answers
// never gets near it; a flood of resets, pings or settings is read no faster
// than the allowance comes back.
const (
	connUnits    = 1000 // at most
	firstUnits   = 300  // of a new connection, so that a new one is no gain
	connRefill   = 1000 // units a second
	dearBytes    = 16   // bytes of a read per unit: with less the next reads are small
	smallRead    = 1 << 10
	longestSleep = 100 * time.Millisecond // so that answers that were sent count soon
	longestWait  = 10 * time.Second       // without ever having the full allowance again
	wasteAtClose = 32 << 10               // bytes at most that Close throws away
)

// errFlood is what grpc reads of a client that stays overdrawn.
var errFlood = errors.New("the client sends many HTTP/2 frames that move no call forward")

// bucket is an allowance that comes back with time. It may be overdrawn.
type bucket struct {
	level, most, perSecond float64
	at                     time.Time // when level was right
}

func newBucket(most, perSecond float64) bucket {
	return bucket{level: most, most: most, perSecond: perSecond, at: time.Now()}
}

// spend takes units, or gives back those below zero.
func (b *bucket) spend(units int) {
	now := time.Now()
	b.level = min(b.most, b.level+now.Sub(b.at).Seconds()*b.perSecond)
	b.level = min(b.most, b.level-float64(units))
	b.at = now
}

// debt is how long it takes until nothing is overdrawn.
func (b *bucket) debt() time.Duration {
	b.spend(0)
	return time.Duration(max(0, -b.level/b.perSecond) * float64(time.Second))
}

// pacedConn reads no faster from a client than the allowance of the connection
// permits. Read and Write may run side by side, as always; two Reads may not.
type pacedConn struct {
	net.Conn
	slowed func()              // told once, when the client first has to wait
	ended  func(threwOut bool) // told once, at Close
	closed chan struct{}       // ends waits
	once   sync.Once           // of Close
	in     frameScanner        // of Read
	out    frameScanner        // of Write
	dear   bool                // the last read cost much for its size
	waited time.Duration       // of Read, since the allowance was full
	mu     sync.Mutex          // guards what follows
	units  bucket
	heard  time.Time // when bytes came last
	left   bool      // the client ended the connection
}

func newPacedConn(c net.Conn, slowed func(), ended func(threwOut bool)) *pacedConn {
	units := newBucket(connUnits, connRefill)
	units.spend(connUnits - firstUnits)
	return &pacedConn{
		Conn: c, slowed: sync.OnceFunc(slowed), ended: ended, closed: make(chan struct{}),
		in: frameScanner{skip: prefaceBytes}, dear: true,
		units: units, heard: time.Now(),
	}
}

// Read implements net.Conn. It fails when the client had to wait for longestWait.
func (c *pacedConn) Read(p []byte) (int, error) {
	if err := c.wait(); err != nil {
		return 0, err
	}
	if c.dear && len(p) > smallRead {
		p = p[:smallRead]
	}
	n, err := c.Conn.Read(p)
	price := c.in.price(p[:n], received)
	c.dear = price*dearBytes > n
	c.mu.Lock()
	defer c.mu.Unlock()
	c.units.spend(price)
	if n > 0 {
		c.heard = c.units.at
	}
	c.left = c.left || err != nil
	return n, err
}

// wait returns when nothing is overdrawn.
func (c *pacedConn) wait() error {
	for d := c.debt(); d > 0; d = c.debt() {
		c.slowed()
		if c.waited > longestWait {
			return errFlood
		}
		d = min(d, longestSleep)
		c.waited += d
		timer := time.NewTimer(d)
		select {
		case <-timer.C:
		case <-c.closed:
			timer.Stop()
			return net.ErrClosed
		}
	}
	return nil
}

// debt is how long the client has to wait.
func (c *pacedConn) debt() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.units.debt()
	if c.units.level == c.units.most {
		c.waited = 0
	}
	return d
}

// Write implements net.Conn.
func (c *pacedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if price := c.out.price(p[:n], sent); price != 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.units.spend(price)
	}
	return n, err
}

// Close implements net.Conn.
func (c *pacedConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.mu.Lock()
		threwOut := !c.left && time.Since(c.heard) < 2*longestWait
		c.mu.Unlock()
		c.ended(threwOut)
	})
	return c.Conn.Close()
}

// pacedTCP is a pacedConn without TLS. grpc holds no read buffer for it while
// nothing comes.
type pacedTCP struct {
	*pacedConn
	raw  syscall.RawConn
	peek [1]byte
	// ready is c.isReady, made once.
	ready func(fd uintptr) bool
}

func newPacedTCP(c *pacedConn, raw syscall.RawConn) *pacedTCP {
	t := &pacedTCP{pacedConn: c, raw: raw}
	t.ready = t.isReady
	return t
}

// Close implements net.Conn. Bytes that are not read would make TCP reset the
// connection, and the client would not learn why it was closed.
func (c *pacedTCP) Close() error {
	_ = c.raw.Control(func(fd uintptr) { // it never waits
		var waste [smallRead]byte
		for range wasteAtClose / smallRead {
			if n, err := syscall.Read(int(fd), waste[:]); n <= 0 || err != nil {
				return
			}
		}
	})
	return c.pacedConn.Close()
}

func (c *pacedTCP) isReady(fd uintptr) bool {
	_, _, err := syscall.Recvfrom(int(fd), c.peek[:], syscall.MSG_PEEK)
	return err != syscall.EAGAIN
}

// ReadOnReady is what grpc looks for: it takes a buffer from pool once there are
// bytes to read, and reads into it.
func (c *pacedTCP) ReadOnReady(size int, pool mem.BufferPool) (*[]byte, int, error) {
	if err := c.wait(); err != nil {
		return nil, 0, err
	}
	if err := c.raw.Read(c.ready); err != nil {
		return nil, 0, err
	}
	buf := pool.Get(size)
	n, err := c.Read(*buf)
	if n == 0 {
		pool.Put(buf)
		return nil, 0, err
	}
	return buf, n, err
}
