// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"roundhouse/discovery"
	"roundhouse/internal/failpoint"
	"roundhouse/internal/secret"
)

// registrationLabel begins what the MAC of a registration covers.
const registrationLabel = "roundhouse-registration-v1"

// Welcome is the answer to a registration.
type Welcome struct {
	// WarmUp asks for a warm-up query: no client waits for the engine.
	WarmUp bool
	// Heartbeat is when to register again.
	Heartbeat time.Duration
}

// VerifyCall checks the MAC of a plugin's call: the hex text of the
// Authorization header after the scheme.
func (m *Manager) VerifyCall(refID, method, path string, body []byte, mac string) bool {
	_, good := m.keysThat(refID, func(k Keys) bool { return secret.Equal(secret.MAC(k.Register, method, path, string(body)), mac) })
	return good
}

// Register takes an engine into service, or renews its registration. Nothing is
// dialled before the MAC of the node is verified. ErrForbidden: the node is not
// what the engine's key signed, not in its space, or not on this machine.
// ErrGone: no such engine is wanted; the driver must end. The last argument, the
// driver's time of the call, is for those who check its freshness.
func (m *Manager) Register(ctx context.Context, refID, path, nodeName string, _ int64) (Welcome, error) {
	node, keys, err := m.verify(refID, path, nodeName)
	if err != nil {
		return Welcome{}, err
	}
	welcome := Welcome{Heartbeat: m.opts.Heartbeat}
	m.mu.Lock()
	e, l := m.mu.engines[refID], m.mu.starting[refID]
	m.mu.Unlock()
	switch {
	case e != nil:
		return welcome, m.renew(e, path, node)
	case l == nil:
		return Welcome{}, fmt.Errorf("%w: engine %s was cancelled, has ended or is unknown", ErrGone, refID)
	case l.spec.Path() != path:
		return Welcome{}, fmt.Errorf("%w: engine %s belongs to %s, not to %s", ErrForbidden, refID, l.spec.Path(), path)
	}
	select {
	case <-l.spawned:
	case <-l.done:
	case <-ctx.Done():
		return Welcome{}, context.Cause(ctx)
	}
	if err := m.wait(ctx, l, node.Attributes[attrAppID]); err != nil {
		return Welcome{}, err
	}
	welcome.WarmUp, err = m.admit(l, node, keys)
	return welcome, err
}

// verify reads a node and finds the keys of its engine, which must have signed it.
func (m *Manager) verify(refID, path, nodeName string) (discovery.Node, Keys, error) {
	node, err := discovery.ParseNode(nodeName)
	if err != nil {
		return node, Keys{}, fmt.Errorf("%w: %w", ErrForbidden, err)
	}
	attributes := node.Attributes
	signed := []string{registrationLabel, path, node.Address, attributes[attrControl], attributes[attrFingerprint], node.RefID}
	if relay := attributes[attrRelay]; relay != "" {
		signed = append(signed, relay)
	}
	keys, good := m.keysThat(refID, func(k Keys) bool { return secret.Equal(secret.MAC(k.Register, signed...), attributes[attrMAC]) })
	switch {
	case !good || node.RefID != refID:
		return node, keys, fmt.Errorf("%w: the MAC of engine %s is wrong", ErrForbidden, refID)
	case node.Version != ProtocolVersion:
		return node, keys, fmt.Errorf("%w: engine %s speaks protocol version %q, this gateway %s", ErrForbidden, refID, node.Version, ProtocolVersion)
	case !loopback(node.Address) || !loopback(attributes[attrControl]):
		return node, keys, fmt.Errorf("%w: engine %s is not on the loopback address", ErrForbidden, refID)
	}
	return node, keys, nil
}

func loopback(address string) bool {
	parsed, err := netip.ParseAddrPort(address)
	return err == nil && parsed.Addr().IsLoopback() && parsed.Port() != 0
}

// renew answers a known engine that registers again. Its addresses cannot change.
func (m *Manager) renew(e *Engine, path string, node discovery.Node) error {
	switch {
	case e.State() == Ended:
		return fmt.Errorf("%w: engine %s is ending", ErrGone, e.refID)
	case e.spec.Path() != path, e.node.Address != node.Address, e.node.Attributes[attrControl] != node.Attributes[attrControl]:
		return fmt.Errorf("%w: engine %s registered as %s before", ErrForbidden, e.refID, e.node.Address)
	}
	return nil
}

