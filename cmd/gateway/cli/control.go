// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"roundhouse/internal/daemon"
)

const (
	// startTimeout is how long a gateway may take until it serves.
	startTimeout = 2 * time.Minute
	// stopTimeout is how long stop waits for an orderly end.
	stopTimeout = 10 * time.Minute
)

// startFlags and stopFlags are what the control commands are asked for.
type (
	startFlags struct{ timeout time.Duration }
	stopFlags  struct {
		now     bool
		engines bool
		timeout time.Duration
	}
)

func (a *app) startCommand() *cobra.Command {
	var f startFlags
	cmd := a.withVerbose(a.withConf(command("start", "Start the gateway in the background and wait until it serves",
		func(ctx context.Context) error { return a.start(ctx, f) })))
	cmd.Flags().DurationVar(&f.timeout, "timeout", startTimeout, "how long it may take until it serves")
	return cmd
}

func (a *app) stopCommand() *cobra.Command {
	var f stopFlags
	cmd := command("stop", "Stop the gateway and wait until it is gone; engines go on",
		func(ctx context.Context) error { return a.stop(ctx, f) })
	cmd.Long = `Stop the gateway and wait until it is gone. It takes no new clients and lets calls under way
end, for kyuubi.server.graceful.shutdown.timeout at most; their clients go on at another gateway, or at
this one once it is back. Engines and sessions go on. With --engines they end, too, unless other
gateways serve them: then the exit code is 4.`
	f.define(cmd, "timeout")
	cmd.Flags().BoolVar(&f.engines, "engines", false, "stop the engines too; their sessions end")
	cmd.MarkFlagsMutuallyExclusive("now", "engines")
	return cmd
}

func (a *app) restartCommand() *cobra.Command {
	var start startFlags
	var stop stopFlags
	cmd := a.withVerbose(a.withConf(command("restart", "Stop the gateway if it runs, then start it",
		func(ctx context.Context) error {
			if _, err := a.settings(); err != nil {
				return fmt.Errorf("nothing was stopped, because the gateway could not start again: %w", err)
			}
			if err := a.stop(ctx, stop); err != nil {
				return err
			}
			return a.start(ctx, start)
		})))
	cmd.Long = `Stop the gateway if it runs, then start it, with the --conf settings of this
command: those of the earlier start are not remembered.`
	stop.define(cmd, "stop-timeout")
	cmd.Flags().DurationVar(&start.timeout, "timeout", startTimeout, "how long it may take until it serves")
	return cmd
}

func (f *stopFlags) define(cmd *cobra.Command, timeoutName string) {
	cmd.Flags().BoolVar(&f.now, "now", false, "cut off what is under way instead of letting it finish")
	cmd.Flags().DurationVar(&f.timeout, timeoutName, stopTimeout, "how long an orderly end may take")
}

func (a *app) start(parent context.Context, f startFlags) error {
	ctx, _, done := signals(parent)
	defer done()
	c, err := a.settings()
	if err != nil { // said here, not only in the log
		return err
	}
	files, err := a.files()
	if err != nil {
		return err
	}
	a.remark(c)
	if p, err := daemon.Find(files.PID); err == nil {
		return &daemon.RunningError{Path: files.PID, PID: p.PID}
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	home, err := a.home()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("it did not serve within %v", f.timeout))
	defer cancel()
	if _, err := daemon.Start(ctx, daemon.StartOptions{Program: program, Args: a.childArgs(), Dir: home, Files: files}); err != nil {
		return fmt.Errorf("the gateway did not start. %w", err)
	}
	if s := sparkHome(c, a.getenv); s.version == "" {
		fmt.Fprintf(a.stderr, "Warning: Spark: %v.\n", s)
	}
	return a.status(parent)
}

// childArgs is the command line of the gateway in the background.
func (a *app) childArgs() []string {
	args := []string{"run", fmt.Sprintf("--ready-fd=%d", daemon.ReadyFD)}
	if a.verbose {
		args = append(args, "--verbose")
	}
	for _, setting := range a.overrides {
		args = append(args, "--conf", setting)
	}
	return args
}

// stop is content when there is nothing to stop.
func (a *app) stop(parent context.Context, f stopFlags) error {
	ctx, _, done := signals(parent)
	defer done()
	files, err := a.files()
	if err != nil {
		return err
	}
	p, err := daemon.Find(files.PID)
	if errors.Is(err, daemon.ErrNotRunning) {
		if others := elsewhere(files.PID); others != "" {
			return fmt.Errorf("%s has no gateway that runs, but %s: stop it as its own user", daemon.UserName(), others)
		}
		a.say("The gateway is not running.")
		if f.engines {
			a.say("Engines that an earlier one left are found by the next: start it, then stop it with --engines.")
		}
		return nil
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("it did not end within %v", f.timeout))
	defer cancel()
	a.say("Stopping the gateway (pid %d).", p.PID)
	o := daemon.StopOptions{Now: f.now, Progress: func() { a.sayCalls(files.PID) }}
	if f.engines {
		return a.stopWithEngines(ctx, p, o, files.PID)
	}
	return a.stopProcess(ctx, p, o)
}

