// SPDX-License-Identifier: Apache-2.0

// Package failpoint lets a test build of the gateway die at a chosen moment of
// a launch. An ordinary build has no trace of it: Hit is empty there. A build
// with the tag "failpoints" kills itself with SIGKILL at the point that the
// environment variable ROUNDHOUSE_FAILPOINT names, as a crash would.
package failpoint

// The points, in the order in which a launch passes them.
const (
	// BeforeSpawn: the record of the engine is durable, nothing runs.
	BeforeSpawn = "launch-before-spawn"
	// Spawned: spark-submit runs, the record does not know its pid.
	Spawned = "launch-spawned"
	// Recorded: the record has the pid, the driver has not registered.
	Recorded = "launch-recorded"
	// Registered: the engine is in service, the driver has had no answer.
	Registered = "launch-registered"
)
