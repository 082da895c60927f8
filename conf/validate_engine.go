// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// unsafeSetting is a setting of engines that the administrator may not make,
// because it undoes what keeps users, or the engine and its gateway, apart.
type unsafeSetting struct {
	key string
	// bad says whether a value is one of those.
	bad func(value string) bool
	// why is what could happen, and what to do instead.
	why string
}

const (
	overwrites = "clients could overwrite files of the engine's machine, those of the gateway among them: remove the line"
	debugger   = "it opens a port on the network by which anybody can run code in the engine: " +
		"bind it to this machine (address=127.0.0.1:5005), or give the port authentication"
	relative = "every entry must be an absolute path, because engines run in a folder that the code of users can write to"
	shared   = "all engines would have the same key, and users could read it: remove it, the gateway makes a key for each engine"
	later    = "engines at YARN and Kubernetes come with a later version; use local[*] or spark://host:port"
	remote   = "the engine would become a client of another server instead of a driver: remove it, and name the master by spark.master"
)

// unsafeSettings is immutable. Facts: reliability S2, S8 and S11; the plugin's
// own rules are in engine/plugin/DESIGN.md.
var unsafeSettings = []unsafeSetting{
	{"spark.connect.grpc.binding.address", not("127.0.0.1", "localhost"), "the engine could be reached past the gateway, without its rules: " +
		"remove the line, engines listen on 127.0.0.1"},
	{"spark.connect.grpc.binding.port", not("0"), "engines of one machine would fight for the port, and its clients reach the wrong one: " +
		"remove the line, each engine takes a free port"},
	{"spark.connect.authenticate.token", isSet, shared},
	{"kyuubi.engineEnv.SPARK_CONNECT_AUTHENTICATE_TOKEN", isSet, shared},
	{"spark.connect.execute.reattachable.enabled", not("true"), "a client whose connection breaks, or whose gateway restarts, would lose its query: remove the line"},
	{"spark.connect.session.manager.defaultSessionTimeout", not("-1"), "Spark would end sessions that still work or have streams: " +
		"remove the line and set kyuubi.session.idle.timeout"},
	{"spark.sql.artifact.copyFromLocalToFs.allowDestLocal", not("false"), overwrites},
	{"spark.connect.copyFromLocalToFs.allowDestLocal", not("false"), overwrites},
	{"spark.submit.proxyUser.allowCustomClasspathInClusterMode", not("false"), "jars of a user would run before Spark takes that user's identity: remove the line"},
	{"spark.kyuubi.engine.key.file", isSet, "it is the place of the engine's keys: remove the line, the gateway sets it for each engine"},
	{"spark.kyuubi.engine.gateway.url", isSet, "engines would hand themselves over to another gateway: remove the line, the gateway sets it"},
	{"spark.redaction.regex", showsSecrets, "the pages and logs of Spark would show passwords: " +
		"remove the line, or let the pattern match password, secret, token and access.key"},
	{"spark.submit.deployMode", not("client", ""), "engines run in client mode only, as processes of this machine that the gateway watches: remove the line"},
	{"spark.master", notBuilt, later},
	{"spark.remote", isSet, remote},
	{"kyuubi.engineEnv.SPARK_REMOTE", isSet, remote},
	{"spark.driver.extraJavaOptions", opensPort, debugger},
	{"spark.driver.defaultJavaOptions", opensPort, debugger},
	{"spark.executor.extraJavaOptions", opensPort, debugger},
	{"spark.executor.defaultJavaOptions", opensPort, debugger},
	{"kyuubi.engineEnv.JAVA_TOOL_OPTIONS", opensPort, debugger},
	{"kyuubi.engineEnv.JDK_JAVA_OPTIONS", opensPort, debugger},
	{"kyuubi.engineEnv._JAVA_OPTIONS", opensPort, debugger},
	{"kyuubi.engineEnv.SPARK_SUBMIT_OPTS", opensPort, debugger},
	{"kyuubi.engineEnv.PATH", relativeEntry(":"), relative},
	{"kyuubi.engineEnv.LD_LIBRARY_PATH", relativeEntry(":"), relative},
	{"kyuubi.engineEnv.LD_PRELOAD", relativeEntry(": "), relative},
	{"kyuubi.engineEnv.PYTHONPATH", relativeEntry(":"), relative},
}

func isSet(value string) bool { return value != "" }

// notBuilt finds the masters that this version does not have.
func notBuilt(master string) bool {
	lower := strings.ToLower(master)
	return strings.HasPrefix(lower, "yarn") || strings.HasPrefix(lower, "k8s:")
}

// not is every value but these.
func not(safe ...string) func(string) bool {
	return func(value string) bool {
		return !slices.ContainsFunc(safe, func(s string) bool { return strings.EqualFold(s, value) })
	}
}

// relativeEntry finds an entry that is looked up from the working folder. An
// empty one means that folder too, for the shell and for the linker.
func relativeEntry(separators string) func(string) bool {
	return func(value string) bool {
		entries := regexp.MustCompile("["+separators+"]").Split(value, -1)
		return slices.ContainsFunc(entries, func(e string) bool { return !filepath.IsAbs(e) })
	}
}

