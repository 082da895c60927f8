// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"roundhouse/engine/enginetest"
	connect "roundhouse/proto/gen/spark/connect"
)

// How long the driver waits for the gateway when it ends.
const (
	deregisterIdle  = 10 * time.Second
	deregisterAtEnd = 2 * time.Second
)

// ending is how a driver ends: an exit code, a word of the protocol and a
// sentence for people.
type ending struct {
	code int
	why  verdict
}

func failure(detail string) ending { return ending{exitFailure, verdict{"failed", detail}} }

// driver is one Spark driver with the plugin.
type driver struct {
	s     settings
	props map[string]string
	log   *sparkLog
	began time.Time

	engine    *enginetest.Engine
	registrar registration
	events    *events
	looks     chan struct{} // a look at the sessions is due
	ends      chan ending   // the first one counts
	stops     chan verdict  // the gateway wants it to stop
	draining  atomic.Pointer[verdict]
	stopping  atomic.Bool
	welcomed  chan struct{}             // closed at the first registration
	holds     chan holdWish             // the gateway wants it to wait for a session
	opened    atomic.Pointer[time.Time] // of the newest session since the last look
	settled   time.Time                 // of lookAfter: when no session comes any more
	work      sync.WaitGroup

	mu struct {
		sync.Mutex
		reasons map[sessionID]string // why sessions ended
	}
}

func newDriver(s settings, props map[string]string, log *sparkLog) *driver {
	d := &driver{
		s: s, props: props, log: log, began: time.Now(), events: newEvents(),
		looks: make(chan struct{}, 1), holds: make(chan holdWish), ends: make(chan ending, 1), stops: make(chan verdict, 1), welcomed: make(chan struct{}),
	}
	d.mu.reasons = make(map[sessionID]string)
	return d
}

// run is the life of the driver; the result is its exit code.
func (d *driver) run(ctx context.Context) int {
	d.log.info("SparkContext", "Running Spark version %s", sparkVersion)
	if d.s.fake.die > 0 {
		defer time.AfterFunc(d.s.fake.die, die).Stop()
	}
	if code, over := d.launchFaults(ctx); over {
		return code
	}
	k, err := takeKeys(d.s)
	if err != nil {
		return d.log.fatal("java.lang.IllegalStateException", err)
	}
	o := d.s.connect
	o.Token, o.OnSession, o.OnMessage = k.rpc, d.sessionChanged, d.s.fake.onMessage
	if d.engine, err = enginetest.New(o); err != nil {
		return d.log.fatal("java.io.IOException", err)
	}
	defer d.engine.Close()
	d.log.info("SparkConnectServer", "Spark Connect server started at: %s", d.engine.Addr())
	if !d.s.fake.register {
		<-ctx.Done()
		return exitSignal
	}
	return d.serve(ctx, k)
}

// launchFaults plays what goes wrong before the Connect service listens.
func (d *driver) launchFaults(ctx context.Context) (code int, over bool) {
	f := d.s.fake
	switch {
	case !wait(ctx, f.startDelay):
		return exitSignal, true
	case f.exitCode != 0:
		fmt.Fprintln(d.log.w, f.stderr)
		return f.exitCode, true
	case f.hang:
		<-ctx.Done()
		return exitSignal, true
	case time.Now().After(d.s.giveUpAt):
		d.log.warn("ConnectEngine", "The driver started later than the initialize timeout allows; it gives up.")
		return exitFailure, true
	}
	return 0, false
}

// serve registers and waits for the end.
func (d *driver) serve(ctx context.Context, k keys) int {
	control, err := newControl(k.control, d, d.events)
	if err != nil {
		return d.log.fatal("java.io.IOException", err)
	}
	relay, err := newRelay(d.s.relay, k, d.engine.Addr(), control.addr())
	if err != nil {
		d.log.warn("Relay", "The engine offers no relay: %v", err)
	}
	node := nodeName(d.s, k, ports{cmp.Or(d.s.fake.registered, d.engine.Addr()), cmp.Or(d.s.fake.control, control.addr()), relay}, d.about())
	if err := d.prepareRegistration(k, node); err != nil {
		control.close()
		relay.close()
		return d.log.fatal("java.lang.IllegalArgumentException", err)
	}

	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.work.Go(control.Serve)                    // Wait below
	d.work.Go(func() { relay.Run(life) })       // the same
	d.work.Go(func() { d.registrar.Run(life) }) // the same
	d.work.Go(func() { d.lookAfter(life) })     // the same
	d.work.Go(func() { d.runningFaults(life) }) // the same
	code := d.awaitEnd(ctx, life)
	stop()
	control.close()
	d.work.Wait()
	return code
}

