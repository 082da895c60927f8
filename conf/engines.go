// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"slices"
	"strings"
)

// PythonVariable is where Spark Connect takes the interpreter of its workers from.
const PythonVariable = EngineEnvPrefix + "PYSPARK_PYTHON"

// EngineBase are the settings of every engine of a user, below what a session
// asks for: those for Spark under Spark's names, and the kyuubi.* ones that may
// differ by user (timeouts, kyuubi.engineEnv.*) under their own. DefaultPython
// is among them as the variable PYSPARK_PYTHON.
func (c *Conf) EngineBase(user string) map[string]string {
	base := map[string]string{}
	own := c.ForUser(user)
	for key, v := range own.values {
		if strings.HasPrefix(key, "kyuubi.") && !isServerOnly(key) {
			base[key] = v.text
		}
		name, ok := sparkName(key)
		if _, direct := own.values[name]; ok && (name == key || !direct) {
			base[name] = v.text
		}
	}
	if python := c.DefaultPython(user); python != "" {
		base[PythonVariable] = python
	}
	return base
}

// EngineText is all that the settings say about engines, of all users, in one text: where it
// is equal they say the same. It holds secrets.
func (c *Conf) EngineText() string {
	lines := engineLines("", c.values)
	for user, values := range c.users {
		lines = append(lines, engineLines(userMark+user+userMark+".", values)...)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\x00")
}

func engineLines(prefix string, values map[string]value) (lines []string) {
	for key, v := range values {
		_, sparks := sparkName(key)
		if sparks || strings.HasPrefix(key, "kyuubi.") && !isServerOnly(key) {
			lines = append(lines, prefix+key+"="+v.text)
		}
	}
	return lines
}

// sparkName is the name under which Spark reads a setting that is not one of
// kyuubi.*: hadoop.* and hive.* get a prefix, as in Kyuubi.
func sparkName(key string) (string, bool) {
	switch {
	case strings.HasPrefix(key, "spark."):
		return key, true
	case strings.HasPrefix(key, "hadoop."):
		return "spark.hadoop." + key, true
	case strings.HasPrefix(key, "hive."):
		return "spark." + key, true
	}
	return "", false
}

// EngineEnv is the environment that kyuubi.engineEnv.* adds to engines.
func (c *Conf) EngineEnv() map[string]string { return c.WithPrefix(EngineEnvPrefix) }

// DefaultPython is the interpreter of a user's engines,
// kyuubi.engine.spark.python; "" leaves the choice to Spark.
func (c *Conf) DefaultPython(user string) string { return EnginePython.Get(c.ForUser(user)) }

// EnginePython is the interpreter of a user's engines for clients of a minor
// version such as "3.11", kyuubi.engine.spark.python.<minor>; "" if none is set.
func (c *Conf) EnginePython(user, minor string) string {
	text, _ := c.ForUser(user).Raw(EnginePythonPrefix + minor)
	path, _ := EnginePython.kind.parse(c.expand(text)) // checked when it was loaded
	return path
}
