// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"time"

	"roundhouse/engine"
	"roundhouse/internal/errs"
)

// deadlineMargin is left of a client's deadline to answer in, but no more than
// half of what there is.
const deadlineMargin = 5 * time.Second

// errRouted ends the waits for an engine that is there, because another gateway has
// found it.
var errRouted = errors.New("the session has its engine")

var errHoldOver = errors.New("the call was held for as long as it may be")

// holdContext bounds how long a call waits for the engine of s: to shortly
// before the client's deadline, to the hold time, and to the end of the session.
func (m *Manager) holdContext(ctx context.Context, s *Session) (context.Context, context.CancelFunc) {
	until := m.Now().Add(m.Hold)
	if d, ok := ctx.Deadline(); ok {
		margin := min(deadlineMargin, d.Sub(m.Now())/2)
		if d.Add(-margin).Before(until) {
			until = d.Add(-margin)
		}
	}
	timed, stopTimer := context.WithDeadlineCause(ctx, until, errHoldOver)
	held, cancel := context.WithCancelCause(timed)
	unhook := context.AfterFunc(s.life, func() { cancel(engine.ErrReleased) })
	stopWaiting := context.AfterFunc(s.unrouted, func() { cancel(errRouted) })
	return held, func() { stopWaiting(); unhook(); cancel(nil); stopTimer() }
}

// holdError is the answer to a call whose wait ended without an engine.
func (m *Manager) holdError(ctx context.Context, s *Session) error {
	if e := s.Ended(); e != nil {
		return e.Error(s.ID)
	}
	if !errors.Is(context.Cause(ctx), errHoldOver) {
		return context.Cause(ctx) // the client is gone
	}
	how, ok := m.Engines.Progress(s.Plan.Spec)
	if !ok {
		how = "its engine is being launched"
	}
	return errs.New(errs.EngineStarting, "Session %s still waits: %s. The client tries again by itself.", s.ID, how)
}

// acquireError is the answer to a call whose launch failed or whose wait ended.
// After a failed launch the session is forgotten: the next call starts afresh.
func (m *Manager) acquireError(ctx context.Context, s *Session, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), errHoldOver) && errs.Is(err, errs.EngineStarting):
		return err // it tells how the launch stands
	case ctx.Err() != nil:
		return m.holdError(ctx, s)
	}
	if !m.ours(s) {
		return err // the gateway that opens the session may have more luck
	}
	m.Failed()
	end := End{Cause: Forgotten, Why: "Its engine could not be launched.", Failure: err}
	if s.ahead {
		end.Cause = Lost // its id is known to somebody who has not come yet
	}
	m.End(s.Key, end)
	return err
}
