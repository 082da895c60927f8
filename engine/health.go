// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"roundhouse/engine/control"
)

// How long the two halves of Check may take; together under two seconds.
const (
	dialLimit   = 500 * time.Millisecond
	statusLimit = 1300 * time.Millisecond
)

// Check finds out within two seconds whether the engine lives; a dead one takes
// up to a second more where a resource manager is asked why, and gets no new
// session meanwhile. Dead is final:
// Done is closed then and the process is ended. Silent is no verdict: a driver
// in a long garbage collection looks like that. Unknown tells of the gateway
// alone, which is out of descriptors, ports or memory.
func (e *Engine) Check(ctx context.Context) Health {
	select {
	case <-e.done:
		return Dead
	case <-e.process.Done():
		e.failed(e, "its process has ended: "+e.process.Status())
		return Dead
	default:
	}
	health, why := e.probe(ctx)
	if health == Dead {
		e.failed(e, why)
	}
	return health
}

// probe looks at the Connect port, then at the control endpoint.
func (e *Engine) probe(ctx context.Context) (Health, string) {
	dialling, stop := context.WithTimeout(ctx, dialLimit)
	defer stop()
	conn, err := e.connect.dial(dialling, e.connect.Address)
	if errors.Is(err, syscall.ECONNREFUSED) && e.connect.TLS == nil { // what stands before a relay may refuse, too
		return Dead, fmt.Sprintf("nothing listens on its port %s any more", e.connect.Address)
	}
	if err != nil {
		return silentOr(err), ""
	}
	conn.Close()
	ctx, cancel := context.WithTimeout(ctx, statusLimit)
	defer cancel()
	status, err := e.control.Status(ctx)
	switch {
	case errors.Is(err, control.ErrUnauthorized):
		return Dead, fmt.Sprintf("another engine answers at %s", e.node.Attributes[attrControl])
	case err != nil:
		return silentOr(err), ""
	case status.RefID != e.refID:
		return Dead, fmt.Sprintf("engine %s answers at %s in its place", status.RefID, e.node.Attributes[attrControl])
	default:
		return Alive, ""
	}
}

// scarce are the errors of a call that fails for want of something on the
// gateway's own side.
var scarce = [...]error{
	syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EADDRNOTAVAIL, syscall.EAGAIN,
}

// silentOr is what a failed question says about an engine.
func silentOr(err error) Health {
	for _, own := range scarce {
		if errors.Is(err, own) {
			return Unknown
		}
	}
	return Silent
}
