// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// dangerousKeys are settings with which a client could run code as the gateway,
// read its files or become somebody else.
var dangerousKeys = []string{
	"spark.master", "spark.submit.deployMode", "spark.submit.pyFiles", "spark.submit.proxyUser.allowCustomClasspathInClusterMode",
	"spark.driver.extraJavaOptions", "spark.driver.extraClassPath", "spark.driver.extraLibraryPath", "spark.driver.defaultJavaOptions",
	"spark.driver.userClassPathFirst", "spark.driver.host", "spark.driver.bindAddress", "spark.driver.port", "spark.driver.log.dfsDir",
	"spark.executor.extraJavaOptions", "spark.executor.extraClassPath", "spark.executor.extraLibraryPath", "spark.executor.defaultJavaOptions",
	"spark.executorEnv.LD_PRELOAD", "spark.plugins", "spark.extraListeners", "spark.jars", "spark.jars.packages", "spark.jars.ivySettings",
	"spark.jars.repositories", "spark.files", "spark.archives", "spark.pyFiles", "spark.pyspark.python", "spark.pyspark.driver.python",
	"spark.kubernetes.driver.podTemplateFile", "spark.kubernetes.executor.podTemplateFile", "spark.kubernetes.namespace",
	"spark.kubernetes.authenticate.driver.serviceAccountName", "spark.kubernetes.authenticate.submission.oauthTokenFile", "spark.yarn.queue",
	"spark.yarn.keytab", "spark.yarn.principal", "spark.yarn.stagingDir", "spark.yarn.appMasterEnv.LD_PRELOAD", "spark.yarn.am.extraJavaOptions",
	"spark.kerberos.keytab", "spark.kerberos.principal", "spark.kerberos.access.hadoopFileSystems", "spark.hadoop.fs.defaultFS",
	"spark.hadoop.hadoop.security.credential.provider.path", "spark.hadoop.fs.file.impl", "spark.connect.authenticate.token",
	"spark.connect.grpc.interceptor.classes", "spark.connect.grpc.binding.address", "spark.connect.extensions.relation.classes",
	"spark.connect.ml.backend.classes", "spark.redaction.regex", "spark.sql.extensions", "spark.sql.queryExecutionListeners",
	"spark.sql.streaming.streamingQueryListeners", "spark.sql.artifact.copyFromLocalToFs.allowDestLocal",
	"spark.sql.legacy.setCommandRejectsSparkCoreConfs", "spark.sql.hive.metastore.jars", "spark.launcher.childProcLoggerName", "spark.local.dir",
	"spark.eventLog.dir", "spark.ui.port", "spark.ssl.keyPassword", "spark.authenticate.secret", "spark.kyuubi.ha.namespace",
	"spark.kyuubi.engine.key.file", "kyuubi.ha.addresses", "kyuubi.ha.namespace", "kyuubi.engineEnv.SPARK_HOME", "kyuubi.engineEnv.LD_PRELOAD",
	"kyuubi.session.engine.spark.main.resource", "kyuubi.session.proxy.user", "kyuubi.session.local.dir.allow.list", "kyuubi.engine.doAs.enabled",
	"kyuubi.engine.spark.python", "kyuubi.engine.spark.python.3.11", "kyuubi.server.administrators", "kyuubi.authentication",
	"kyuubi.session.launch.max.driver.memory", "kyuubi.session.conf.restrict.list", "kyuubi.session.user", "kyuubi.engine.credentials", "hive.server2.proxy.user",
}

