// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"roundhouse/server"
)

// withEngines is the signal that ends a gateway and its engines.
const withEngines = syscall.SIGUSR2

// signals returns a context that the first SIGTERM, SIGINT or withEngines ends,
// and a channel that the second one closes. done gives the signals back and waits.
func signals(parent context.Context) (ctx context.Context, forced <-chan struct{}, done func()) {
	ctx, cancel := context.WithCancelCause(parent)
	arrived := make(chan os.Signal, 2)
	signal.Notify(arrived, syscall.SIGTERM, syscall.SIGINT, withEngines)
	second, over, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() { // done waits for it
		defer close(ended)
		select {
		case s := <-arrived:
			cancel(causeOf(s))
		case <-over:
			return
		}
		select {
		case <-arrived:
			close(second)
		case <-over:
		}
	}()
	return ctx, second, func() {
		signal.Stop(arrived)
		close(over)
		<-ended
		cancel(nil)
	}
}

func causeOf(s os.Signal) error {
	if s == withEngines {
		return server.ErrStopEngines
	}
	return fmt.Errorf("stopped by %v", s)
}
