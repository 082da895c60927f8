// SPDX-License-Identifier: Apache-2.0

package conf

import (
	_ "embed"
	"strings"
)

// spark_sql_keys.txt holds the names of all settings that Spark 4.3 registers
// for a session, one a line, with the word "static" behind those that cannot
// change after the start. To renew it: list SQLConf's registered entries (the
// public ones are what `SET -v` shows) with isStaticConfigKey.
//
//go:embed spark_sql_keys.txt
var sparkSQLKeysText string

// sparkSQLKey is Spark's spelling of a setting of a session.
type sparkSQLKey struct {
	key    string
	static bool
}

// sparkSQLKeys finds Spark's spelling by the lower-case one.
var sparkSQLKeys = readSparkSQLKeys(sparkSQLKeysText)

func readSparkSQLKeys(text string) map[string]sparkSQLKey {
	index := map[string]sparkSQLKey{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) > 0 {
			index[strings.ToLower(words[0])] = sparkSQLKey{words[0], len(words) > 1}
		}
	}
	return index
}

// danger is a family of settings that a client must never set, with the reason.
type danger struct {
	prefix string // lower-case; ends in "." for a family, else the whole key or a prefix of it
	why    string
}

const (
	loadsCode   = "it makes Spark load code before the session starts"
	readsFiles  = "it names files of the gateway's machine"
	isOurs      = "the gateway sets it"
	isIdentity  = "it decides under whose name things happen"
	isPlacement = "it decides where the engine runs"
)

// dangers are the reasons behind refusals. For spark.* keys outside spark.sql.
// and for kyuubi.* ones the table is not the boundary: what launch_keys.go does
// not list is refused without it.
var dangers = []danger{
	{"spark.sql.artifact.copyfromlocaltofs.allowdestlocal", "it lets a session overwrite files of the driver's machine"},
	{"spark.sql.legacy.setcommandrejectssparkcoreconfs", "it opens Spark's core settings to sessions"},
	{"spark.sql.extensions", loadsCode},
	{"spark.sql.queryexecutionlisteners", loadsCode},
	{"spark.sql.streaming.streamingquerylisteners", loadsCode},
	{"spark.sql.cache.serializer", loadsCode},
	{"spark.sql.hive.metastore.jars", loadsCode},
	{"spark.sql.redaction.", "it turns off the masking of secrets"},
	{"spark.connect.ml.backend.classes", loadsCode},
	{"spark.connect.copyfromlocaltofs.allowdestlocal", "it lets a session overwrite files of the driver's machine"},
	{"spark.master", isPlacement},
	{"spark.submit.", isPlacement},
	{"spark.home", isPlacement},
	{"spark.driver.extra", loadsCode},
	{"spark.executor.extra", loadsCode},
	{"spark.driver.default", loadsCode},
	{"spark.executor.default", loadsCode},
	{"spark.driver.userclasspathfirst", loadsCode},
	{"spark.executor.userclasspathfirst", loadsCode},
	{"spark.driver.", isOurs},
	{"spark.plugins", loadsCode},
	{"spark.extralisteners", loadsCode},
	{"spark.jars", readsFiles},
	{"spark.files", readsFiles},
	{"spark.archives", readsFiles},
	{"spark.pyfiles", readsFiles},
	{"spark.pyspark.", "it names the program that Python functions run in"},
	{"spark.r.", "it names the program that R functions run in"},
	{"spark.executorenv.", loadsCode},
	{"spark.kubernetes.", isPlacement},
	{"spark.yarn.", isPlacement},
	{"spark.kerberos.", isIdentity},
	{"spark.security.", isIdentity},
	{"spark.authenticate", isIdentity},
	{"spark.acls.", isIdentity},
	{"spark.admin.", isIdentity},
	{"spark.hadoop.", "it changes what the file systems and their credentials are"},
	{"spark.connect.", isOurs},
	{"spark.redaction.", "it turns off the masking of secrets"},
	{"spark.launcher.", isPlacement},
	{"spark.local.dir", readsFiles},
	{"spark.eventlog.", readsFiles},
	{"spark.metrics.conf", readsFiles},
	{"spark.scheduler.allocation.file", readsFiles},
	{"spark.checkpoint.dir", readsFiles},
	{"spark.ui.", isOurs},
	{"spark.ssl.", isIdentity},
	{"spark.kyuubi.", isOurs},
}

// dangerOf is the reason why a lower-case key is dangerous, or "".
func dangerOf(lower string) string {
	for _, d := range dangers {
		if strings.HasPrefix(lower, d.prefix) {
			return d.why
		}
	}
	return ""
}
