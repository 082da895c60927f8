// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/prometheus/client_golang/prometheus"

// Gauges are the states that are read when somebody asks, so that they cannot
// drift from the truth. The functions are called concurrently; they return at
// once.
type Gauges struct {
	// Sessions is the number of open sessions.
	Sessions func() int
	// Engines is the number of engines by state; a state not named has none.
	Engines func() map[string]int
	// QueuedLaunches is the number of launches that wait for their turn.
	QueuedLaunches func() int
	// FreeLaunches is the number of launches that could start at once.
	FreeLaunches func() int
	// States are all states of engines, shown even when no engine is in them.
	States []string
}

// RegisterGauges publishes the states.
func RegisterGauges(reg prometheus.Registerer, g Gauges) error {
	return register(reg,
		gaugeFunc("kyuubi_connection_opened", "Sessions open now.", g.Sessions),
		gaugeFunc("kyuubi_engine_startup_permit_waiting", "Engine launches that wait for their turn.", g.QueuedLaunches),
		gaugeFunc("kyuubi_engine_startup_permit_available", "Engine launches that could start at once.", g.FreeLaunches),
		&engineStates{
			desc:   prometheus.NewDesc("roundhouse_engines", "Engines by state.", []string{"state"}, nil),
			gauges: g,
		})
}

func gaugeFunc(name, help string, value func() int) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
		func() float64 { return float64(value()) })
}

// engineStates is a prometheus.Collector over one snapshot of all engines.
type engineStates struct {
	desc   *prometheus.Desc
	gauges Gauges
}

// Describe sends the one description.
func (e *engineStates) Describe(ch chan<- *prometheus.Desc) { ch <- e.desc }

// Collect sends one value for each state that is known.
func (e *engineStates) Collect(ch chan<- prometheus.Metric) {
	counts := e.gauges.Engines()
	for _, state := range e.gauges.States {
		ch <- prometheus.MustNewConstMetric(e.desc, prometheus.GaugeValue, float64(counts[state]), state)
	}
}
