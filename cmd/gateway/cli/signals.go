// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// withEngines is the signal that ends a gateway and its engines.
const withEngines = syscall.SIGUSR2

// requests are what the signals to a process have asked for.
type requests struct {
	// engines is closed by withEngines, also when a stop is under way.
	engines chan struct{}
	// forced is closed by a SIGTERM or SIGINT when a stop is under way.
	forced chan struct{}
}

// signals returns a context that the first SIGTERM, SIGINT or withEngines ends,
// and what else they ask for. done gives the signals back and waits.
func signals(parent context.Context) (ctx context.Context, asked requests, done func()) {
	ctx, cancel := context.WithCancelCause(parent)
	arrived := make(chan os.Signal, 4)
	signal.Notify(arrived, syscall.SIGTERM, syscall.SIGINT, withEngines)
	asked = requests{engines: make(chan struct{}), forced: make(chan struct{})}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() { // done waits for it
		defer close(ended)
		asked.listen(arrived, over, cancel)
	}()
	return ctx, asked, func() {
		signal.Stop(arrived)
		close(over)
		<-ended
		cancel(nil)
	}
}

// listen takes signals until the second one that is not withEngines, or over.
func (r requests) listen(arrived <-chan os.Signal, over <-chan struct{}, cancel context.CancelCauseFunc) {
	stopping, engines := false, false
	for {
		select {
		case s := <-arrived:
			switch {
			case s == withEngines && !engines:
				engines = true
				close(r.engines) // before cancel, so that who sees the end sees it, too
			case s != withEngines && stopping:
				close(r.forced)
				return
			}
			stopping = true
			cancel(fmt.Errorf("stopped by %v", s))
		case <-over:
			return
		}
	}
}
