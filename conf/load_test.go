// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// confDir is a folder with this kyuubi-defaults.conf.
func confDir(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, DefaultsFile), []byte(text), 0o600))
	return dir
}

func environment(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestFolderPrecedence(t *testing.T) {
	home := func(name string) string {
		h := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(h, "conf"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(h, "conf", DefaultsFile), []byte("who="+name), 0o600))
		return h
	}
	gateway, kyuubi, own := home("gateway"), home("kyuubi"), home("home")
	confEnv, option := confDir(t, "who=env"), confDir(t, "who=option")
	for want, o := range map[string]LoadOptions{
		"option":  {ConfDir: option, Home: own, Getenv: environment(map[string]string{"KYUUBI_CONF_DIR": confEnv, "GATEWAY_HOME": gateway, "KYUUBI_HOME": kyuubi})},
		"env":     {Getenv: environment(map[string]string{"KYUUBI_CONF_DIR": confEnv, "GATEWAY_HOME": gateway, "KYUUBI_HOME": kyuubi})},
		"gateway": {Getenv: environment(map[string]string{"GATEWAY_HOME": gateway, "KYUUBI_HOME": kyuubi})},
		"kyuubi":  {Getenv: environment(map[string]string{"KYUUBI_HOME": kyuubi})},
		"home":    {Home: own},
	} {
		c, err := Load(o)
		require.NoError(t, err)
		who, _ := c.Raw("who")
		require.Equal(t, want, who)
	}
}

func TestPathsFollowTheEnvironment(t *testing.T) {
	c, err := Load(LoadOptions{Getenv: environment(map[string]string{"GATEWAY_HOME": "/opt/gw"})})
	require.NoError(t, err)
	require.Empty(t, c.File())
	require.Equal(t, "/opt/gw/work", ServerWorkDir.Get(c))
	require.Equal(t, "/opt/gw/data", ServerDataDir.Get(c))
	require.Equal(t, "/opt/gw/data/cluster.secret", c.ClusterSecretFile())
	c, err = Load(LoadOptions{Home: "/opt/gw", Getenv: environment(map[string]string{"KYUUBI_WORK_DIR_ROOT": "/var/w"}),
		Overrides: []string{"kyuubi.server.cluster.secret.file={{GATEWAY_HOME}}/s"}})
	require.NoError(t, err)
	require.Equal(t, "/var/w", ServerWorkDir.Get(c))
	require.Equal(t, "/opt/gw/s", c.ClusterSecretFile())
}

func TestOverridesWinAndCaseStays(t *testing.T) {
	dir := confDir(t, `
kyuubi.session.engine.startup.maxLogLines=3
kyuubi.frontend.rest.bind.port=2000
kyuubi.engineEnv.Path=lower
kyuubi.engineEnv.PATH=upper
spark.dynamicAllocation.enabled=true
spark.dynamicallocation.enabled=other
hadoop.Foo.BAR=1
___Alice___.spark.executor.memory=4g
___alice___.spark.executor.memory=5g
`)
	c, err := Load(LoadOptions{ConfDir: dir, Overrides: []string{"kyuubi.frontend.rest.bind.port=3000", "spark.app.tag = a=b", "kyuubi.frontend.rest.bind.port=4000"}})
	require.NoError(t, err)
	require.Equal(t, 3, EngineMaxLogLines.Get(c))
	require.Equal(t, 4000, RESTBindPort.Get(c))
	require.Equal(t, map[string]string{"Path": "lower", "PATH": "upper"}, c.EngineEnv())
	require.Equal(t, map[string]string{"dynamicAllocation.enabled": "true", "dynamicallocation.enabled": "other", "app.tag": "a=b"}, c.WithPrefix("spark."))
	for user, want := range map[string]string{"Alice": "4g", "alice": "5g", "ALICE": ""} {
		memory, _ := c.ForUser(user).Raw("spark.executor.memory")
		require.Equal(t, want, memory, user)
	}
	v, ok := c.Raw("hadoop.Foo.BAR")
	require.True(t, ok)
	require.Equal(t, "1", v)
}

func TestAllFaultsAtOnceWithTheirPlace(t *testing.T) {
	dir := confDir(t, `kyuubi.fronted.spark.connect.enabled=true
kyuubi.frontend.rest.bind.port=80

___alice___.kyuubi.authentication=NONE
___alice___.kyuubi.engine.share.levle=USER
______.spark.x=1
___alice___=1
kyuubi.zzz=1
kyuubi.session.idle.timeout=soon
kyuubi.Session.idle.timeout=PT1H
`)
	file := filepath.Join(dir, DefaultsFile)
	_, err := Load(LoadOptions{ConfDir: dir, Overrides: []string{"nonsense", "kyuubi.authentification=NONE"}})
	require.Error(t, err)
	want := []string{
		"the configuration has 11 faults:",
		"  --conf #1: want key=value",
		"  --conf #2: kyuubi.authentification: unknown setting; did you mean kyuubi.authentication?",
		"  " + file + ":1: kyuubi.fronted.spark.connect.enabled: unknown setting; did you mean kyuubi.frontend.spark.connect.enabled?",
		"  " + file + `:2: kyuubi.frontend.rest.bind.port: want 0 (any free port) or a port from 1025 to 65534, got "80"`,
		"  " + file + ":4: ___alice___.kyuubi.authentication: kyuubi.authentication holds for the whole gateway and cannot differ by user",
		"  " + file + ":5: ___alice___.kyuubi.engine.share.levle: unknown setting; did you mean kyuubi.engine.share.level?",
		"  " + file + ":6: ______.spark.x: want ___user___.key: a user name between three underscores on each side, a dot, and the key",
		"  " + file + ":7: ___alice___: want ___user___.key: a user name between three underscores on each side, a dot, and the key",
		"  " + file + ":8: kyuubi.zzz: unknown setting, and no known name is near it; docs/settings.md lists them",
		"  " + file + `:9: kyuubi.session.idle.timeout: want a duration such as PT30M, 30m or 1800000 (milliseconds), got "soon"`,
		"  " + file + ":10: kyuubi.Session.idle.timeout: unknown setting; did you mean kyuubi.session.idle.timeout?",
	}
	require.Equal(t, want, strings.Split(err.Error(), "\n"))
}

