// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"roundhouse/internal/errs"
)

const (
	lookInterval = 2 * time.Second // between looks at an application
	lookLimit    = time.Second     // of one look
)

// ErrNoApplication says that the resource manager does not know the application
// of an engine: it has not got there yet, or was forgotten.
var ErrNoApplication = errors.New("engine: the resource manager knows no such application")

// Application is what a resource manager says of the application of an engine.
type Application struct {
	ID string
	// State is the resource manager's own word, such as RUNNING.
	State string
	// Manager is the resource manager, such as spark://host:7077.
	Manager string
	// Waiting says what a waiting application waits for, a clause; "" when it
	// has what an engine needs.
	Waiting string
	// Over is true when the resource manager has ended it or let it end.
	Over bool
	// Forced is true when it did not end in good order.
	Forced bool
}

// Look asks the resource manager about the application of one engine: the one
// with the id that the driver registered, or, while that is "", the one with
// the ref id in its name. ErrNoApplication: it knows none; other errors: it
// cannot be asked. Safe for concurrent use.
type Look func(ctx context.Context, appID string) (Application, error)

// ended says that the resource manager took the application away, a clause.
func (a Application) ended() string {
	return fmt.Sprintf("its application %s was ended by %s, where it is %s now", a.ID, a.Manager, a.State)
}

// look asks once, within lookLimit; false when there is nothing to tell. appID
// is "" before the registration.
func look(ctx context.Context, ask Look, appID string) (Application, bool) {
	if ask == nil {
		return Application{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	app, err := ask(ctx, appID)
	return app, err == nil
}

// followApplication tells take of each look until it returns false, stop is
// closed, or the manager ends. Only the first failure in a row is logged. appID
// is "" before the registration.
func (m *Manager) followApplication(refID, appID string, ask Look, stop <-chan struct{}, take func(Application) bool) {
	if ask == nil {
		return
	}
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	failing := false
	for {
		ctx, cancel := context.WithTimeout(m.life, lookLimit)
		app, err := ask(ctx, appID)
		cancel()
		unknown := errors.Is(err, ErrNoApplication)
		if err != nil && !unknown && !failing {
			m.opts.Log.Warn("the resource manager of an engine cannot be asked about it; the engine itself is not concerned", "engine", refID, "err", err)
		}
		failing = err != nil && !unknown
		if err == nil && !take(app) {
			return
		}
		select {
		case <-tick.C:
		case <-stop:
			return
		case <-m.life.Done():
			return
		}
	}
}

// followLaunch notes where the application of l stands, and fails the launch
// when the resource manager ended it.
func (m *Manager) followLaunch(l *launch) {
	m.followApplication(l.refID, "", l.look, l.done, func(app Application) bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		l.app = app
		if app.Over && app.Forced {
			m.settleLocked(l, nil, takenError(l, app))
		}
		return !app.Over
	})
}

// takenError is for the waiters of a launch whose application was ended.
func takenError(l *launch, app Application) error {
	return errs.New(errs.EngineLaunchFailed, "Engine %s of %s did not start: %s. Ask who looks after that cluster, or connect again. "+
		"The log of the engine is %s on the gateway's machine.", l.refID, l.spec.LaunchUser, app.ended(), logPath(l.workDir))
}

// followEngine notes where the application of e stands, and stops a driver
// whose application the resource manager ended.
func (m *Manager) followEngine(e *Engine) {
	m.followApplication(e.refID, e.AppID(), e.look, e.done, func(app Application) bool {
		e.mu.Lock()
		e.mu.app = app
		e.mu.Unlock()
		if !app.Over || e.parting() != "" && !app.Forced {
			return !app.Over // what stops by itself needs no help
		}
		m.end(e, fmt.Errorf("engine %s of %s has ended: %s", e.refID, e.spec.LaunchUser, app.ended()))
		m.background(func() { m.terminate(e, false, app.ended()) })
		return false
	})
}

// whyEnded is the resource manager's reason for the end of e if it ended it by
// force, else otherwise. Meanwhile e gets no new session.
func (m *Manager) whyEnded(e *Engine, otherwise error) error {
	select {
	case <-e.done:
		return otherwise // the reason is known already
	default:
	}
	m.leaving(e, "")
	app, ok := look(m.life, e.look, e.AppID())
	if !ok || !app.Forced {
		return otherwise
	}
	return fmt.Errorf("engine %s of %s has ended: %s", e.refID, e.spec.LaunchUser, app.ended())
}

// wait says why an engine is not taken into service yet: an application
// without resources could only let its sessions hang. nil means come in.
func (m *Manager) wait(ctx context.Context, l *launch, appID string) error {
	app, ok := look(ctx, l.look, appID)
	if !ok || app.Waiting == "" {
		return nil
	}
	m.mu.Lock()
	l.app = app
	m.mu.Unlock()
	return errs.New(errs.EngineStarting, "Engine %s of %s waits for its application: %s.", l.refID, l.spec.LaunchUser, app.Waiting)
}

// waiting is what the application of l waits for, a clause to add to a
// sentence, else "".
func (m *Manager) waiting(l *launch) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.app.Waiting == "" {
		return ""
	}
	return ", " + l.app.Waiting
}
