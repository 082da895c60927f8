// SPDX-License-Identifier: Apache-2.0

package people

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// TestPySparkActsForAnother with real Spark: the portal logs in and alice's session
// does the work; then alice leaves and the driver is gone.
func TestPySparkActsForAnother(t *testing.T) {
	settings := proxies()
	settings["kyuubi.engineEnv.SPARK_HOME"] = env.SparkHome(t)
	settings["kyuubi.engineEnv.PYSPARK_PYTHON"] = env.Python(t, "4.3")
	settings["spark.driver.memory"] = "700m"
	h := start(t, "", settings)
	remote := "sc://" + strings.Replace(h.GRPC, "127.0.0.1", "localhost", 1) + "/;token=" + tokenOf("portal")
	c := env.StartClient(t, "4.3", "config_wishes.py", "--remote", remote, "--conf", kyuubisKey+"=alice", "--hold")
	c.Next("conf", 2*time.Minute)
	require.Equal(t, []string{"alice"}, h.owners(), "the calls after the first do not name her")
	e := h.OnlyEngine()
	began := time.Now()
	said, code := h.command("user", "disable", "alice")
	require.Zero(t, code, said)
	env.Eventually(t, offIn-time.Since(began), "the driver is gone", func() bool { return !env.Alive(e.PID) })
}
