// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"roundhouse/discovery"
	"roundhouse/engine/local"
	"roundhouse/internal/secret"
)

// Endpoint is where a port of an engine is reached.
type Endpoint struct {
	// Address is host:port.
	Address string
	// TLS is nil for a port on this machine. Of the engine's relay it accepts nothing but
	// the certificate in the engine's registration.
	TLS *tls.Config
}

// dialTimeout bounds one attempt to connect.
const dialTimeout = 2 * time.Second

// errNoRelay says that an engine elsewhere cannot be reached.
var errNoRelay = errors.New("it runs on another machine and offers no relay (kyuubi.engine.spark.connect.relay)")

// Unusable says why an engine that lives can never be used here; nil for any other.
func (m *Manager) Unusable(refID string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if errors.Is(m.mu.unusable[refID].why, errNoRelay) {
		return errNoRelay
	}
	return nil
}

// endpoints are where the Connect port and the control endpoint of a node are
// reached: directly on its own machine, elsewhere through its relay, which tells
// the two apart by the protocol that is negotiated (RFC 7301).
func (m *Manager) endpoints(node discovery.Node, keys Keys, place string) (connect, control Endpoint, err error) {
	if !m.shared() || place == m.opts.Self.Place {
		return Endpoint{Address: node.Address}, Endpoint{Address: node.Attributes[attrControl]}, nil
	}
	address, pin := node.Attributes[attrRelay], node.Attributes[attrFingerprint]
	if address == "" || pin == "" {
		return connect, control, errNoRelay
	}
	self, err := caller(keys.Relay, node.RefID)
	if err != nil {
		return connect, control, err
	}
	return Endpoint{address, pinned(pin, "h2", self)}, Endpoint{address, pinned(pin, "http/1.1", self)}, nil
}

// dial connects to the port, for TLS without its handshake.
func (e Endpoint) dial(ctx context.Context, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	if e.TLS != nil {
		dialer.ControlContext = refuseInward
	}
	return dialer.DialContext(ctx, "tcp", address)
}

// pinned accepts the one certificate whose SHA-256 is pin, in hex, and shows self.
func pinned(pin, protocol string, self tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates:       []tls.Certificate{self},
		NextProtos:         []string{protocol},
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // VerifyPeerCertificate knows better: the certificate is named by a signed registration
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) == 0 {
				return errors.New("the relay shows no certificate")
			}
			sum := sha256.Sum256(raw[0])
			if !secret.Equal(hex.EncodeToString(sum[:]), pin) {
				return errors.New("the relay shows another certificate than its engine registered")
			}
			return nil
		},
	}
}

// refuseInward keeps an engine's user from making the gateway dial what only it
// reaches: itself, its links, addresses of services of a cloud.
func refuseInward(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%s is no address: %w", address, err)
	}
	ip := at.Addr().Unmap()
	if ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
		return fmt.Errorf("%s is no address of a relay", address)
	}
	return nil
}

// distant is the process of an engine on another machine, of which only its
// registration is known.
type distant struct {
	order func(ctx context.Context) error
	once  sync.Once
	done  chan struct{}
}

func newDistant() *distant { return &distant{done: make(chan struct{})} }

// gone notes that the process has ended.
func (p *distant) gone() { p.once.Do(func() { close(p.done) }) }

func (p *distant) Identity() local.Identity { return local.Identity{} }
func (p *distant) Done() <-chan struct{}    { return p.done }
func (p *distant) Release()                 {}

func (p *distant) Status() string {
	select {
	case <-p.done:
		return "ended on another machine"
	default:
		return ""
	}
}

// End orders the driver to stop and waits for it, a bounded time. Who is at its place
// may kill it.
func (p *distant) End(ctx context.Context, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, stopWait+grace)
	defer cancel()
	if err := p.order(ctx); err != nil {
		return fmt.Errorf("the driver on another machine does not take the order to stop: %w", err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the driver on another machine goes on: %w", context.Cause(ctx))
	}
}

// open finds the process of r.
func (m *Manager) open(r discovery.EngineRecord) (Process, error) {
	if !m.here(r) {
		return newDistant(), nil
	}
	return m.opts.Launcher.Open(local.Identity{PID: r.PID, Start: r.StartTime}, r.WorkDir)
}

// tendDistant looks after engines on other machines, whose end nobody tells when
// the whole machine is gone.
func (m *Manager) tendDistant() {
	m.mu.Lock()
	var all []*Engine
	for _, e := range m.mu.engines {
		if _, far := e.process.(*distant); far && e.State() != Ended {
			all = append(all, e)
		}
	}
	m.mu.Unlock()
	for _, e := range all {
		m.background(func() { m.judgeDistant(e) })
	}
}

// judgeDistant ends an engine that does not answer and whose node is gone, too:
// the store heard nothing of it for its session timeout.
func (m *Manager) judgeDistant(e *Engine) {
	if e.Check(m.life) == Silent && m.lost(e) {
		m.end(e, fmt.Errorf("engine %s of %s (application %s) is lost: its machine does not answer, and its registration is gone",
			e.refID, e.spec.LaunchUser, e.AppID()))
	}
}

// lost says whether an engine on another machine neither answers nor has a node.
func (m *Manager) lost(e *Engine) bool {
	ctx, cancel := context.WithTimeout(m.life, storeTimeout)
	defer cancel()
	if health, _ := e.probe(ctx); health == Alive {
		return false
	}
	registered, err := m.hasNode(ctx, e.spec.Path(), e.refID)
	return err == nil && !registered
}

// awaitLoss waits for the end of a process on another machine, which nobody tells when
// no gateway is there.
func (m *Manager) awaitLoss(e *Engine, far *distant) {
	for !m.lost(e) {
		m.rest(m.life)
		if isDone(far) || m.life.Err() != nil {
			return
		}
	}
	far.gone()
}

// lostAfter is how long an engine that cannot be used may be without a node before its
// record goes: its gateways may be out of the store's reach for a moment.
const lostAfter = time.Minute

// tendLost removes the record of an engine on another machine that nobody there will
// remove: it cannot be reached, its gateway is gone, and so is its node.
func (m *Manager) tendLost(r discovery.EngineRecord) {
	m.mu.Lock()
	u, unusable := m.mu.unusable[r.RefID]
	m.mu.Unlock()
	if !unusable || m.here(r) || time.Since(u.since) < lostAfter || m.alive(r) {
		return
	}
	ctx, cancel := context.WithTimeout(m.life, storeTimeout)
	defer cancel()
	if registered, err := m.hasNode(ctx, r.Path, r.RefID); err != nil || registered {
		return
	}
	m.opts.Log.Warn("an engine on another machine is lost: neither it nor a gateway there can be reached, and its registration is gone", "engine", r.RefID, "user", r.User)
	m.forget(r.RefID, r.Path, "")
}

// hasNode says whether an engine is registered.
func (m *Manager) hasNode(ctx context.Context, path, refID string) (bool, error) {
	list, err := m.opts.Cluster.Find(ctx, path)
	return slices.ContainsFunc(list, func(n discovery.Node) bool { return n.RefID == refID }), err
}
