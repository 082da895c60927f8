// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"roundhouse/internal/netaddr"
)

// door is a listener that bounds, for each address (IPv6: /64), the connections on which no
// call was authenticated yet. One more closes the oldest of them rather than
// itself: a client signs in within moments, whoever only opens connections does
// not, and both may come from the address of the same balancer.
type door struct {
	net.Listener
	most int // 0 means any number

	mu        sync.Mutex
	strangers map[string][]*guest // by address, oldest first
}

func newDoor(l net.Listener, most int) *door {
	return &door{Listener: l, most: most, strangers: map[string][]*guest{}}
}

// Accept waits for the next connection.
func (d *door) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g := &guest{Conn: c, door: d, from: netaddr.Network(host(c.RemoteAddr()))}
	if oldest := d.enter(g); oldest != nil {
		_ = oldest.Close() // its transport notices by itself
	}
	return g, nil
}

// enter notes a stranger and returns the one that has to go for it.
func (d *door) enter(g *guest) (oldest *guest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := append(d.strangers[g.from], g)
	if d.most > 0 && len(all) > d.most {
		oldest = all[0]
		all = slices.Delete(all, 0, 1)
	}
	d.strangers[g.from] = all
	return oldest
}

func (d *door) forget(g *guest) {
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

// guest is one connection.
type guest struct {
	net.Conn
	door   *door
	from   string
	signed atomic.Bool
}

// known says that a call on the connection was authenticated.
func (g *guest) known() {
	if !g.signed.Load() && !g.signed.Swap(true) {
		g.door.forget(g)
	}
}

// Close closes the connection.
func (g *guest) Close() error {
	g.known()
	return g.Conn.Close()
}

// RemoteAddr is the client's address, by which calls find their connection.
func (g *guest) RemoteAddr() net.Addr { return guestAddr{g.Conn.RemoteAddr(), g} }

// guestAddr is the address of a guest.
type guestAddr struct {
	net.Addr
	guest *guest
}
