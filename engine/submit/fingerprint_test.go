// SPDX-License-Identifier: Apache-2.0

package submit

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/engine"
)

func TestFingerprint(t *testing.T) {
	b := newBench(t, "")
	b.launcher.opts.FingerprintKey = "key"
	now := func(change ...func(*engine.Spec)) string {
		spec := b.launch().Spec
		for _, f := range change {
			f(&spec)
		}
		got, err := b.launcher.Fingerprint(spec)
		require.NoError(t, err)
		require.Regexp(t, "^[0-9a-f]{12}$", got)
		return got
	}
	usual := now()
	require.Equal(t, usual, now(), "it does not depend on the launch")
	require.Equal(t, usual, now(func(s *engine.Spec) { s.Subdomain, s.Session, s.Group = "engine-pool-3", "s", "g" }), "nor on the place of the engine")
	b.env["HOME"], b.env["SPARK_LOCAL_IP"], b.env["LANG"] = t.TempDir(), "192.0.2.1", "C"
	b.launcher.opts.GatewayURL = func() string { return "http://192.0.2.9:10099" }
	require.Equal(t, usual, now(), "nor on the machine of the gateway")

	require.NotEqual(t, usual, now(func(s *engine.Spec) { s.Options["spark.driver.cores"] = "3" }))
	require.NotEqual(t, usual, now(func(s *engine.Spec) { s.Python = "/opt/python3.12" }))
	seen := map[string]bool{usual: true}
	differs := func(what string, change func()) {
		change()
		got := now()
		require.False(t, seen[got], what)
		seen[got] = true
	}
	differs("a setting of Spark", func() { b.base["spark.ui.enabled"] = "true" })
	differs("a variable of engines", func() { b.base["kyuubi.engineEnv.OMP_NUM_THREADS"] = "1" })
	differs("a variable of Spark", func() { b.env["HADOOP_CONF_DIR"] = "/etc/hadoop" })
	differs("a timer", func() { b.launcher.opts.Times.SessionIdle += time.Minute })
	differs("the cluster's defaults", func() { b.write(t, "conf/spark-defaults.conf", "spark.executor.cores 7\n", 0o644) })
	differs("another key", func() { b.launcher.opts.FingerprintKey = "other" })
	b.base["kyuubi.engineEnv.SPARK_HOME"] = "/nonexistent"
	_, err := b.launcher.Fingerprint(b.launch().Spec)
	require.ErrorContains(t, err, "which is not a folder")
}

// TestSharedEnginesHaveNobodysDefaults: secrets among the defaults of a user do not come
// into an engine that others share.
func TestSharedEnginesHaveNobodysDefaults(t *testing.T) {
	b := newBench(t, "")
	var asked []string
	b.launcher.opts.Base = func(user string) map[string]string { asked = append(asked, user); return b.base }
	for _, level := range []engine.ShareLevel{engine.User, engine.Connection, engine.Group, engine.Server} {
		l := b.launch()
		l.Spec.ShareLevel, l.Spec.Owner, l.Spec.LaunchUser = level, "alice", "gateway"
		_, err := b.launcher.Fingerprint(l.Spec)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"alice", ""}, slices.Compact(asked))
}
