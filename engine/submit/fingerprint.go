// SPDX-License-Identifier: Apache-2.0

package submit

import (
	"maps"
	"slices"
	"strings"

	"roundhouse/engine"
	"roundhouse/internal/secret"
)

// fingerprintDigits are enough to tell configurations of one gateway apart.
const fingerprintDigits = 12

// ofOneLaunch are properties that differ from launch to launch, or say where and for
// whom an engine is and not how it works.
var ofOneLaunch = []string{
	"spark.app.name", "spark.kyuubi.engine.key.file", "spark.kyuubi.engine.gateway.url",
	"spark.kyuubi.engine.submit.time", "spark.kyuubi.session.engine.initialize.timeout", "spark.kyuubi.engine.config.fingerprint",
}

// whereEnginesMeet begin the properties with which an engine finds gateways.
const whereEnginesMeet = "spark.kyuubi.ha."

// fromTheGateway begin the variables of the gateway's own environment that are settings
// of Spark; others, and some of these, are those of a machine or a login.
var fromTheGateway = []string{"SPARK_", "HADOOP_", "YARN_", "PYSPARK_", "JAVA_HOME"}

var ofOneMachine = []string{"SPARK_LOCAL_IP", "SPARK_LOCAL_DIRS"}

// Fingerprint tells the configuration that an engine of spec would be launched with now
// from others: 12 hex digits of the settings and options, of spark-defaults.conf and of
// the environment. Gateways with the same configuration and cluster secret agree. It is
// keyed (Options.FingerprintKey), so that nobody can try secrets in it. The error is
// that of a launch.
func (l *Launcher) Fingerprint(spec engine.Spec) (string, error) {
	d, err := l.driver(engine.Launch{Spec: spec})
	if err != nil {
		return "", err
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(d.properties)) {
		if !slices.Contains(ofOneLaunch, name) && !strings.HasPrefix(name, whereEnginesMeet) {
			parts = append(parts, "property", name, d.properties[name])
		}
	}
	settings := l.settings(spec)
	for _, name := range slices.Sorted(maps.Keys(d.environment)) {
		if _, set := settings[engineEnv+name]; set || isSetting(name) {
			parts = append(parts, "variable", name, d.environment[name])
		}
	}
	return secret.MAC(l.opts.FingerprintKey, strings.Join(parts, "\x00"))[:fingerprintDigits], nil
}

// isSetting says whether a variable of the gateway's environment is one of Spark's settings.
func isSetting(name string) bool {
	begins := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	return slices.ContainsFunc(fromTheGateway, begins) && !slices.Contains(ofOneMachine, name)
}
