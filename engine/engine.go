// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"

	"roundhouse/discovery"
)

// State is where an engine stands in its life.
type State string

// The states of an engine.
const (
	Starting State = "starting" // launched, not registered
	Running  State = "running"
	Draining State = "draining" // keeps its sessions, takes no new ones
	Ended    State = "ended"
)

// Health is what Check found out.
type Health int

// The results of Check.
const (
	Alive   Health = iota // the driver answered
	Dead                  // the driver is gone; Done is closed
	Silent                // the process lives but does not answer
	Unknown               // the process lives; the gateway itself lacks what it takes to ask
)

// Attributes of a node.
const (
	attrControl      = "control"
	attrMAC          = "mac"
	attrFingerprint  = "fingerprint" // of the relay's certificate
	attrRelay        = "relay"
	attrSparkVersion = "sparkVersion"
	attrAppID        = "kyuubi.engine.id"
)

// Engine is a registered driver. Its methods are safe for concurrent use.
type Engine struct {
	refID     string
	spec      Spec
	node      discovery.Node
	submitted time.Time
	admitted  time.Time // zero for an engine of another or an earlier gateway
	workDir   string
	// fingerprint is that of its configuration, place where its process is.
	fingerprint, place string
	keys               Keys
	process            Process
	connect            Endpoint
	conn               *grpc.ClientConn
	control            Control
	look               Look // nil when there is no resource manager to ask
	// failed ends the engine when Check finds it dead.
	failed func(e *Engine, why string)

	done   chan struct{} // closed when no call can succeed any more
	buried chan struct{} // closed when the process and its files are gone
	// life ends with done, and with the manager.
	life context.Context
	over context.CancelFunc

	// after is the last event that was taken in, and behind says that events
	// were missed. Only follow touches them, and before it CatchUp.
	after  int64
	behind bool

	mu struct {
		sync.Mutex
		state   State
		leases  int
		err     error
		parting string      // why the driver said that it stops
		leaving bool        // the driver was allowed to stop as unused
		app     Application // as last seen
	}
}

// RefID is the engine's reference id.
func (e *Engine) RefID() string { return e.refID }

// AppID is Spark's id of the application, such as local-1700000000000.
func (e *Engine) AppID() string { return e.node.Attributes[attrAppID] }

// Conn is the one connection to the driver. It adds the engine's bearer token
// to each call: callers must not send an authorization header of their own.
func (e *Engine) Conn() grpc.ClientConnInterface { return e.conn }

// Done is closed when the engine has ended or is being ended by force: no call
// can succeed any more.
func (e *Engine) Done() <-chan struct{} { return e.done }

// Err says after Done why the engine ended: a sentence for people without the
// final dot. It is nil before.
func (e *Engine) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mu.err
}

// State is Running, Draining or Ended.
func (e *Engine) State() State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mu.state
}

// Leases is how many sessions hold the engine.
func (e *Engine) Leases() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mu.leases
}

// Lease keeps an engine from stopping as idle or unused.
type Lease struct {
	engine *Engine
	once   sync.Once
	left   func(e *Engine)
}

// Engine returns the leased engine.
func (l *Lease) Engine() *Engine { return l.engine }

// Release gives the lease back; further calls do nothing. With the last lease
// of a CONNECTION engine the engine stops.
func (l *Lease) Release() { l.once.Do(func() { l.left(l.engine) }) }

// take adds n leases; false when the engine has ended or is about to.
func (e *Engine) take(n int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.state == Ended || e.mu.leaving {
		return false
	}
	e.mu.leases += n
	return true
}

// leave gives back one lease and returns how many are left.
func (e *Engine) leave() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.leases--
	return e.mu.leases
}

// retire makes a running engine draining; why is empty when the driver gave no
// reason.
func (e *Engine) retire(why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.state == Running {
		e.mu.state = Draining
	}
	if why != "" {
		e.mu.parting = why
	}
}

// retireUnused is retire for an engine without leases; false if it has some.
func (e *Engine) retireUnused(why string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.leases > 0 {
		return false
	}
	if e.mu.state == Running {
		e.mu.state = Draining
	}
	e.mu.parting, e.mu.leaving = why, true
	return true
}

// end closes Done; false when it was closed before.
func (e *Engine) end(err error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.state == Ended {
		return false
	}
	e.mu.state, e.mu.err = Ended, err
	close(e.done)
	e.over()
	return true
}

func (e *Engine) parting() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mu.parting
}
