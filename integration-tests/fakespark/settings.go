// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"roundhouse/engine/enginetest"
)

// settings are what the gateway wrote for the plugin, and the faults to play.
// A timeout of zero or less means never.
type settings struct {
	refID, path, keyFile, gateway string
	zoo                           *zooSettings   // nil: registers at the gateway
	relay                         *relaySettings // nil: only with ZooKeeper
	config                        string         // fingerprint of the configuration

	sessionIdle, engineIdle  time.Duration
	initialWait, maxLifetime time.Duration
	checkInterval            time.Duration
	giveUpAt                 time.Time // when a driver that is not registered ends
	connect                  enginetest.Options
	fake                     fakery
}

// fakery are the spark.fake.* properties: what goes wrong, and when. Times are
// in milliseconds, 0 is never.
type fakery struct {
	startDelay  time.Duration // spark.fake.start.delay.ms: before anything else happens
	exitCode    int           // spark.fake.exit.code: exit so after the delay, unless 0
	stderr      string        // spark.fake.stderr: said before that exit
	hang        bool          // spark.fake.hang=true: no Connect service ever starts
	register    bool          // spark.fake.register=false: it starts, but is not registered
	die         time.Duration // spark.fake.die.after.ms: SIGKILL itself so long after the start
	dieRunning  time.Duration // spark.fake.run.die.after.ms: ... after the registration
	exitRunning time.Duration // spark.fake.run.exit.after.ms: exit 1 so long after it, with a stack trace
	ignoreTerm  bool          // spark.fake.ignore.sigterm=true
	registered  string        // spark.fake.registered.address: register this host:port as the Connect port
	control     string        // spark.fake.registered.control: register this host:port as the control endpoint
	muteInter   bool          // spark.fake.mute.interrupts=true: Interrupt is never answered, as Spark 4.1 does for unknown ids
	slowUpload  time.Duration // spark.fake.artifact.delay.ms: before each message of AddArtifacts is read on
}

// Bounds of the activity poll, and what holds when a property is absent.
const (
	minPoll           = 250 * time.Millisecond
	maxPoll           = 5 * time.Second
	defaultCheck      = time.Minute
	defaultInitialize = 3 * time.Minute
)

func readSettings(props map[string]string, now time.Time) (settings, error) {
	r := reader{props: props}
	const p = "spark.kyuubi."
	s := settings{
		refID: r.required(p + "ha.engine.ref.id"), path: r.required(p + "ha.namespace"),
		keyFile: r.required(p + "engine.key.file"), zoo: r.zooKeeper(), config: props[p+"engine.config.fingerprint"],
		sessionIdle:   r.millis(p+"session.idle.timeout", 0),
		engineIdle:    r.millis(p+"session.engine.idle.timeout", 0),
		checkInterval: r.millis(p+"session.engine.check.interval", defaultCheck),
		initialWait:   r.millis(p+"session.engine.spark.max.initial.wait", 0),
		maxLifetime:   r.millis(p+"session.engine.spark.max.lifetime", 0),
	}
	if s.zoo != nil {
		s.relay = r.relay()
	} else {
		s.gateway = strings.TrimRight(r.required(p+"engine.gateway.url"), "/")
	}
	submitted := time.UnixMilli(int64(r.number(p+"engine.submit.time", int(now.UnixMilli()))))
	s.giveUpAt = submitted.Add(r.millis(p+"session.engine.initialize.timeout", defaultInitialize))
	s.connect = r.connect()
	s.fake = r.fakery()
	return s, r.err
}

// pollInterval is a quarter of the shortest timeout, bounded.
func (s settings) pollInterval() time.Duration {
	upper := max(minPoll, min(s.checkInterval, maxPoll))
	for _, t := range []time.Duration{s.sessionIdle, s.engineIdle, s.initialWait, s.maxLifetime} {
		if t > 0 {
			upper = min(upper, t/4)
		}
	}
	return max(minPoll, upper)
}

// reader reads properties and keeps the first error.
type reader struct {
	props map[string]string
	err   error
}

func (r *reader) fault(key, what string) {
	if r.err == nil {
		r.err = fmt.Errorf("the property %s %s", key, what)
	}
}

func (r *reader) required(key string) string {
	if r.props[key] == "" {
		r.fault(key, "is not set")
	}
	return r.props[key]
}

func (r *reader) number(key string, otherwise int) int {
	text := r.props[key]
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		r.fault(key, "must be a number, not "+text)
	}
	return n
}

func (r *reader) millis(key string, otherwise time.Duration) time.Duration {
	return time.Duration(r.number(key, int(otherwise.Milliseconds()))) * time.Millisecond
}

func (r *reader) fakery() fakery {
	const p = "spark.fake."
	return fakery{
		startDelay: r.millis(p+"start.delay.ms", 0),
		exitCode:   r.number(p+"exit.code", 0), stderr: r.props[p+"stderr"],
		hang: r.props[p+"hang"] == "true", register: r.props[p+"register"] != "false",
		die:        r.millis(p+"die.after.ms", 0),
		dieRunning: r.millis(p+"run.die.after.ms", 0), exitRunning: r.millis(p+"run.exit.after.ms", 0),
		ignoreTerm: r.props[p+"ignore.sigterm"] == "true",
		registered: r.props[p+"registered.address"], control: r.props[p+"registered.control"], muteInter: r.props[p+"mute.interrupts"] == "true",
		slowUpload: r.millis(p+"artifact.delay.ms", 0),
	}
}

// connect reads the settings of Spark's own that the fake engine obeys.
func (r *reader) connect() enginetest.Options {
	const p = "spark.connect.execute."
	return enginetest.Options{
		Address:           r.props["spark.fake.connect.address"], // a fixed one, for a link to lead to
		SparkVersion:      sparkVersion,
		Confs:             r.props,
		MaxStreamDuration: r.duration(p + "reattachable.senderMaxStreamDuration"),
		MaxStreamSize:     r.bytes(p + "reattachable.senderMaxStreamSize"),
		RetryBuffer:       r.bytes(p + "reattachable.observerRetryBufferSize"),
		DetachedTimeout:   r.duration(p + "manager.detachedTimeout"),
		SessionTimeout:    r.duration("spark.connect.session.manager.defaultSessionTimeout"),
	}
}

// duration reads a time as Spark writes it ("1s", "2min", "250"); 0 when absent.
func (r *reader) duration(key string) time.Duration {
	units := map[string]time.Duration{
		"": time.Millisecond, "ms": time.Millisecond, "s": time.Second, "m": time.Minute, "min": time.Minute, "h": time.Hour,
	}
	n, unit := r.quantity(key)
	factor, ok := units[unit]
	if !ok {
		r.fault(key, "has the unknown unit "+unit)
	}
	return time.Duration(n) * factor
}

// bytes reads a size as Spark writes it ("64m", "1g", "123"); 0 when absent.
func (r *reader) bytes(key string) int64 {
	shifts := map[string]int{"": 0, "b": 0, "k": 10, "m": 20, "g": 30}
	n, unit := r.quantity(key)
	shift, ok := shifts[strings.TrimSuffix(unit, "b")]
	if !ok {
		r.fault(key, "has the unknown unit "+unit)
	}
	return n << shift
}

func (r *reader) quantity(key string) (int64, string) {
	text := strings.ToLower(r.props[key])
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz")
	if text == "" {
		return 0, ""
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		r.fault(key, "must begin with a number, not "+text)
	}
	return n, text[len(digits):]
}