func (d *driver) prepareRegistration(k keys, node string) (err error) {
	l := listener{registered: d.registered, deregistered: d.deregistered, ended: d.end}
	if d.s.zoo == nil {
		d.registrar = newRegistrar(newClient(d.s, k), node, d.s.giveUpAt, l)
		return nil
	}
	d.registrar, err = newZooRegistrar(d.s, k, node, l)
	return err
}

// awaitEnd waits for a signal, a wish of the gateway or a decision of the
// driver; life is the context of what still runs meanwhile.
func (d *driver) awaitEnd(ctx, life context.Context) int {
	select {
	case <-ctx.Done():
		d.log.info("SparkContext", "Invoking stop() from shutdown hook")
		why := verdict{"stopped", "The SparkContext was ended from outside: by a signal or the resource manager."}
		d.registrar.deregister(life, why, deregisterAtEnd)
		return exitSignal
	case v := <-d.stops:
		d.registrar.deregister(life, v, deregisterAtEnd)
		d.end(ending{exitOrderly, v})
	case e := <-d.ends:
		d.ends <- e // for below
	}
	e := <-d.ends
	d.log.info("ConnectEngine", "The engine ends: %s", e.why.detail)
	d.log.info("SparkContext", "Successfully stopped SparkContext")
	return e.code
}

// runningFaults plays what goes wrong after the registration.
func (d *driver) runningFaults(ctx context.Context) {
	select {
	case <-d.welcomed:
	case <-ctx.Done():
		return
	}
	f := d.s.fake
	switch {
	case f.dieRunning > 0 && wait(ctx, f.dieRunning):
		die()
	case f.exitRunning > 0 && wait(ctx, f.exitRunning):
		d.log.fatal("java.lang.OutOfMemoryError", errors.New("Java heap space"))
		d.end(failure("The driver ran out of memory."))
	}
}

// onMessage plays calls that are slow or never answered.
func (f fakery) onMessage(ctx context.Context, method string, _ proto.Message) error {
	switch {
	case f.muteInter && method == connect.SparkConnectService_Interrupt_FullMethodName:
		<-ctx.Done()
	case f.slowUpload > 0 && method == connect.SparkConnectService_AddArtifacts_FullMethodName:
		wait(ctx, f.slowUpload)
	}
	return ctx.Err()
}

// wait returns false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (d *driver) registered(w welcome) {
	at := d.s.gateway
	if d.s.zoo != nil {
		at = d.s.zoo.addresses
	}
	d.log.info("Engine", "Engine %s is registered at %s (warm-up: %v)", d.s.refID, at, w.WarmUp)
	close(d.welcomed)
}

// deregistered hears that the engine's node was deleted.
func (d *driver) deregistered() {
	d.startDraining(verdict{"deregistered", "The engine's registration was deleted: it serves its sessions and ends."})
	d.lookSoon()
}

// warmUp implements handler; there is nothing to warm up.
func (d *driver) warmUp(string) { d.log.info("WarmUp", "Warmed up in 0 ms") }

// end notes how the driver ends; only the first call counts.
func (d *driver) end(e ending) {
	if d.stopping.Swap(true) {
		return
	}
	d.events.add(event{Type: eventStopping, Reason: e.why.reason, Detail: e.why.detail})
	d.ends <- e
}

// drain implements handler.
func (d *driver) drain(reason string) {
	d.startDraining(verdict{"drained", sentence("The gateway drains the engine", reason)})
	d.lookSoon()
}

// stop implements handler: the answer goes out before the driver ends.
func (d *driver) stop(reason string) {
	select {
	case d.stops <- verdict{"stopped", sentence("The gateway stops the engine", reason)}:
	default: // it stops already
	}
}

func sentence(what, reason string) string {
	if reason == "" {
		return what + "."
	}
	return what + ": " + reason
}