var (
	// debugAgent is the address of a debugger; without a host the JVM binds it
	// to this machine (JDK 9 and later).
	debugAgent = regexp.MustCompile(`jdwp[=:]\S*?address=(\*|[^\s,:]+):`)
	jmxPort    = regexp.MustCompile(`-Dcom\.sun\.management\.jmxremote\.port=`)
	jmxOpen    = regexp.MustCompile(`-Dcom\.sun\.management\.jmxremote\.authenticate=false`)
	jmxLocal   = regexp.MustCompile(`-Dcom\.sun\.management\.jmxremote\.host=(127\.0\.0\.1|localhost)\b`)
)

// opensPort finds JVM options that let everybody on the network run code.
func opensPort(options string) bool {
	if m := debugAgent.FindStringSubmatch(options); m != nil && !isLoopback(m[1]) {
		return true
	}
	return jmxPort.MatchString(options) && jmxOpen.MatchString(options) && !jmxLocal.MatchString(options)
}

// secretNames are names of settings that hold secrets.
var secretNames = []string{"spark.ssl.keyPassword", "spark.authenticate.secret", "fs.x.token", "fs.s3a.access.key"}

// showsSecrets says whether a pattern leaves secrets unmasked. One that only
// Java understands is believed.
func showsSecrets(pattern string) bool {
	re, err := regexp.Compile(pattern)
	return err == nil && slices.ContainsFunc(secretNames, func(name string) bool { return !re.MatchString(name) })
}

// checkEngineSettings looks for unsafe settings of engines: the server's and
// the defaults of users.
func checkEngineSettings(c *Conf) Faults { return inAll(c, unsafeIn) }

// inAll looks at the settings of the server and at the defaults of each user,
// whose keys have a prefix in the file.
func inAll(c *Conf, look func(prefix string, values map[string]value) Faults) Faults {
	faults := look("", c.values)
	for _, user := range slices.Sorted(maps.Keys(c.users)) {
		faults = append(faults, look(userMark+user+userMark+".", c.users[user])...)
	}
	return faults
}

func unsafeIn(prefix string, values map[string]value) (faults Faults) {
	for _, u := range unsafeSettings {
		if v, ok := values[u.key]; ok && u.bad(v.text) {
			faults = append(faults, Fault{At: v.from, Key: prefix + u.key, Text: u.why})
		}
	}
	return faults
}

// sparkValues are settings that Spark reads at its start: with a wrong value no
// engine would come up, and every session would meet that. What is allowed
// beyond the form is the administrator's choice.
var sparkValues = []struct {
	keys []string
	form func(string) error
}{
	{[]string{
		"spark.driver.memory", "spark.driver.memoryOverhead", "spark.driver.maxResultSize", "spark.executor.memory", "spark.executor.memoryOverhead",
		"spark.executor.pyspark.memory", "spark.memory.offHeap.size",
	}, func(s string) error { _, err := parseSize(s, mib); return err }},
	{[]string{"spark.driver.cores", "spark.executor.cores", "spark.executor.instances", "spark.task.cpus", "spark.cores.max"},
		func(s string) error { _, err := intKind(0, 1<<20).parse(s); return err }},
	{[]string{"spark.dynamicAllocation.enabled", "spark.memory.offHeap.enabled", "spark.eventLog.enabled", "spark.ui.enabled"},
		func(s string) error { _, err := parseBool(s); return err }},
}

// checkSparkValues looks at the form of what engines get.
func checkSparkValues(c *Conf) Faults { return inAll(c, wrongValues) }

func wrongValues(prefix string, values map[string]value) (faults Faults) {
	for _, group := range sparkValues {
		for _, key := range group.keys {
			v, ok := values[key]
			if !ok {
				continue
			}
			if err := group.form(v.text); err != nil {
				faults = append(faults, Fault{At: v.from, Key: prefix + key, Text: "no engine could start: " + err.Error()})
			}
		}
	}
	return faults
}

// checkProfiles reads every profile: a broken one would refuse all sessions
// that name it.
func checkProfiles(c *Conf, _ func(string) string) (faults Faults) {
	if c.dir == "" {
		return nil
	}
	files, _ := filepath.Glob(filepath.Join(c.dir, profilePrefix+"*"+profileSuffix)) // fails for a broken pattern only
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), profilePrefix), profileSuffix)
		o := Options{Launch: map[string]string{}, Session: map[string]string{}, Choices: map[string]string{}}
		if err := o.applyProfile(c.dir, name); err != nil {
			faults = append(faults, Fault{At: Source{File: file}, Text: err.Error()})
			continue
		}
		faults = append(faults, unsafeInProfile(file, o)...)
	}
	for _, name := range SessionProfile.Get(c) {
		if !slices.Contains(files, filepath.Join(c.dir, profilePrefix+name+profileSuffix)) {
			faults = append(faults, c.blame(SessionProfile.Key, "there is no profile %s (%s%s%s in %s), so no session could open: "+
				"make the file or remove the name", name, profilePrefix, name, profileSuffix, c.dir)...)
		}
	}
	return faults
}

func unsafeInProfile(file string, o Options) (faults Faults) {
	for _, settings := range []map[string]string{o.Launch, o.Session} {
		for _, u := range unsafeSettings {
			if text, ok := settings[u.key]; ok && u.bad(text) {
				faults = append(faults, Fault{At: Source{File: file}, Key: u.key, Text: u.why})
			}
		}
	}
	return faults
}

// The name of a profile's file is its name between these.
const (
	profilePrefix = "kyuubi-session-"
	profileSuffix = ".conf"
)