// disguises are ways to write a key so that a check could miss it.
var disguises = map[string]func(string) string{
	"plain":            func(k string) string { return k },
	"upper case":       strings.ToUpper,
	"lower case":       strings.ToLower,
	"spaces":           func(k string) string { return "  " + k + " \t" },
	"inner space":      func(k string) string { return strings.Replace(k, ".", ". ", 1) },
	"x-":               func(k string) string { return "x-" + k },
	"X-":               func(k string) string { return "X-" + k },
	"set:":             func(k string) string { return "set:" + k },
	"set:hiveconf:":    func(k string) string { return "set:hiveconf:" + k },
	"hivevar:":         func(k string) string { return "hivevar:" + k },
	"set:env:":         func(k string) string { return "set:env:" + k },
	"set:system:":      func(k string) string { return "SET:system:" + k },
	"cyrillic":         func(k string) string { return strings.Replace(k, "a", "\u0430", 1) },
	"full width":       func(k string) string { return strings.Replace(k, ".", "\uff0e", 1) },
	"kelvin sign":      func(k string) string { return strings.ReplaceAll(k, "k", "\u212a") },
	"long s":           func(k string) string { return strings.ReplaceAll(k, "s", "\u017f") },
	"dotless i":        func(k string) string { return strings.ReplaceAll(k, "i", "\u0131") },
	"decomposed":       func(k string) string { return strings.Replace(k, ".", "\u0301.", 1) },
	"zero width":       func(k string) string { return k[:3] + "\u200b" + k[3:] },
	"byte order mark":  func(k string) string { return "\ufeff" + k },
	"no-break space":   func(k string) string { return "\u00a0" + k },
	"newline":          func(k string) string { return "\n" + k },
	"newline after":    func(k string) string { return k + "\n" },
	"smuggled line":    func(k string) string { return "spark.driver.cores\n" + k },
	"NUL":              func(k string) string { return k + "\x00" },
	"NUL after good":   func(k string) string { return "spark.driver.memory\x00" + k },
	"dash":             func(k string) string { return "-" + k },
	"--conf":           func(k string) string { return "--conf " + k },
	"equals":           func(k string) string { return "spark.driver.cores=1 --conf " + k },
	"not utf-8":        func(k string) string { return k + "\xff" },
	"trailing dot":     func(k string) string { return k + "." },
	"double dot":       func(k string) string { return strings.Replace(k, ".", "..", 1) },
	"leading dot":      func(k string) string { return "." + k },
	"spark.spark.":     func(k string) string { return "spark." + k },
	"user default":     func(k string) string { return "___alice___." + k },
	"escaped":          func(k string) string { return strings.Replace(k, ".", `\u002e`, 1) },
	"percent":          func(k string) string { return strings.Replace(k, ".", "%2e", 1) },
	"without spark.":   func(k string) string { return strings.TrimPrefix(k, "spark.") },
	"without, upper":   func(k string) string { return strings.ToUpper(strings.TrimPrefix(k, "spark.")) },
	"hadoop.":          func(k string) string { return "hadoop." + k },
	"spark.driverEnv.": func(k string) string { return "spark.kubernetes.driverEnv." + k },
}

// mustRefuse are the disguises under which the key still means the same to
// somebody: those are refused, not merely kept from the launch.
var mustRefuse = []string{"plain", "upper case", "lower case", "spaces", "x-", "X-", "set:", "set:hiveconf:", "hivevar:", "set:system:",
	"inner space", "cyrillic", "full width", "kelvin sign", "zero width", "newline", "newline after", "smuggled line", "NUL", "NUL after good",
	"dash", "--conf", "equals", "not utf-8", "spark.spark."}

func TestHostileKeysNeverReachTheLaunch(t *testing.T) {
	r := resolver(t, "", nil)
	rows := 0
	for _, key := range dangerousKeys {
		for name, disguise := range disguises {
			rows++
			sent := disguise(key)
			o, err := r.Resolve("alice", pairs(sent, "2g"))
			require.Empty(t, o.Launch, "%s: %q", name, sent)
			require.NotEqual(t, Launch, r.Classify("alice", sent).Kind, "%s: %q", name, sent)
			if err == nil {
				require.Equal(t, DefaultSubdomain, o.Subdomain, "%s: %q", name, sent)
			}
		}
		for _, name := range mustRefuse {
			if sent := disguises[name](key); sent != key || name == "plain" || strings.ToLower(key) == key {
				require.Equal(t, Refused, r.Classify("alice", sent).Kind, "%s: %q", name, sent)
			}
		}
	}
	require.GreaterOrEqual(t, rows, 3000)
	t.Logf("%d hostile rows", rows)
}

