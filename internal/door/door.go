// SPDX-License-Identifier: Apache-2.0

// Package door bounds the connections of a port on which nobody has said who
// they are.
package door

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"roundhouse/internal/netaddr"
)

// Listener bounds, for each address (IPv6: /64), the connections on which no
// call was authenticated yet. One more closes the oldest of them rather than
// itself: a client signs in within moments, whoever only opens connections does
// not, and both may come from the address of the same balancer. Its connections
// are of type *Guest.
type Listener struct {
	net.Listener
	most int // 0 means any number

	mu        sync.Mutex
	strangers map[string][]*Guest // by address, oldest first
}

// New bounds the connections of l to most of an address; 0 means any number.
func New(l net.Listener, most int) *Listener {
	return &Listener{Listener: l, most: most, strangers: map[string][]*Guest{}}
}

// Accept waits for the next connection.
func (d *Listener) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	from := c.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(from); err == nil {
		from = host
	}
	g := &Guest{Conn: c, door: d, from: netaddr.Network(from)}
	if oldest := d.enter(g); oldest != nil {
		_ = oldest.Close() // its transport notices by itself
	}
	return g, nil
}

// enter notes a stranger and returns the one that has to go for it.
func (d *Listener) enter(g *Guest) (oldest *Guest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := append(d.strangers[g.from], g)
	if d.most > 0 && len(all) > d.most {
		// One that becomes known at this moment stays.
		i := slices.IndexFunc(all, func(one *Guest) bool { return one.signed.CompareAndSwap(false, true) })
		oldest = all[i] // g at the latest
		all = slices.Delete(all, i, i+1)
	}
	d.strangers[g.from] = all
	return oldest
}

func (d *Listener) forget(g *Guest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.strangers[g.from]
	if i := slices.Index(all, g); i >= 0 {
		all = slices.Delete(all, i, i+1)
	}
	d.strangers[g.from] = all
	if len(all) == 0 {
		delete(d.strangers, g.from)
	}
}

// Guest is one connection.
type Guest struct {
	net.Conn
	door   *Listener
	from   string
	signed atomic.Bool
}

func (g *Guest) known() {
	if !g.signed.Load() && !g.signed.Swap(true) {
		g.door.forget(g)
	}
}

// Close closes the connection.
func (g *Guest) Close() error {
	g.known()
	return g.Conn.Close()
}

// CloseWrite ends what is sent, if the connection can do so.
func (g *Guest) CloseWrite() error {
	half, ok := g.Conn.(interface{ CloseWrite() error })
	if !ok {
		return nil
	}
	return half.CloseWrite()
}

// RemoteAddr is the client's address, an Addr, by which calls find their
// connection through whatever is wrapped around it.
func (g *Guest) RemoteAddr() net.Addr { return Addr{g.Conn.RemoteAddr(), g} }

// Addr is the address of a guest.
type Addr struct {
	net.Addr
	guest *Guest
}

// Known says that a call on the connection was authenticated.
func (a Addr) Known() { a.guest.known() }
