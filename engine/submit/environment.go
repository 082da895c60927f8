// SPDX-License-Identifier: Apache-2.0

package submit

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"roundhouse/engine"
)

// inherited are the variables of the gateway that a driver sees: what it needs
// to find its programs, its configuration and its language, no secrets.
var inherited = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE",
	"LD_LIBRARY_PATH", "JAVA_HOME", "KRB5_CONFIG",
	"SPARK_HOME", "SPARK_CONF_DIR", "SPARK_LOCAL_DIRS", "SPARK_LOCAL_IP", "SPARK_DIST_CLASSPATH", "SPARK_SCALA_VERSION",
	"HADOOP_HOME", "HADOOP_CONF_DIR", "YARN_CONF_DIR",
	"PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON",
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// environment is the whole environment of a driver: the allow-list, then
// kyuubi.engineEnv.*, then what the gateway itself sets.
func (l *Launcher) environment(settings map[string]string, launch engine.Launch, home string) (map[string]string, error) {
	variables := map[string]string{}
	for _, name := range inherited {
		if value := l.opts.Getenv(name); value != "" {
			variables[name] = value
		}
	}
	for key, value := range settings {
		name, ok := strings.CutPrefix(key, engineEnv)
		if !ok {
			continue
		}
		if !variableName.MatchString(name) || strings.ContainsRune(value, 0) {
			return nil, fmt.Errorf("the setting %s%q does not name an environment variable with a usable value; correct it", engineEnv, name)
		}
		variables[name] = value
	}
	variables["SPARK_HOME"] = home
	variables["KYUUBI_ENGINE_REF_ID"] = launch.RefID
	if launch.Spec.Python != "" {
		// The Connect service takes its workers' interpreter from here.
		variables["PYSPARK_PYTHON"] = launch.Spec.Python
		delete(variables, "PYSPARK_DRIVER_PYTHON")
	}
	return variables, nil
}

// confDir is where spark-submit would look for spark-defaults.conf.
func confDir(environment map[string]string, home string) string {
	if dir := environment["SPARK_CONF_DIR"]; dir != "" {
		return dir
	}
	return filepath.Join(home, "conf")
}

// list is the environment in the form of execve(2), sorted.
func list(variables map[string]string) []string {
	all := make([]string, 0, len(variables))
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		all = append(all, name+"="+variables[name])
	}
	return all
}
