// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line of the gateway. It never exits by itself and
// writes only to the writers that it is given; Run returns the exit code.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"roundhouse/conf"
	"roundhouse/internal/version"
	"roundhouse/server"
)

// The exit codes, the same for all commands.
const (
	// ExitOK: done, or running.
	ExitOK = 0
	// ExitFailure: the command did not do what it is for.
	ExitFailure = 1
	// ExitUsage: the command line is wrong.
	ExitUsage = 2
	// ExitNotRunning: status found no gateway (the code of LSB init scripts).
	ExitNotRunning = 3
	// ExitEnginesGoOn: stop --engines has ended the gateway, and others serve its engines.
	ExitEnginesGoOn = 4
)

// Gateway is the server as the command line runs it.
type Gateway interface {
	// Run serves until ctx ends, then ends in an orderly way, and its engines,
	// too, if withEngines is closed by then: enginesTold says that they were told to end, a
	// *server.EnginesGoOnError that they go on.
	Run(ctx context.Context, withEngines <-chan struct{}) (enginesTold bool, err error)
	// Ready is closed once clients are served.
	Ready() <-chan struct{}
	// ConnectAddr is the host:port for Spark Connect clients, valid once ready.
	ConnectAddr() string
	// RESTAddr is the host:port of the REST API, valid once ready.
	RESTAddr() string
	// Calls is how many calls of clients are under way.
	Calls() int
}

// newGateway builds a Gateway from a valid configuration.
type newGateway func(c *conf.Conf, log *slog.Logger) (Gateway, error)

// app is one run of the command line.
type app struct {
	build  newGateway
	stdin  *os.File
	check  func(*conf.Conf) error
	left   func(dataDir string) (engines []string, err error)
	stdout io.Writer
	stderr io.Writer
	getenv func(string) string

	overrides []string // --conf
	verbose   bool
}

// Run does what the command line asks and returns the exit code.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return run(ctx, &app{build: serverGateway, check: server.Check, stdin: os.Stdin, left: server.Remaining, stdout: stdout, stderr: stderr, getenv: os.Getenv}, args)
}

func run(ctx context.Context, a *app, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitOK
	}
	if cmd.Annotations[forShell] != "" && !isTerminal(a.stdout) {
		a.say("unset SPARK_REMOTE; false")
	}
	var exit *exitError
	if !errors.As(err, &exit) { // only cobra's own errors carry no code
		exit = &exitError{code: ExitUsage, err: fmt.Errorf("%w; see gateway help", err)}
	}
	if exit.err != nil {
		fmt.Fprintf(a.stderr, "gateway: %s\n", printable(exit.err.Error()))
	}
	return exit.code
}

// forShell annotates commands that print lines for the eval of a shell. Where they
// fail, what they print makes the eval fail, and no program goes on with an old line.
const forShell = "for-shell"

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// exitError is an error with an exit code; err is nil when everything has been
// said already.
type exitError struct {
	code int
	err  error
}

// Error is the text for people.
func (e *exitError) Error() string { return fmt.Sprint(e.err) }

// Unwrap returns the error itself.
func (e *exitError) Unwrap() error { return e.err }

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "gateway",
		Short: "Roundhouse, a Kyuubi-compatible gateway for Spark Connect",
		Long: `Roundhouse gives every Spark Connect client its own Spark: it finds or launches
the right engine and forwards the session to it.

Settings are read from kyuubi-defaults.conf in $KYUUBI_CONF_DIR, else in the
folder conf of $GATEWAY_HOME or $KYUUBI_HOME; --conf key=value wins over the file.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.AddCommand(a.runCommand(), a.startCommand(), a.stopCommand(), a.restartCommand(),
		a.statusCommand(), a.versionCommand(), a.validateCommand(), a.certificatesCommand(), a.tokenCommand(), a.loginCommand(), a.userCommand(), a.explainCommand(), a.enginesCommand(), a.serversCommand())
	return root
}

// command makes a command whose errors mean failure unless they say otherwise.
func command(use, short string, do func(context.Context) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return failed(do(cmd.Context()))
		},
	}
}

// failed is an error that means failure unless it says otherwise.
func failed(err error) error {
	var exit *exitError
	if err == nil || errors.As(err, &exit) {
		return err
	}
	return &exitError{code: ExitFailure, err: explain(err)}
}

// withConf adds the flags of commands that read the configuration.
func (a *app) withConf(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringArrayVar(&a.overrides, "conf", nil, "a setting as key=value, may be repeated")
	return cmd
}

// withVerbose adds the flag of commands that run a gateway.
func (a *app) withVerbose(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVarP(&a.verbose, "verbose", "v", false, "log for debugging too")
	return cmd
}

func (a *app) versionCommand() *cobra.Command {
	return command("version", "Print the version of this program", func(context.Context) error {
		fmt.Fprintf(a.stdout, "Roundhouse gateway %s\n", version.Get())
		return nil
	})
}

// say writes a line for people.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.stdout, format+"\n", args...)
}