// hostileValues try to leave the value they stand in.
var hostileValues = []string{
	"2g\nspark.master=evil", "2g\r\nspark.plugins=x", "2g\x00", "-Xmx2g", "--proxy-user root", "$(id)", "`id`", "a --conf b=c", "2g --conf spark.master=x",
	"${env:PATH}", "{{KYUUBI_HOME}}", "file:/etc/passwd", "env:HOME", "2g;rm", "2g|x", "'2g'", `"2g"`, `2g\`, "２g", "2\u0261", "../../etc", "true\n", "\u00a0true",
	strings.Repeat("9", 400), strings.Repeat("a", 5000), "0x10", "1_000", "١", "NaN",
}

func TestHostileValuesNeverReachTheLaunch(t *testing.T) {
	r := resolver(t, "", nil)
	free := map[string]bool{SessionName.Key: true, EngineSubdomain.Key: true, EnginePoolName.Key: true} // a label on one line, a plain name
	for _, k := range allowed {
		for _, text := range hostileValues {
			o, err := r.Resolve("alice", pairs(k.key, text))
			if err == nil && free[k.key] {
				require.Regexp(t, `^[a-z0-9][a-z0-9-]*$`, o.Subdomain, "%s=%q", k.key, text)
				require.NotRegexp(t, `[[:cntrl:]]`, o.Name, "%s=%q", k.key, text)
				require.Empty(t, o.Launch)
				continue
			}
			require.Error(t, err, "%s=%q", k.key, text)
			require.Empty(t, o.Launch)
			require.NotContains(t, err.Error(), "\x00")
		}
	}
}

// launchable reads testdata/launch-options.txt.
func launchable(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/launch-options.txt")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "#") })
}

// harmless is what every value of a launch looks like: a number with its unit, a
// word, the name of one of Spark's classes. It is no path, no option, no list.
const harmless = `^[A-Za-z0-9]([A-Za-z0-9.]{0,63})$`

func TestLaunchOptionsAreThoseOfTheList(t *testing.T) {
	var all []string
	for key, launched := range inFingerprint {
		if launched {
			all = append(all, key)
		}
	}
	require.ElementsMatch(t, launchable(t), all)
}

// FuzzResolve sends two options: whatever comes out for a launch is on the list
// and looks harmless, and asked for as such it comes out the same.
func FuzzResolve(f *testing.F) {
	for name, disguise := range disguises {
		f.Add(disguise("spark.master"), "local", "spark.executor.cores", "2")
		f.Add(disguise("spark.driver.memory"), name, disguise("spark.driver.memory"), "2g")
	}
	for _, k := range allowed {
		for _, text := range append(hostileValues, "true", "60s", "0.5", "2g", "PT1H") {
			f.Add(k.key, text, "kyuubi.session.name", text)
		}
	}
	c, err := New(nil)
	require.NoError(f, err)
	r := NewResolver(c)
	keys := launchable(f)
	f.Fuzz(func(t *testing.T, key, text, second, secondText string) {
		o, err := r.Resolve("alice", []Pair{{key, text}, {second, secondText}})
		if err != nil {
			require.NotContains(t, err.Error(), "\x00")
			require.Empty(t, o.Launch)
			return
		}
		require.Regexp(t, `^[a-z0-9][a-z0-9-]*$`, o.Subdomain)
		require.Contains(t, []string{"CONNECTION", "USER"}, o.ShareLevel)
		require.NotRegexp(t, `[[:cntrl:]]`, o.Name)
		for launched, shown := range o.Launch {
			require.Contains(t, keys, launched)
			require.Regexp(t, harmless, shown, launched)
			again, err := r.Resolve("alice", pairs(launched, shown))
			require.NoError(t, err, "%s=%s", launched, shown)
			require.Equal(t, shown, again.Launch[launched])
		}
	})
}

// fileKeys are the settings that make Spark or the gateway read, write or run a
// file. The driver would do so with its own rights, as the gateway's user.
var fileKeys = []string{
	"spark.jars", "spark.jars.ivy", "spark.jars.ivySettings", "spark.files", "spark.archives", "spark.pyFiles", "spark.submit.pyFiles", "spark.repl.local.jars",
	"spark.repl.class.outputDir", "spark.driver.extraClassPath", "spark.driver.extraLibraryPath", "spark.executor.extraClassPath", "spark.executor.extraLibraryPath",
	"spark.yarn.keytab", "spark.yarn.jars", "spark.yarn.archive", "spark.yarn.dist.files", "spark.yarn.dist.jars", "spark.yarn.dist.archives",
	"spark.yarn.dist.pyFiles", "spark.yarn.stagingDir", "spark.yarn.config.gatewayPath", "spark.yarn.am.extraLibraryPath", "spark.kerberos.keytab",
	"spark.kerberos.access.hadoopFileSystems", "spark.kubernetes.kerberos.krb5.path", "spark.kubernetes.driver.podTemplateFile",
	"spark.kubernetes.executor.podTemplateFile", "spark.kubernetes.file.upload.path", "spark.kubernetes.authenticate.caCertFile",
	"spark.kubernetes.authenticate.clientKeyFile", "spark.kubernetes.authenticate.clientCertFile", "spark.kubernetes.authenticate.oauthTokenFile",
	"spark.kubernetes.authenticate.submission.caCertFile", "spark.kubernetes.driver.volumes.hostPath.x.options.path",
	"spark.pyspark.python", "spark.pyspark.driver.python", "spark.r.command", "spark.r.driver.command", "spark.r.shell.command",
	"spark.local.dir", "spark.eventLog.dir", "spark.history.fs.logDirectory", "spark.driver.log.dfsDir", "spark.driver.log.localDir",
	"spark.metrics.conf", "spark.scheduler.allocation.file", "spark.checkpoint.dir", "spark.authenticate.secret.file",
	"spark.authenticate.secret.driver.file", "spark.ssl.keyStore", "spark.ssl.trustStore", "spark.ssl.ui.keyStore", "spark.ssl.rpc.privateKey", "spark.home",
	"spark.worker.resourcesFile", "spark.driver.resourcesFile", "spark.driver.resource.gpu.discoveryScript",
	"spark.executor.resource.gpu.discoveryScript", "spark.storage.decommission.fallbackStorage.path",
	"spark.hadoop.hadoop.security.credential.provider.path", "spark.hadoop.fs.s3a.security.credential.provider.path",
	"spark.hadoop.hadoop.ssl.server.conf", "spark.hadoop.javax.jdo.option.ConnectionURL", "spark.sql.warehouse.dir", "spark.sql.hive.metastore.jars",
	"spark.sql.hive.metastore.jars.path", "spark.kyuubi.engine.key.file",
	"kyuubi.session.engine.spark.main.resource", "kyuubi.engine.spark.python", "kyuubi.engineEnv.SPARK_HOME", "kyuubi.engineEnv.SPARK_CONF_DIR",
	"kyuubi.engineEnv.HADOOP_CONF_DIR", "kyuubi.engineEnv.JAVA_HOME", "kyuubi.authentication.token.file", "kyuubi.session.local.dir.allow.list",
}

// filePlaces are ways to name a file of the driver's machine.
var filePlaces = []string{
	"/etc/passwd", "//etc/passwd", "file:/etc/passwd", "file:///etc/passwd", "FILE:/etc/passwd", "File:///etc/passwd", "local:/etc/passwd", "LOCAL:///etc/passwd",
	"LoCaL:/etc/passwd", "hdfs:///x,file:/etc/passwd", "a,/etc/passwd", "../../etc/passwd", "jar:file:/etc/passwd!/x", "file:%2fetc%2fpasswd", "ivy://a:b:c",
	"http://169.254.169.254/latest", "classpath:x", " file:/etc/passwd", "file:/etc/passwd#alias", "localjceks://file/etc/x",
}

// TestFilesOfTheDriverCannotBeNamed: no setting that takes a file gets one from
// a client, whatever the spelling of key and place, neither at the launch nor
// by the gateway's own Set before the first call.
func TestFilesOfTheDriverCannotBeNamed(t *testing.T) {
	r := resolver(t, "", nil)
	for _, key := range fileKeys {
		for _, spelled := range []string{key, strings.ToLower(key), strings.ToUpper(key), "x-" + key, "set:" + key} {
			for _, place := range filePlaces {
				checkFilePlace(t, r, key, pairs(spelled, place))
			}
		}
	}
}

func checkFilePlace(t *testing.T, r *Resolver, key string, sent []Pair) {
	t.Helper()
	o, err := r.Resolve("alice", sent)
	require.Empty(t, o.Launch, "%v", sent)
	require.NotContains(t, strings.Join(slices.Collect(maps.Values(o.Choices)), " "), "passwd")
	if err == nil {
		require.Contains(t, judgedBySpark, key, "%v is let in", sent)
	}
}

// judgedBySpark are static settings that pass to the Spark session, which
// refuses to change them.
var judgedBySpark = []string{"spark.sql.warehouse.dir", "spark.sql.hive.metastore.jars.path"}

// TestSlipsOfTheFinger: a Set refuses what was meant to be a launch option, and
// leaves all other unknown options to Spark.
func TestSlipsOfTheFinger(t *testing.T) {
	r := resolver(t, "", nil)
	for key, meant := range map[string]string{
		"spark.drivr.memory": "spark.driver.memory", "spark.executor.core": "spark.executor.cores", "spark.executor.instance": "spark.executor.instances",
	} {
		v := r.Classify("alice", key)
		require.Equal(t, Refused, v.Kind, key)
		require.False(t, v.Err.Unlisted, key)
		require.Contains(t, v.Err.Why, "did you mean "+meant+"?")
	}
	for _, key := range []string{"spark.foo", "spark.my.program.setting", "spark.my.port"} {
		require.True(t, r.Classify("alice", key).Err.Unlisted, key)
	}
	require.Equal(t, Runtime, r.Classify("alice", "spark.sql.shufle.partitions").Kind)
}

// TestSetOfARunningSession: what the Config call of a running session refuses,
// as a second line behind Spark's own checks. SQL SET does not pass here.
func TestSetOfARunningSession(t *testing.T) {
	r := resolver(t, "", nil)
	for _, key := range []string{
		"spark.sql.legacy.setCommandRejectsSparkCoreConfs", "spark.sql.artifact.copyFromLocalToFs.allowDestLocal", "spark.connect.copyFromLocalToFs.allowDestLocal",
		"spark.redaction.regex", "spark.redaction.string.regex", "spark.sql.redaction.options.regex", "spark.sql.redaction.string.regex", "spark.hadoop.fs.defaultFS",
		"spark.hadoop.fs.s3a.secret.key", "spark.kerberos.principal", "spark.kerberos.keytab", "spark.yarn.queue", "spark.yarn.keytab", "spark.security.credentials.hive.enabled",
	} {
		for _, spelled := range []string{key, strings.ToUpper(key), " " + key, "x-" + key, "set:" + key} {
			v := r.Classify("alice", spelled)
			require.Equal(t, Refused, v.Kind, spelled)
			require.False(t, v.Err.Unlisted, "%s: the gateway itself refuses it, with a reason", spelled)
			require.Contains(t, v.Err.Why, "because", spelled)
		}
	}
}