func (a *app) stopProcess(ctx context.Context, p daemon.Process, o daemon.StopOptions) error {
	if err := daemon.Stop(ctx, p, o); err != nil {
		return fmt.Errorf("the gateway is not stopped yet, `gateway stop --now` ends it at once: %w", err)
	}
	a.say("The gateway has stopped.")
	return nil
}

// stopWithEngines tells also whether the engines have ended.
func (a *app) stopWithEngines(ctx context.Context, p daemon.Process, o daemon.StopOptions, pidFile string) error {
	last, err := daemon.Keep(pidFile)
	if err != nil {
		return err
	}
	defer last.Close()
	o.Signal = withEngines
	if err := a.stopProcess(ctx, p, o); err != nil {
		return err
	}
	if p.Notes[noteShared] == "" {
		return a.remaining(p.Notes[noteData])
	}
	notes, err := last.Notes(p)
	switch outcome := notes[noteEngines]; outcome {
	case "":
		return errors.Join(errors.New("whether its engines go on cannot be told: `gateway engines` of another gateway lists them"), err)
	case enginesEnd:
		a.say("No other gateway serves its engines, so they were told to end. The log of the gateway names those that did not.")
		return nil
	default:
		return &exitError{code: ExitEnginesGoOn, err: errors.New(outcome)}
	}
}

// sayCalls tells what a gateway that ends waits for.
func (a *app) sayCalls(pidFile string) {
	p, err := daemon.Find(pidFile)
	switch calls := p.Notes[noteCalls]; {
	case err != nil: // it has just ended
	case calls == "" || calls == "0":
		a.say("It is ending.")
	case calls == "1":
		a.say("It waits for 1 call of a client to end (`gateway stop --now` does not).")
	default:
		a.say("It waits for %s calls of clients to end (`gateway stop --now` does not).", printable(calls))
	}
}

// remaining is an error about the engines that still run after a gateway, which
// had its store in dir, was stopped with them.
func (a *app) remaining(dir string) error {
	if dir == "" { // it had just begun
		return nil
	}
	left, err := a.left(dir)
	switch {
	case err != nil:
		return fmt.Errorf("whether engines still run cannot be told: %w", err)
	case len(left) > 0:
		return fmt.Errorf("engines still run: %s; start the gateway and stop it with --engines again, or end these processes", strings.Join(left, ", "))
	}
	return nil
}

// elsewhere tells of gateways that other users run from the same folder; "" if
// there is none.
func elsewhere(pidFile string) string {
	others := daemon.Others(pidFile)
	var words []string
	for _, file := range slices.Sorted(maps.Keys(others)) {
		words = append(words, fmt.Sprintf("another one runs (pid %d, pid file %s)", others[file].PID, file))
	}
	return strings.Join(words, ", ")
}

func (a *app) statusCommand() *cobra.Command {
	cmd := command("status", "Tell whether the gateway runs, and where", a.status)
	cmd.Long = "Tell whether the gateway runs, and where. The exit code is 0 when it runs and 3 when not."
	return cmd
}

func (a *app) status(context.Context) error {
	files, err := a.files()
	if err != nil {
		return err
	}
	p, err := daemon.Find(files.PID)
	if errors.Is(err, daemon.ErrNotRunning) {
		a.say("The gateway is %v.", err)
		if others := elsewhere(files.PID); others != "" {
			a.say("That is the one of %s; but %s.", daemon.UserName(), others)
		}
		return &exitError{code: ExitNotRunning}
	}
	if err != nil {
		return err
	}
	a.say("The gateway is running (pid %d, for %v).", p.PID, time.Since(p.Started).Round(time.Second))
	for _, row := range [][2]string{
		{"Spark Connect", p.Notes[noteConnect]},
		{"Clients need", p.Notes[noteTrust]},
		{"REST, metrics", p.Notes[noteREST]},
		{"Log", p.Notes[noteLog]},
	} {
		if row[1] != "" {
			a.say("  %-13s  %s", row[0], row[1])
		}
	}
	switch {
	case p.Notes[noteCalls] != "":
		a.sayCalls(files.PID)
	case p.Notes[noteConnect] == "":
		a.say("  It does not serve yet.")
	}
	return nil
}
