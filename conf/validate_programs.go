// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// checkSparkHomes looks whether the Spark that is named can be launched, if one is.
func checkSparkHomes(c *Conf, getenv func(string) string) (faults Faults) {
	const key = EngineEnvPrefix + "SPARK_HOME"
	if v, ok := c.values[key]; ok {
		faults = append(faults, sparkFault(Fault{At: v.from, Key: key}, v.text)...)
	} else if home := getenv("SPARK_HOME"); home != "" {
		faults = append(faults, sparkFault(Fault{Key: "SPARK_HOME (environment)"}, home)...)
	}
	for _, user := range slices.Sorted(maps.Keys(c.users)) {
		if v, ok := c.users[user][key]; ok {
			faults = append(faults, sparkFault(Fault{At: v.from, Key: userMark + user + userMark + "." + key}, v.text)...)
		}
	}
	return faults
}

func sparkFault(at Fault, home string) Faults {
	submit := filepath.Join(home, "bin", "spark-submit")
	switch why := programFault(submit); {
	case !filepath.IsAbs(home):
		at.Text = fmt.Sprintf("%q is no absolute path", home)
	case !isFolder(home):
		at.Text = home + " is not a folder"
	case why != "":
		at.Text = fmt.Sprintf("there is no Spark to launch in %s, because bin/spark-submit %s", home, why)
	default:
		return nil
	}
	at.Text += ": name the folder of a Spark 4 distribution, the one that has bin/spark-submit in it"
	return Faults{at}
}

// checkPrograms looks at what engines run: the plugin and the interpreters.
func checkPrograms(c *Conf, _ func(string) string) (faults Faults) {
	if jar := EngineMainResource.Get(c); jar != "" {
		faults = append(faults, c.jarFault(jar)...)
	}
	for key, v := range c.values {
		if path := c.expand(v.text); strings.HasPrefix(key, EnginePython.Key) && openToAll(path) {
			faults = append(faults, c.blame(key, "every user of this machine can change %s, which engines of all users run: chmod o-w %s", path, path)...)
		}
	}
	return faults
}

func (c *Conf) jarFault(jar string) Faults {
	key := EngineMainResource.Key
	info, err := os.Stat(jar)
	switch {
	case err != nil:
		return c.blame(key, "the engine plugin cannot be found (%v): correct the path, or remove the line to use the one that came with the gateway", err)
	case !info.Mode().IsRegular():
		return c.blame(key, "%s is no file: name the jar of the engine plugin", jar)
	case openToAll(jar) || openAbove(filepath.Dir(jar)) != "":
		return c.blame(key, "every user of this machine can change or replace %s, which runs in all engines: chmod o-w the file and its folders", jar)
	}
	return nil
}

// programFault says why a program cannot or must not be run, "" if it can.
func programFault(path string) string {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "does not exist"
	case err != nil:
		return fmt.Sprintf("cannot be found (%v)", err)
	case !info.Mode().IsRegular():
		return "is no file"
	case unix.Access(path, unix.X_OK) != nil:
		return fmt.Sprintf("may not be executed by the gateway (uid %d)", os.Geteuid())
	case openToAll(path):
		return "can be changed by every user of this machine (chmod o-w " + path + ")"
	}
	return ""
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// oldestJava is the oldest version that Spark 4 runs on.
const oldestJava = 17

// checkJava looks whether a real Spark would find a Java. One that its own
// spark-env.sh names is not looked at.
func checkJava(c *Conf, getenv func(string) string) Faults {
	spark, home := c.variable("SPARK_HOME", getenv), c.variable("JAVA_HOME", getenv)
	own := filepath.Join(cmp.Or(c.variable("SPARK_CONF_DIR", getenv), filepath.Join(spark, "conf")), "spark-env.sh")
	if _, err := os.Stat(own); err == nil || !isRealSpark(spark) {
		return nil
	}
	java := filepath.Join(home, "bin", "java")
	if home == "" {
		java = searchPath(c.variable("PATH", getenv), "java")
	}
	if java == "" {
		return c.javaFault("Spark cannot start, because there is no Java: JAVA_HOME is not set and PATH has no java")
	}
	if why := programFault(java); why != "" {
		return c.javaFault("Spark cannot start, because %s %s", java, why)
	}
	if version := javaVersion(java); version != 0 && version < oldestJava {
		return c.javaFault("%s is Java %d, and Spark 4 needs %d", java, version, oldestJava)
	}
	return nil
}

// variable is what an engine sees of a variable of the environment.
func (c *Conf) variable(name string, getenv func(string) string) string {
	if v, ok := c.values[EngineEnvPrefix+name]; ok {
		return v.text
	}
	return getenv(name)
}

func (c *Conf) javaFault(format string, args ...any) Faults {
	const key = EngineEnvPrefix + "JAVA_HOME"
	f := Fault{Key: "JAVA_HOME (environment)", Text: fmt.Sprintf(format, args...) +
		fmt.Sprintf(": set JAVA_HOME (in conf/kyuubi-env.sh, or as %s) to a Java of version %d or later", key, oldestJava)}
	if v, ok := c.values[key]; ok {
		f.At, f.Key = v.from, key
	}
	return Faults{f}
}

func isRealSpark(home string) bool {
	jars, _ := filepath.Glob(filepath.Join(home, "jars", "spark-core_*.jar")) // fails for a broken pattern only
	return home != "" && len(jars) > 0
}

// searchPath finds a program as a shell does; "" if it is not there.
func searchPath(path, name string) string {
	dirs := filepath.SplitList(path)
	i := slices.IndexFunc(dirs, func(dir string) bool { return unix.Access(filepath.Join(dir, name), unix.X_OK) == nil })
	if i < 0 {
		return ""
	}
	return filepath.Join(dirs[i], name)
}

// javaVersion is the feature version of a java by the file "release" of its
// home; 0 if that does not tell.
func javaVersion(java string) (version int) {
	real, err := filepath.EvalSymlinks(java)
	if err != nil {
		return 0
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(real)), "release"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if quoted, ok := strings.CutPrefix(line, `JAVA_VERSION="`); ok {
			_, _ = fmt.Sscanf(strings.TrimPrefix(quoted, "1."), "%d", &version) // 0 if it is no number
		}
	}
	return version
}
