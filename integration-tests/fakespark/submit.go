// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Exit codes of the driver.
const (
	exitOrderly  = 0
	exitFailure  = 1
	exitSignal   = 143 // what a JVM returns after SIGTERM
	sparkVersion = "4.3.0"
)

// run is spark-submit from its arguments to its exit code. It ends with ctx, a
// signal, or when the driver decides so.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	log := &sparkLog{w: stderr}
	if len(args) == 1 && args[0] == "--version" {
		fmt.Fprintf(stderr, "Welcome to\n   version %s (fake)\n", sparkVersion)
		return exitOrderly
	}
	file, err := propertiesFile(args)
	if err != nil {
		return log.fatal("java.lang.IllegalArgumentException", err)
	}
	props, err := readProperties(file)
	if err != nil {
		return log.fatal("java.lang.IllegalArgumentException", err)
	}
	s, err := readSettings(props, time.Now())
	if err != nil {
		return log.fatal("java.lang.IllegalArgumentException", err)
	}
	if dir := props["spark.fake.record"]; dir != "" {
		r, err := newRecorder(dir, s.refID, args, props)
		if err != nil {
			return log.fatal("java.io.IOException", err)
		}
		s.connect.Server = r.options()
	}
	ctx, stop := signals(ctx, s.fake.ignoreTerm)
	defer stop()
	return newDriver(s, props, log).run(ctx)
}

// signals ends the context on SIGTERM and SIGINT, or ignores them.
func signals(ctx context.Context, ignore bool) (context.Context, context.CancelFunc) {
	if ignore {
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
		return context.WithCancel(ctx)
	}
	return signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
}

// propertiesFile takes --properties-file from an argument vector of the
// gateway's constant shape; any other shape is an error, so that tests notice.
func propertiesFile(args []string) (string, error) {
	if len(args) != 5 || args[0] != "--properties-file" || args[2] != "--class" {
		return "", fmt.Errorf("expected --properties-file FILE --class CLASS JAR, got %d arguments: %q", len(args), args)
	}
	if args[3] != "org.roundhouse.engine.ConnectEngine" {
		return "", fmt.Errorf("the main class is %s, not that of the engine plugin", args[3])
	}
	return args[1], nil
}

// sparkLog writes lines as Spark's log4j does, and errors as the JVM does.
type sparkLog struct{ w io.Writer }

func (l *sparkLog) info(class, format string, args ...any) { l.line("INFO", class, format, args...) }
func (l *sparkLog) warn(class, format string, args ...any) { l.line("WARN", class, format, args...) }

func (l *sparkLog) line(level, class, format string, args ...any) {
	fmt.Fprintf(l.w, "%s %s %s: %s\n", time.Now().Format("06/01/02 15:04:05"), level, class, fmt.Sprintf(format, args...))
}

// fatal prints an uncaught exception and returns the exit code.
func (l *sparkLog) fatal(exception string, err error) int {
	fmt.Fprintf(l.w, "Exception in thread \"main\" %s: %s\n\tat org.roundhouse.engine.ConnectEngine.main(ConnectEngine.java:1)\n", exception, err)
	return exitFailure
}

// die ends the process as kill -9 would: nothing is closed, nobody is told.
func die() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }
