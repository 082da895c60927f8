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
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"roundhouse/internal/tlsx"
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

// conn is a connection whose every wait has an end. Who signed in on it last is
// not known: users begin with a bind.
type conn struct {
	*ldap.Conn
	raw    net.Conn
	server int           // index of the server
	limit  time.Duration // of one answer
	used   time.Time     // the end of its last use; zero for a new one
}

// pool lends connections to a directory.
type pool struct {
	servers []*url.URL
	caFile  string
	start   bool // StartTLS
	timeout time.Duration
	slots   chan struct{}

	mu     sync.Mutex
	idle   []*conn
	first  int       // index of the server to ask first
	fault  error     // why the directory could not be asked; nil once it answers
	until  time.Time // nobody is sent before, because of fault
	closed bool
}

func newPool(s Servers, timeout time.Duration) (*pool, error) {
	p := &pool{start: s.StartTLS, timeout: timeout, slots: make(chan struct{}, s.Connections), caFile: s.CAFile}
	for _, text := range s.URLs {
		u, err := url.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("the directory server: %w", err)
		}
		p.servers = append(p.servers, u)
	}
	_, err := p.encryption("")
	return p, err
}

// encryption is how a server is verified. The file of authorities is read each
// time, so a new one holds at once.
func (p *pool) encryption(server string) (*tls.Config, error) {
	authorities, err := tlsx.Roots(p.caFile)
	if err != nil {
		return nil, fmt.Errorf("the certificate authorities of the directory: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: server, RootCAs: authorities}, nil
}

var (
	errNoServer = errors.New("no server can be reached")
	// errAccount is an answer, but the same one for every login.
	errAccount = errors.New("the gateway's account cannot sign in")
)

// do lends a connection for work, which has the timeout from then on. Errors of
// the way to the server are tried once more on a new connection if that was an old
// one, because servers close idle ones; what the old one took of the time is given
// back, so all of it takes one and a half timeouts at most.
func (p *pool) do(work func(*conn) error) error {
	queue := time.NewTimer(p.timeout)
	defer queue.Stop()
	select {
	case p.slots <- struct{}{}:
	case <-queue.C: // the directory may be well, and only slow
		return fmt.Errorf("all %d connections to the directory are busy", cap(p.slots))
	}
	defer func() { <-p.slots }()
	c, err := p.take()
	if err != nil {
		return err
	}
	started := time.Now()
	end := started.Add(p.timeout)
	if c != nil {
		err = p.use(c, end, work)
		if broken(err) && time.Now().Before(end) {
			p.drop(c.server) // those that lay beside it are no better
			c, end = nil, end.Add(min(time.Since(started), p.timeout/2))
		}
	}
	if c == nil {
		if c, err = p.dial(end); err == nil {
			err = p.use(c, end, work)
		}
	}
	if broken(err) || errors.Is(err, errAccount) {
		p.failed(c, err)
	} else {
		p.answered()
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

// use runs work on a connection until end, and keeps it if it is still good. One
// that lay idle may be dead without a word, so it gets half of the time.
func (p *pool) use(c *conn, end time.Time, work func(*conn) error) error {
	if !c.used.IsZero() && time.Since(c.used) > pause {
		end = end.Add(-p.timeout / 2)
	}
	_ = c.raw.SetDeadline(end) // fails on closed connections only
	err := work(c)
	if broken(err) {
		c.end()
		return err
	}
	_ = c.raw.SetDeadline(time.Time{})
	p.keep(c)
	return err
}

// take is an idle connection, or nil; an error while the directory is given a
// pause. After one a single login a second tries whether it is over.
func (p *pool) take() (*conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	switch {
	case p.closed:
		return nil, errors.New("the gateway is shutting down")
	case p.fault == nil:
	case now.Before(p.until):
		return nil, fmt.Errorf("it did not answer a moment ago: %w", p.fault)
	default:
		p.until = now.Add(pause)
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

// failed gives the directory a pause. What a server did that is not the first any
// more, others have told before. c is nil if no server can be reached.
func (p *pool) failed(c *conn, err error) {
	if c != nil && !p.pass(c.server) {
		return
	}
	if c != nil {
		p.drop(c.server)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.until = err, time.Now().Add(pause)
}

// answered ends the pause.
func (p *pool) answered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = nil
}

// pass prefers the next server, if a server is still the first.
func (p *pool) pass(server int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first != server {
		return false
	}
	p.first = (server + 1) % len(p.servers)
	return true
}

// dial connects to the first server that can be reached before end.
func (p *pool) dial(end time.Time) (*conn, error) {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	fault := errNoServer
	for tried := range p.servers {
		p.mu.Lock()
		server := p.first
		p.mu.Unlock()
		c, err := p.connect(ctx, server)
		if err == nil {
			return c, nil
		}
		fault = fmt.Errorf("%w; %s: %w", fault, p.servers[server].Host, err)
		over := !time.Now().Before(end)
		if !over || tried == 0 { // else it had only the time that others left
			p.pass(server)
		}
		if over {
			break
		}
	}
	return nil, fault
}

func (p *pool) connect(ctx context.Context, index int) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	server := p.servers[index]
	encryption, err := p.encryption(server.Hostname())
	if err != nil {
		return nil, err
	}
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
	through := raw
	if server.Scheme == "ldaps" {
		secure := tls.Client(raw, encryption)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, fmt.Errorf("TLS: %w", advise(err))
		}
		through = secure
	}
	c := &conn{Conn: ldap.NewConn(through, server.Scheme == "ldaps"), raw: raw, server: index, limit: p.timeout}
	c.SetTimeout(p.timeout)
	c.Start()
	if server.Scheme == "ldap" && p.start {
		if err := c.StartTLS(encryption); err != nil {
			c.end()
			return nil, fmt.Errorf("StartTLS: %w", advise(err))
		}
	}
	return c, nil
}

// advise says what to do about a server that nobody vouches for. The library keeps
// only the text of errors of StartTLS.
func advise(err error) error {
	if strings.Contains(err.Error(), x509.UnknownAuthorityError{}.Error()) {
		return fmt.Errorf("%w; kyuubi.authentication.ldap.ssl.ca.path names the file of its authority", err)
	}
	return err
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
			p.endIdle(func(c *conn) bool { return c.used.Before(now.Add(-keepIdle)) || c.IsClosing() })
		case <-ctx.Done():
			p.mu.Lock()
			p.closed = true
			p.mu.Unlock()
			for range cap(p.slots) {
				p.slots <- struct{}{} // within one and a half timeouts of the work that has it
			}
			p.endIdle(func(*conn) bool { return true })
			return
		}
	}
}

// drop ends the idle connections to a server.
func (p *pool) drop(server int) {
	p.endIdle(func(c *conn) bool { return c.server == server })
}

// endIdle ends those of the idle connections that are over.
func (p *pool) endIdle(over func(*conn) bool) {
	p.mu.Lock()
	var ended, kept []*conn
	for _, c := range p.idle {
		if over(c) {
			ended = append(ended, c)
		} else {
			kept = append(kept, c)
		}
	}
	p.idle = kept
	p.mu.Unlock()
	for _, c := range ended {
		c.end()
	}
}
