// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"roundhouse/conf"
	"roundhouse/internal/daemon"
	"roundhouse/internal/version"
	"roundhouse/server"
)

// The notes in the pid file: noteData and noteShared tell stop where the store is, status
// shows the others.
const (
	noteData    = "data"
	noteShared  = "shared" // the store is that of several gateways
	noteConnect = "connect"
	noteREST    = "rest"
	noteTrust   = "trust"
	noteLog     = "log"
	// noteCalls tells, while the gateway ends, how many calls are under way.
	noteCalls = "calls"
	// noteEngines tells what became of engines that were to end with the gateway: enginesEnd,
	// or why they go on.
	noteEngines = "engines"
)

// enginesEnd is noteEngines of those that were told to end.
const enginesEnd = "end"

// tellCalls is how often an ending gateway notes its calls.
const tellCalls = time.Second

// noFD is the value of --ready-fd when nobody waits.
const noFD = -1

func (a *app) runCommand() *cobra.Command {
	readyFD := noFD
	cmd := a.withVerbose(a.withConf(command("run", "Run the gateway in the foreground until SIGTERM or Ctrl-C",
		func(ctx context.Context) error { return a.serve(ctx, readyFD) })))
	cmd.Long = `Run the gateway in the foreground. SIGTERM or Ctrl-C ends it in an orderly way: it takes
no new clients, lets calls end for kyuubi.server.graceful.shutdown.timeout and cuts the others, whose
clients go on at another gateway. A second signal ends it at once. Engines go on and are found again at the next start; SIGUSR2
ends them, too, and cuts nothing off when it comes during an orderly end.`
	cmd.Flags().IntVar(&readyFD, "ready-fd", noFD, "file to report readiness on")
	if err := cmd.Flags().MarkHidden("ready-fd"); err != nil { // only fails for an unknown flag
		panic(err)
	}
	return cmd
}

// serve runs a gateway in this process. readyFD is the file of the parent that
// waits in start, or noFD.
func (a *app) serve(ctx context.Context, readyFD int) (err error) {
	if readyFD != noFD {
		daemon.KeepPrivate(readyFD)
	}
	ctx, asked, done := signals(ctx)
	defer done()
	c, err := a.settings()
	if err != nil {
		return err
	}
	files, err := a.files()
	if err != nil {
		return err
	}
	log := a.logger()
	_, earlier := daemon.Find(files.PID)
	pidFile, err := daemon.Hold(files.PID)
	if err != nil {
		return err
	}
	if earlier != nil && earlier != daemon.ErrNotRunning { // more to say than that there is none
		log.Warn("the gateway before this one did not end in an orderly way", "err", earlier)
	}
	defer func() { err = errors.Join(err, pidFile.Release()) }()
	if err := pidFile.Note(firstNotes(c)); err != nil {
		return err
	}
	a.remark(c)
	gateway, err := a.build(c, log)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	var enginesTold atomic.Bool
	// Waited for below, unless a second signal ends the whole process.
	go func() {
		told, err := gateway.Run(ctx, asked.engines)
		enginesTold.Store(told)
		ended <- err
	}()
	logPlace := ""
	if readyFD != noFD {
		logPlace = files.Log
	}
	err = a.attend(ctx, life{ready: gateway.Ready(), ended: ended, forced: asked.forced,
		announce: func() error {
			log.Info("gateway started", "version", version.Get(), "connect", gateway.ConnectAddr(), "rest", gateway.RESTAddr())
			return a.announce(c, gateway, pidFile, logPlace, readyFD)
		},
		tell: func() error { return pidFile.Put(noteCalls, strconv.Itoa(gateway.Calls())) },
	})
	log.Info("gateway stopped", "why", cmp.Or(err, context.Cause(ctx)))
	return endedWith(pidFile, enginesTold.Load(), err)
}

// firstNotes are those of a gateway that begins.
func firstNotes(c *conf.Conf) map[string]string {
	notes := map[string]string{noteData: conf.ServerDataDir.Get(c)}
	if c.Clustered() {
		notes[noteShared] = "true"
	}
	return notes
}

// endedWith notes what became of the engines, if they were to end with a gateway: told says
// that they were told to.
func endedWith(pidFile *daemon.PIDFile, told bool, err error) error {
	var goOn *server.EnginesGoOnError
	if errors.As(err, &goOn) {
		return &exitError{code: ExitEnginesGoOn, err: errors.Join(err, pidFile.Put(noteEngines, goOn.Error()))}
	}
	if told && err == nil {
		return pidFile.Put(noteEngines, enginesEnd)
	}
	return err
}

// life is what happens to a gateway that runs.
type life struct {
	ready, forced <-chan struct{}
	ended         <-chan error
	announce      func() error // once it is ready
	tell          func() error // now and then while it ends
}

// attend waits for the gateway to be ready, announces it, and waits for its end,
// which begins when ctx ends.
func (a *app) attend(ctx context.Context, l life) error {
	ending, tick := ctx.Done(), time.NewTicker(tellCalls)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-l.ready:
			l.ready = nil // announced once
			err = l.announce()
		case <-ending:
			ending = nil
			err = l.tell()
		case <-tick.C:
			if ending == nil {
				err = l.tell()
			}
		case err := <-l.ended:
			return err
		case <-l.forced:
			return errors.New("ended at once by a second signal; calls under way were cut off")
		}
		if err != nil {
			fmt.Fprintf(a.stderr, "Warning: %v\n", err)
		}
	}
}

// announce shows the banner, notes the addresses and tells a waiting parent.
func (a *app) announce(c *conf.Conf, g Gateway, pidFile *daemon.PIDFile, logPlace string, readyFD int) error {
	b := banner(c, g, logPlace, a.getenv)
	fmt.Fprint(a.stdout, b)
	notes := firstNotes(c)
	notes[noteConnect], notes[noteREST] = "sc://"+g.ConnectAddr(), restURL(c, g)
	if needed := trust(c); needed != "" {
		notes[noteTrust] = needed
	}
	if logPlace != "" {
		notes[noteLog] = logPlace
	}
	err := pidFile.Note(notes)
	if readyFD != noFD {
		err = errors.Join(err, daemon.Ready(readyFD))
	}
	return err
}

func (a *app) logger() *slog.Logger {
	return newLogger(a.stderr, a.verbose)
}

func newLogger(to io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: level}))
}
