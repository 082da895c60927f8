// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEngineBase(t *testing.T) {
	c, err := Load(LoadOptions{ConfDir: confDir(t, `
spark.master=local[2]
spark.driver.memory=1g
hadoop.security.x=1
hive.metastore.uris=thrift://h
hive.exec.x=below
spark.hive.exec.x=direct
flink.x=1
kyuubi.session.idle.timeout=PT1H
kyuubi.engineEnv.FOO=bar
kyuubi.ha.zookeeper.auth.digest=u:hunter2
___alice___.spark.driver.memory=2g
___alice___.hadoop.security.x=2
___alice___.kyuubi.session.engine.idle.timeout=PT7M
___bob___.spark.yarn.queue=b
`)})
	require.NoError(t, err)
	want := map[string]string{
		"spark.master": "local[2]", "spark.driver.memory": "1g", "spark.hadoop.hadoop.security.x": "1",
		"spark.hive.metastore.uris": "thrift://h", "spark.hive.exec.x": "direct",
		"kyuubi.session.idle.timeout": "PT1H", "kyuubi.engineEnv.FOO": "bar",
	}
	require.Equal(t, want, c.EngineBase("carol"), "only what engines may know")
	want["spark.driver.memory"], want["spark.hadoop.hadoop.security.x"] = "2g", "2"
	want["kyuubi.session.engine.idle.timeout"] = "PT7M"
	require.Equal(t, want, c.EngineBase("alice"))
}

func TestPythonOfEngines(t *testing.T) {
	c, err := Load(LoadOptions{Home: "/opt/gw", ConfDir: confDir(t, `
kyuubi.engine.spark.python={{GATEWAY_HOME}}/py
kyuubi.engine.spark.python.3.11=/usr/bin/python3.11
kyuubi.engineEnv.PYSPARK_PYTHON=/less
___alice___.kyuubi.engine.spark.python=/alice/py
___alice___.kyuubi.engine.spark.python.3.12={{KYUUBI_HOME}}/py3.12
`)})
	require.NoError(t, err)
	require.Equal(t, "/opt/gw/py", c.DefaultPython("bob"))
	require.Equal(t, "/alice/py", c.DefaultPython("alice"))
	require.Equal(t, "/opt/gw/py", c.EngineBase("bob")["kyuubi.engineEnv.PYSPARK_PYTHON"])
	require.Equal(t, "/alice/py", c.EngineBase("alice")["kyuubi.engineEnv.PYSPARK_PYTHON"])
	require.Equal(t, "/usr/bin/python3.11", c.EnginePython("alice", "3.11"))
	require.Equal(t, "/opt/gw/py3.12", c.EnginePython("alice", "3.12"))
	require.Empty(t, c.EnginePython("bob", "3.12"), "the default may be of any version")

	c, err = New(map[string]string{"kyuubi.engineEnv.PYSPARK_PYTHON": "/set"})
	require.NoError(t, err)
	require.Empty(t, c.DefaultPython("bob"))
	require.Equal(t, "/set", c.EngineBase("bob")["kyuubi.engineEnv.PYSPARK_PYTHON"])
}

func TestProfilesLeaveInterpretersAlone(t *testing.T) {
	r := resolver(t, "", map[string]string{"p": "kyuubi.engine.spark.python=/py\nkyuubi.engine.spark.python.3.11=/py\nkyuubi.session.engine.initialize.timeout=PT1M"})
	_, err := r.Resolve("alice", pairs("kyuubi.session.conf.profile", "p"))
	require.ErrorContains(t, err, "conf:1: kyuubi.engine.spark.python: a profile cannot set this; it can set kyuubi.engineEnv.PYSPARK_PYTHON")
	require.ErrorContains(t, err, "conf:2: kyuubi.engine.spark.python.3.11: a profile cannot set this")
	require.ErrorContains(t, err, "conf:3: kyuubi.session.engine.initialize.timeout: a profile cannot set this")
}

func TestTheClientsRuntimeOptionsWinOverTheProfiles(t *testing.T) {
	r := resolver(t, "", map[string]string{"p": "spark.sql.shuffle.partitions=200\nspark.sql.ansi.enabled=false"})
	o, err := r.Resolve("alice", pairs("kyuubi.session.conf.profile", "p", "spark.sql.shuffle.partitions", "5"))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"spark.sql.shuffle.partitions": "5", "spark.sql.ansi.enabled": "false"}, o.Session)
}

// TestEngineText: gateways with equal texts launch equal engines.
func TestEngineText(t *testing.T) {
	text := func(lines string) string {
		c, err := Load(LoadOptions{ConfDir: confDir(t, lines)})
		require.NoError(t, err)
		return c.EngineText()
	}
	const usual = "spark.driver.memory=1g\n___alice___.spark.driver.memory=2g\n___bob___.hadoop.x=1\n"
	require.Equal(t, text(usual), text("kyuubi.frontend.rest.bind.port=10100\n\n___bob___.hadoop.x=1\n___alice___.spark.driver.memory=2g\nspark.driver.memory=1g\n"),
		"neither the order nor the doors of a gateway count")
	for _, other := range []string{
		"spark.driver.memory=2g\n___alice___.spark.driver.memory=2g\n___bob___.hadoop.x=1\n", usual + "___bob___.spark.driver.memory=2g\n",
		usual + "kyuubi.engine.pool.size=2\n", usual + "kyuubi.engine.spark.python.3.12=/opt/python\n", "",
	} {
		require.NotEqual(t, text(usual), text(other))
	}
}
