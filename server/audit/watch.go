// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net"
	"sync"

	"roundhouse/auth"
	"roundhouse/internal/netaddr"
)

// Logins is an auth.Watcher that writes the logins: not every call, but the
// first one of a minute with the same credentials on the same connection, and of
// the bad ones of an address no more than some in a minute.
type Logins struct {
	log   *Log
	blind func() []byte
}

// Logins returns the watcher of the log.
func (l *Log) Logins() *Logins {
	return &Logins{log: l, blind: sync.OnceValue(func() []byte {
		key := make([]byte, sha256.Size)
		rand.Read(key) // never fails (crypto/rand of Go 1.24)
		return key
	})}
}

// Watch implements auth.Watcher; it refuses nothing.
func (w *Logins) Watch(r auth.Request, c auth.Credentials, decide func() (auth.Identity, error)) (auth.Identity, error) {
	id, err := decide()
	if w.log != nil {
		w.write(r, c, id, err)
	}
	return id, err
}

func (w *Logins) write(r auth.Request, c auth.Credentials, id auth.Identity, err error) {
	e := Entry{Event: Login, Address: Host(r.Peer), Method: id.Method, User: id.User, RealUser: other(id)}
	if err == nil {
		if _, ok := w.log.logins.take(w.source(r, c, id), 1); ok {
			w.log.Write(e)
		}
		return
	}
	e.Failed, e.Reason = true, err.Error()
	if e.Method == "" {
		e.Method = c.Scheme
	}
	if e.User == "" {
		e.User, _, _ = c.Basic()
	}
	var ok bool
	if e.Unwritten, ok = w.log.calls.take("login "+netaddr.Network(e.Address), perPeriod); ok {
		w.log.Write(e)
	}
}

// source is a connection with credentials, in a form that says nothing about
// them.
func (w *Logins) source(r auth.Request, c auth.Credentials, id auth.Identity) string {
	h := hmac.New(sha256.New, w.blind())
	if r.Peer != nil {
		h.Write([]byte(r.Peer.String()))
	}
	h.Write([]byte("\x00" + c.Scheme + "\x00" + id.User + "\x00"))
	if c.Scheme != auth.SchemeNegotiate { // each of these is used once
		h.Write([]byte(c.Value))
	}
	return string(h.Sum(nil))
}

// Refuse writes that a caller who is known may not do something, some times in a
// minute for each user and address.
func (l *Log) Refuse(e Entry) {
	if l == nil {
		return
	}
	e.Event, e.Failed = Refused, true
	var ok bool
	if e.Unwritten, ok = l.calls.take("call "+e.User+" "+netaddr.Network(e.Address), perPeriod); ok {
		l.Write(e)
	}
}

// Host is an address without its port.
func Host(peer net.Addr) string {
	if peer == nil {
		return ""
	}
	if host, _, err := net.SplitHostPort(peer.String()); err == nil {
		return netaddr.Plain(host)
	}
	return peer.String()
}

// other is who presented the credentials, "" if that is the user.
func other(id auth.Identity) string {
	if id.RealUser == id.User {
		return ""
	}
	return id.RealUser
}
