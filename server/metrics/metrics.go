// SPDX-License-Identifier: Apache-2.0

// Package metrics holds every figure that the gateway publishes: names, labels
// and help texts stand here and nowhere else.
//
// A figure that Kyuubi has too carries Kyuubi's name, so that its dashboards
// show it; the others begin with roundhouse_. Labels have a fixed set of values:
// never a user, a session, an engine or anything else that a client can invent.
package metrics

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Registry is where figures are registered and gathered; other packages need no
// import of the client library for it.
type Registry = prometheus.Registry

// NewRegistry makes an empty one.
func NewRegistry() *Registry { return prometheus.NewRegistry() }

// Metrics are the figures that other parts report. Its methods are safe for
// concurrent use and cheap enough for every call.
type Metrics struct {
	calls          *prometheus.CounterVec
	held           prometheus.Gauge
	sessionsTotal  prometheus.Counter
	sessionsFailed prometheus.Counter
	launches       prometheus.Counter
	launchFailures *prometheus.CounterVec
	launchSeconds  prometheus.Histogram
	rejectedNodes  *prometheus.CounterVec
	restCalls      *prometheus.CounterVec
}

// launchBuckets are seconds: a local driver takes about five, one on a busy
// cluster minutes.
var launchBuckets = []float64{1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600}

// New makes the figures and registers them. An error means that the registerer
// has one of them already.
func New(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		calls: counters("roundhouse_calls_total",
			"Spark Connect calls that ended, by method and gRPC status code.", "method", "code"),
		held: gauge("roundhouse_held_calls",
			"Calls that wait for an engine to start or to answer again."),
		sessionsTotal: counter("kyuubi_connection_total", "Sessions opened since the start."),
		sessionsFailed: counter("kyuubi_connection_failed",
			"Sessions that could not be opened since the start."),
		launches: counter("kyuubi_engine_total", "Engine launches begun since the start."),
		launchFailures: counters("roundhouse_engine_launch_failures_total",
			"Engine launches that failed, by reason.", "reason"),
		launchSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "roundhouse_engine_launch_seconds", Buckets: launchBuckets,
			Help: "Time from spark-submit to the registration of the engine.",
		}),
		rejectedNodes: counters("roundhouse_engine_nodes_rejected_total",
			"Registrations that were not accepted, by reason.", "reason"),
		restCalls: counters("roundhouse_rest_calls_total",
			"REST calls, by route and HTTP status.", "route", "status"),
	}
	err := register(reg, m.calls, m.held, m.sessionsTotal, m.sessionsFailed, m.launches,
		m.launchFailures, m.launchSeconds, m.rejectedNodes, m.restCalls)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Handler serves the figures of gatherer.
func Handler(gatherer prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{})
}

// RegisterProcess adds the figures of the process and of the Go runtime.
func RegisterProcess(reg prometheus.Registerer) error {
	return register(reg, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

// CallDone counts a Spark Connect call by its full method name and the name of
// its status code.
func (m *Metrics) CallDone(fullMethod, code string) {
	m.calls.WithLabelValues(methodLabel(fullMethod), codeLabel(code)).Inc()
}

// HoldStarted counts a call that begins to wait; HoldEnded follows.
func (m *Metrics) HoldStarted() { m.held.Inc() }

// HoldEnded counts a call that waits no longer.
func (m *Metrics) HoldEnded() { m.held.Dec() }

// SessionOpened counts a new session.
func (m *Metrics) SessionOpened() { m.sessionsTotal.Inc() }

// SessionFailed counts a session that could not be opened.
func (m *Metrics) SessionFailed() { m.sessionsFailed.Inc() }

// LaunchStarted counts a launch that left the queue.
func (m *Metrics) LaunchStarted() { m.launches.Inc() }

// LaunchSucceeded takes the time from spark-submit to the registration.
func (m *Metrics) LaunchSucceeded(took time.Duration) { m.launchSeconds.Observe(took.Seconds()) }

// LaunchFailed counts a launch that ended without an engine.
func (m *Metrics) LaunchFailed(reason LaunchFailure) {
	m.launchFailures.WithLabelValues(string(reason)).Inc()
}

// NodeRejected counts a registration that was not accepted.
func (m *Metrics) NodeRejected(reason Rejection) {
	m.rejectedNodes.WithLabelValues(string(reason)).Inc()
}

// RESTCall counts a REST call. The route is the row of the route table, never a
// path as it came in.
func (m *Metrics) RESTCall(route string, status int) {
	m.restCalls.WithLabelValues(route, strconv.Itoa(status)).Inc()
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

func register(reg prometheus.Registerer, all ...prometheus.Collector) error {
	var faults []error
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			faults = append(faults, fmt.Errorf("registering a metric: %w", err))
		}
	}
	return errors.Join(faults...)
}