func TestKyuubiFileLoads(t *testing.T) {
	c, err := New(map[string]string{
		"kyuubi.frontend.protocols":                          "THRIFT_BINARY,REST",
		"kyuubi.frontend.thrift.binary.bind.port":            "10009",
		"kyuubi.authentication.jdbc.password":                "hunter2",
		"kyuubi.metrics.prometheus.port":                     "10019",
		"kyuubi.engine.flink.memory":                         "3",
		"kyuubi.engine.type":                                 "SPARK_SQL",
		"kyuubi.session.engine.launch.async":                 "true",
		"kyuubi.batchConf.spark.spark.yarn.queue":            "q",
		"kyuubi.kubernetes.28.spark.master.address":          "x",
		"___bob___.kyuubi.operation.language":                "SCALA",
		"kyuubi.backend.server.event.kafka.bootstrap.server": "x",
	})
	require.NoError(t, err)
	require.NoError(t, c.Validate())
	require.Equal(t, "10 settings of Kyuubi have no meaning here and are ignored: ___bob___.kyuubi.operation.language, "+
		"kyuubi.authentication.jdbc.password, kyuubi.backend.server.event.kafka.bootstrap.server, kyuubi.batchConf.spark.spark.yarn.queue, "+
		"kyuubi.engine.flink.memory, kyuubi.frontend.protocols, kyuubi.frontend.thrift.binary.bind.port, "+
		"kyuubi.kubernetes.28.spark.master.address, kyuubi.metrics.prometheus.port, kyuubi.session.engine.launch.async", c.Summary())
	one, err := New(map[string]string{"kyuubi.engine.flink.memory": "3"})
	require.NoError(t, err)
	require.Equal(t, "1 setting of Kyuubi has no meaning here and is ignored: kyuubi.engine.flink.memory", one.Summary())
}

func TestDeprecatedNames(t *testing.T) {
	dir := confDir(t, `kyuubi.session.timeout=PT1H
kyuubi.ha.zookeeper.namespace=old
kyuubi.ha.namespace=new
___bob___.kyuubi.session.engine.share.level=CONNECTION
kyuubi.ha.namespace=newer
`)
	c, err := Load(LoadOptions{ConfDir: dir})
	require.NoError(t, err)
	require.Equal(t, "PT1H", c.values[SessionIdleTimeout.Key].text)
	require.Equal(t, "newer", HANamespace.Get(c))
	require.Equal(t, ShareConnection, EngineShareLevel.Get(c.ForUser("bob")))
	require.Equal(t, ShareUser, EngineShareLevel.Get(c.ForUser("ann")))
	file := filepath.Join(dir, DefaultsFile)
	require.Equal(t, []string{
		file + ":1: kyuubi.session.timeout: is deprecated; the name is kyuubi.session.idle.timeout now",
		file + ":2: kyuubi.ha.zookeeper.namespace: is the old name of kyuubi.ha.namespace, which is set too and wins",
		file + ":4: kyuubi.session.engine.share.level: is deprecated; the name is kyuubi.engine.share.level now",
		file + ":5: kyuubi.ha.namespace: is set in line 3 too; this line wins",
	}, c.Warnings())
	_, err = New(map[string]string{"kyuubi.session.timeout": "soon"})
	require.ErrorContains(t, err, "kyuubi.session.timeout: want a duration")
}

func TestUnreadableFileIsAFault(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, DefaultsFile), 0o700))
	_, err := Load(LoadOptions{ConfDir: dir})
	require.ErrorContains(t, err, "cannot be read")
}

func TestNearest(t *testing.T) {
	for typo, want := range map[string]string{
		"kyuubi.engine.sharelevel":                      "kyuubi.engine.share.level",
		"kyuubi.session.engine.idle.timeuot":            "kyuubi.session.engine.idle.timeout",
		"kyuubi.engine.pool.sise":                       "kyuubi.engine.pool.size",
		"kyuubi.frontend.spark.connect.bind.prot":       "kyuubi.frontend.spark.connect.bind.port",
		"kyuubi.session.engine.startup.maxloglines":     "kyuubi.session.engine.startup.maxLogLines",
		"kyuubi.something.that.has.nothing.to.do.at.al": "",
	} {
		require.Equal(t, want, nearest(typo), typo)
	}
}
