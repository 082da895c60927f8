// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/engine"
	"roundhouse/internal/errs"
	"roundhouse/session"
)

// An engine that does not answer silences checks in a row, one each silence,
// counts as dead.
const (
	silences = 3
	silence  = 2 * time.Second
)

// failer translates errors of the engine hop. What the engine itself says
// passes unchanged, except that it does not know the session any more.
func (d *Director) failer(s *session.Session, e session.Engine, r rule) func(context.Context, error) error {
	return func(ctx context.Context, err error) error {
		return errs.Status(d.translate(ctx, s, e, r, err)).Err()
	}
}

func (d *Director) translate(ctx context.Context, s *session.Session, e session.Engine, r rule, err error) error {
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err() // the client left or its deadline passed
	}
	code := status.Code(err)
	switch {
	case code == codes.DeadlineExceeded && r.timeout > 0:
		return errs.New(errs.EngineTimeout, "Engine %s did not answer within %v.", e.RefID(), r.timeout)
	case code == codes.Unavailable, code == codes.Canceled, code == codes.Unauthenticated: // the last: another server has its port
		return d.diagnose(ctx, s, e, errs.New(errs.EngineUnreachable,
			"The connection to engine %s broke; the engine is alive. The client tries again by itself.", e.RefID()))
	case code == codes.Internal || code == codes.Unknown:
		return d.engineError(ctx, s, e, err)
	}
	return err
}

// engineError handles INTERNAL and UNKNOWN: Spark's own errors carry details,
// the transport's do not.
func (d *Director) engineError(ctx context.Context, s *session.Session, e session.Engine, err error) error {
	class, detailed := sparkErrorClass(err)
	if !detailed {
		return d.diagnose(ctx, s, e, err)
	}
	gone := class == "INVALID_HANDLE.SESSION_CLOSED" || class == "INVALID_HANDLE.SESSION_NOT_FOUND"
	if !gone || !s.Confirmed() {
		return err
	}
	end := session.End{Cause: session.Lost, Why: fmt.Sprintf("Engine %s closed the session, most likely because it was idle.", e.RefID()), Guess: true}
	if cause, under := s.Released(); under {
		end = session.End{Cause: cause, Why: "The client released it."}
	}
	d.Sessions.End(s.Key, end)
	return endError(s, end)
}

// diagnose finds out what broke. alive is the answer when it was not the engine.
func (d *Director) diagnose(ctx context.Context, s *session.Session, e session.Engine, alive error) error {
	for range silences {
		over := time.After(silence)
		switch e.Check(ctx) {
		case engine.Alive:
			return alive
		case engine.Dead:
			return d.lost(s, e, fmt.Sprintf("Engine %s died.", e.RefID()))
		case engine.Unknown:
			return errs.New(errs.EngineUnreachable, "The gateway lacks descriptors, ports or memory to reach engine %s, which may be well. "+
				"The client tries again by itself.", e.RefID())
		}
		select {
		case <-e.Done(): // a killed process is noticed a moment after its connections broke
			return d.lost(s, e, fmt.Sprintf("Engine %s died.", e.RefID()))
		case <-over:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
	return d.lost(s, e, fmt.Sprintf("Engine %s does not answer any more.", e.RefID()))
}

// lost ends s and its engine, and is what the client gets.
func (d *Director) lost(s *session.Session, e session.Engine, why string) error {
	select {
	case <-e.Done(): // it ends already, maybe gently
	default:
		d.Discard(e.RefID(), why)
	}
	if err := e.Err(); err != nil {
		why = strings.TrimRight(err.Error(), ".") + "."
	}
	end := session.End{Cause: session.Lost, Why: why, Guess: true}
	d.Sessions.End(s.Key, end)
	return endError(s, end)
}

// endError prefers how the session really ended: somebody may have been faster.
func endError(s *session.Session, otherwise session.End) error {
	if end := s.Ended(); end != nil {
		return end.Error(s.ID)
	}
	return otherwise.Error(s.ID)
}

// sparkErrorClass reads the error class out of a status as Spark sends it.
func sparkErrorClass(err error) (class string, detailed bool) {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			if class := info.GetMetadata()["errorClass"]; class != "" {
				return class, true
			}
			return classInText(status.Convert(err).Message()), true
		}
	}
	return "", false
}

// classInText is the class in "[CLASS.SUB] text".
func classInText(msg string) string {
	class, _, ok := strings.Cut(strings.TrimPrefix(msg, "["), "]")
	if !ok {
		return ""
	}
	return class
}