// admit makes an engine of a launch. The record of the node is durable before
// any session can be routed to it.
func (m *Manager) admit(l *launch, node discovery.Node, keys Keys) (warmUp bool, err error) {
	m.mu.Lock()
	process, record := l.process, m.recordOf(l)
	m.mu.Unlock()
	if process == nil {
		return false, fmt.Errorf("%w: the launch of engine %s was cancelled", ErrGone, l.refID)
	}
	e, err := m.newEngine(l.spec, node, keys, process, m.opts.Self.Place)
	if err != nil {
		return false, err
	}
	e.submitted, e.workDir, e.look = l.submitted, l.workDir, l.look
	e.fingerprint, e.admitted = l.fingerprint, time.Now()
	record.Node = node.String()
	if err := m.store(record); err != nil {
		m.disconnect(e)
		return false, fmt.Errorf("record the node of engine %s: %w", l.refID, err)
	}
	m.mu.Lock()
	admitted := !m.mu.closed && m.settleLocked(l, e, nil)
	warmUp = l.waiters == 0
	if admitted {
		m.backgroundLocked(func() { m.watch(e) })
		m.backgroundLocked(func() { m.follow(e) })
	}
	m.mu.Unlock()
	if !admitted {
		return false, m.refuse(l, e)
	}
	failpoint.Hit(failpoint.Registered)
	if err := m.opts.Files.DropSecrets(l.workDir); err != nil {
		m.opts.Log.Warn("the properties file of an engine stays behind", "engine", l.refID, "err", err)
	}
	m.opts.OnChange(Change{What: ChangeLaunched, RefID: l.refID, User: l.spec.LaunchUser})
	m.opts.Log.Info("engine registered", "engine", l.refID, "user", l.spec.LaunchUser, "address", node.Address,
		"application", e.AppID(), "after", time.Since(l.submitted))
	return warmUp, nil
}

// refuse turns away an engine that nobody wants any more, and removes the
// record that admit has just written.
func (m *Manager) refuse(l *launch, e *Engine) error {
	m.disconnect(e)
	if m.closed() {
		return errClosing // the record stays for the next gateway
	}
	if l.engine != nil { // two registrations at once: the other one was first
		return nil
	}
	<-l.gone
	if m.confirm(l) {
		m.forget(l.refID, l.spec.Path(), l.workDir)
	}
	return fmt.Errorf("%w: the launch of engine %s was cancelled", ErrGone, l.refID)
}

// newEngine connects to the engine of a node whose process is at place.
func (m *Manager) newEngine(spec Spec, node discovery.Node, keys Keys, process Process, place string) (*Engine, error) {
	connect, controlAt, err := m.endpoints(node, keys, place)
	if err != nil {
		return nil, err
	}
	conn, err := dial(connect, keys, node.Attributes[attrSparkVersion], m.opts.MaxMessage)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		refID: node.RefID, spec: spec, node: node, keys: keys, process: process, place: place, connect: connect, conn: conn,
		control: m.opts.DialControl(controlAt, keys.Control),
		failed:  m.foundDead,
		done:    make(chan struct{}), buried: make(chan struct{}),
	}
	if far, ok := process.(*distant); ok {
		far.order = func(ctx context.Context) error { return e.control.Order(ctx, orderStop, "it is told to end") }
	}
	e.life, e.over = context.WithCancel(m.life)
	e.mu.state = Running
	return e, nil
}

// Deregister takes an engine out of service at its own wish; sessions that it
// has stay. ErrBusy: it wants to stop as idle or unused, and sessions hold it.
// ErrGone: no such engine. ErrForbidden: not its path.
func (m *Manager) Deregister(_ context.Context, refID, path, reason, detail string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.mu.engines[refID]
	switch {
	case e == nil:
		return fmt.Errorf("%w: engine %s is unknown", ErrGone, refID)
	case e.spec.Path() != path:
		return fmt.Errorf("%w: engine %s belongs to %s, not to %s", ErrForbidden, refID, e.spec.Path(), path)
	}
	parting := partingWords(reason, detail)
	switch reason {
	case "idle", "unused":
		if !e.retireUnused(parting) {
			return fmt.Errorf("%w: %s has %d", ErrBusy, refID, e.Leases())
		}
	default:
		e.retire(parting)
	}
	m.retireLocked(e)
	m.opts.Log.Info("engine deregistered", "engine", refID, "reason", reason, "detail", detail)
	return nil
}

func partingWords(reason, detail string) string {
	if detail == "" {
		return reason
	}
	return reason + " (" + detail + ")"
}

// retireLocked gives e no more sessions.
func (m *Manager) retireLocked(e *Engine) {
	e.retire("")
	key := e.spec.spaceKey()
	if m.mu.spaces[key] == e {
		delete(m.mu.spaces, key)
	}
}
