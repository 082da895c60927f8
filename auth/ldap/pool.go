// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const (
	// dialTimeout bounds connecting to one server, TLS included, so that the next
	// one has its turn.
	dialTimeout = 2 * time.Second
	// keepIdle is how long a connection without work is kept.
	keepIdle = time.Minute
	// pause is how long nobody is sent to a directory that did not answer.
	pause = time.Second
)

// Servers are copies of one directory.
type Servers struct {
	// URLs are ldap:// and ldaps:// addresses, in the order of preference.
	URLs []string
	// StartTLS changes connections to ldap:// servers to TLS.
	StartTLS bool
	// CAFile holds PEM certificates to trust; "" trusts those of the system.
	CAFile string
	// Connections bounds how many there are at the same time.
	Connections int
}

// conn is a connection whose every wait ends with the context that it is used
// under. Who signed in on it last is not known: users begin with a bind.
type conn struct {
	*ldap.Conn
	raw   net.Conn
	limit time.Duration // of one answer
	used  time.Time     // the end of its last use; zero for a new one
}

// pool lends connections to a directory.
type pool struct {
	servers []*url.URL
	tls     *tls.Config
	start   bool // StartTLS
	timeout time.Duration
	slots   chan struct{}

	mu     sync.Mutex
	idle   []*conn
	first  int       // index of the server to ask first
	until  time.Time // nobody is sent before, because of fault
	fault  error
	closed bool
}

func newPool(s Servers, timeout time.Duration) (*pool, error) {
	p := &pool{start: s.StartTLS, timeout: timeout, slots: make(chan struct{}, s.Connections), tls: &tls.Config{MinVersion: tls.VersionTLS12}}
	for _, text := range s.URLs {
		u, err := url.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("the directory server: %w", err)
		}
		p.servers = append(p.servers, u)
	}
	if s.CAFile == "" {
		return p, nil
	}
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, fmt.Errorf("the certificate authorities of the directory: %w", err)
	}
	p.tls.RootCAs = x509.NewCertPool()
	if !p.tls.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the certificate authorities of the directory: %s holds no certificate", s.CAFile)
	}
	return p, nil
}

// do lends a connection for work. Errors of the network are tried once more on a
// new connection if that was an old one, because servers close idle ones.
func (p *pool) do(ctx context.Context, work func(*conn) error) error {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("all %d connections to the directory are busy: %w", cap(p.slots), ctx.Err())
	}
	defer func() { <-p.slots }()
	c, err := p.take()
	if err != nil {
		return err
	}
	if c != nil {
		if err = p.use(ctx, c, work); !broken(err) {
			return err
		}
	}
	if c, err = p.dial(ctx); err == nil {
		err = p.use(ctx, c, work)
	}
	if broken(err) {
		p.failed(err)
	}
	return err
}

// broken says whether an error is one of the way to a server, not its answer.
func broken(err error) bool {
	if err == nil || errors.As(err, new(refusal)) {
		return false
	}
	var said *ldap.Error
	return !errors.As(err, &said) || said.ResultCode >= ldap.ErrorNetwork ||
		ldap.IsErrorAnyOf(err, ldap.LDAPResultBusy, ldap.LDAPResultUnavailable)
}

// use runs work on a connection, and keeps it if it is still good.
func (p *pool) use(ctx context.Context, c *conn, work func(*conn) error) error {
	deadline, _ := ctx.Deadline()
	_ = c.raw.SetDeadline(deadline)                                              // fails on closed connections only
	stop := context.AfterFunc(ctx, func() { _ = c.raw.SetDeadline(time.Now()) }) // for an end before the deadline
	err := work(c)
	if !stop() || broken(err) {
		c.end()
		return err
	}
	_ = c.raw.SetDeadline(time.Time{})
	p.keep(c)
	return err
}

// take is an idle connection, or nil; an error while the directory is given a pause.
func (p *pool) take() (*conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return nil, errors.New("the gateway is shutting down")
	case time.Now().Before(p.until):
		return nil, fmt.Errorf("%w: %w", errPause, p.fault)
	}
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if !c.IsClosing() {
			return c, nil
		}
	}
	return nil, nil
}

func (p *pool) keep(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.used = time.Now()
	p.idle = append(p.idle, c)
}

// failed gives the directory a pause, and prefers the next server after it.
func (p *pool) failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until, p.fault = time.Now().Add(pause), err
	p.first = (p.first + 1) % len(p.servers)
}

var (
	errNoServer = errors.New("no server can be reached")
	errPause    = errors.New("it did not answer a moment ago")
)

// dial connects to the first server that can be reached.
func (p *pool) dial(ctx context.Context) (*conn, error) {
	p.mu.Lock()
	first := p.first
	p.mu.Unlock()
	fault := errNoServer
	for i := range p.servers {
		at := (first + i) % len(p.servers)
		c, err := p.connect(ctx, p.servers[at])
		if err == nil {
			p.mu.Lock()
			p.first = at
			p.mu.Unlock()
			return c, nil
		}
		fault = fmt.Errorf("%w; %s: %w", fault, p.servers[at].Host, err)
	}
	return nil, fault
}

func (p *pool) connect(ctx context.Context, server *url.URL) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	port := server.Port()
	if port == "" {
		port = map[string]string{"ldap": ldap.DefaultLdapPort, "ldaps": ldap.DefaultLdapsPort}[server.Scheme]
	}
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(server.Hostname(), port))
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	_ = raw.SetDeadline(deadline) // also of what go-ldap does without a limit
	encryption := p.tls.Clone()
	encryption.ServerName = server.Hostname()
	through := raw
	if server.Scheme == "ldaps" {
		secure := tls.Client(raw, encryption)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, fmt.Errorf("TLS: %w", err)
		}
		through = secure
	}
	c := &conn{Conn: ldap.NewConn(through, server.Scheme == "ldaps"), raw: raw, limit: p.timeout}
	c.SetTimeout(p.timeout)
	c.Start()
	if server.Scheme == "ldap" && p.start {
		if err := c.StartTLS(encryption); err != nil {
			c.end()
			return nil, fmt.Errorf("StartTLS: %w", err)
		}
	}
	return c, nil
}

// end closes the connection without waiting for the server.
func (c *conn) end() {
	_ = c.raw.SetDeadline(time.Now())
	_ = c.Close() // says only that the server was there no more
}

// run ends idle connections until ctx ends, then all, and waits for those at work.
func (p *pool) run(ctx context.Context) {
	ticker := time.NewTicker(keepIdle / 2)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			p.endIdle(now.Add(-keepIdle), false)
		case <-ctx.Done():
			p.endIdle(time.Now(), true)
			for range cap(p.slots) {
				p.slots <- struct{}{} // within the timeout of the work that has it
			}
			p.endIdle(time.Now(), true)
			return
		}
	}
}

// endIdle ends the connections last used before a time, closing the pool if told to.
func (p *pool) endIdle(before time.Time, closing bool) {
	p.mu.Lock()
	p.closed = p.closed || closing
	var over, kept []*conn
	for _, c := range p.idle {
		if closing || c.used.Before(before) || c.IsClosing() {
			over = append(over, c)
		} else {
			kept = append(kept, c)
		}
	}
	p.idle = kept
	p.mu.Unlock()
	for _, c := range over {
		c.end()
	}
}
