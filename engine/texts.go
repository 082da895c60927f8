// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"roundhouse/discovery"
	"roundhouse/internal/errs"
)

// asLaunchError makes an error of the launcher one for the client.
func asLaunchError(l *launch, err error) error {
	var known *errs.Error
	if errors.As(err, &known) {
		return err
	}
	if errs.Shortage(err) != "" {
		return errs.Fault(err, "Engine %s of %s was not started: %v.", l.refID, l.spec.LaunchUser, err)
	}
	return errs.Wrap(errs.EngineLaunchFailed, err, "Engine %s of %s was not started: %v", l.refID, l.spec.LaunchUser, err)
}

// storeFault is the error of what could not be done without the store.
func (m *Manager) storeFault(cause error, format string, args ...any) error {
	if m.shared() && (errors.Is(cause, discovery.ErrAway) || errors.Is(cause, context.DeadlineExceeded)) {
		return errs.Wrap(errs.StoreAway, cause, "%s ZooKeeper cannot be reached. Try again in a minute.", fmt.Sprintf(format, args...))
	}
	return errs.Fault(cause, format, args...)
}

// cancelled is the outcome of a launch that ended in the queue.
func (m *Manager) cancelled(l *launch, cause error) error {
	if errors.Is(cause, errClosing) {
		return errs.New(errs.ShuttingDown, "The gateway is shutting down while engine %s waits for its start. Try again.", l.refID)
	}
	return cause
}

// diedError says why the process of a launch ended, in the words of its log.
func (m *Manager) diedError(l *launch, process Process) error {
	hide := m.masker(l.refID)
	if app, ok := look(m.life, l.look, ""); ok && app.Forced {
		return takenError(l, app)
	}
	reason := m.opts.Files.Reason(l.workDir, hide)
	return errs.New(errs.EngineLaunchFailed, "Engine %s of %s did not start: spark-submit ended after %s (%s) before the engine registered. %s\n"+
		"The whole log is %s on the gateway's machine. Correct what it names (options of the session, Spark's configuration), then connect again.",
		l.refID, l.spec.LaunchUser, seconds(time.Since(l.submitted)), process.Status(), because(reason), logPath(l.workDir))
}

// timeoutError says how far a launch came that took too long.
func (m *Manager) timeoutError(l *launch) error {
	lines := m.opts.Files.Tail(l.workDir, timeoutLines, m.masker(l.refID))
	return errs.New(errs.EngineLaunchTimeout, "Engine %s of %s did not register within %s (kyuubi.session.engine.initialize.timeout) and was stopped%s. %s\n"+
		"The whole log is %s on the gateway's machine. If the machine is merely slow, raise the timeout; then connect again.",
		l.refID, l.spec.LaunchUser, seconds(m.opts.InitializeTimeout), m.waiting(l), lastLines(lines), logPath(l.workDir))
}

const timeoutLines = 10

func because(reason string) string {
	if reason == "" {
		return "Its log is empty."
	}
	return "Its log says:\n" + reason
}

func lastLines(lines []string) string {
	if len(lines) == 0 {
		return "Its log is empty."
	}
	return "The last lines of its log:\n" + strings.Join(lines, "\n")
}

func logPath(workDir string) string { return filepath.Join(workDir, LogFile) }

func seconds(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// died says why an engine's process is gone, without the final dot.
func (e *Engine) died() error {
	if parting := e.parting(); parting != "" && !strings.HasPrefix(e.process.Status(), "killed") {
		return fmt.Errorf("engine %s of %s stopped: %s", e.refID, e.spec.LaunchUser, parting)
	}
	return fmt.Errorf("engine %s of %s (application %s, pid %d) ended unexpectedly: %s; its log is %s on the gateway's machine",
		e.refID, e.spec.LaunchUser, e.AppID(), e.process.Identity().PID, e.process.Status(), logPath(e.workDir))
}

// story is one sentence, without the final dot, on a launch under way.
func (m *Manager) story(l *launch) string {
	who := fmt.Sprintf("engine %s of %s", l.refID, l.spec.LaunchUser)
	m.mu.Lock()
	submitted, ticket, other := l.submitted, l.ticket, l.other
	m.mu.Unlock()
	if ticket != nil {
		if position := m.queue.position(ticket); position > 0 {
			return fmt.Sprintf("%s waits in the launch queue of the gateway, number %d in line", who, position)
		}
	}
	if other != "" {
		return fmt.Sprintf("engine %s of %s is being started by another gateway", other, l.spec.LaunchUser)
	}
	if submitted.IsZero() {
		return who + " is about to be started"
	}
	story := fmt.Sprintf("%s has been starting for %s%s", who, seconds(time.Since(submitted)), m.waiting(l))
	lines := m.opts.Files.Tail(l.workDir, 1, m.masker(l.refID))
	if len(lines) > 0 {
		story += fmt.Sprintf("; the last line of its log: %q", lines[len(lines)-1])
	}
	return story
}

// Progress says in one sentence how the launch that Acquire(spec) would join
// stands; false if there is none.
func (m *Manager) Progress(spec Spec) (string, bool) {
	m.mu.Lock()
	l := m.mu.launches[spec.spaceKey()]
	m.mu.Unlock()
	if l == nil {
		return "", false
	}
	return m.story(l), true
}
