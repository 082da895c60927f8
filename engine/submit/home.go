// SPDX-License-Identifier: Apache-2.0

package submit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// engineEnv begins the settings of an engine's environment.
const engineEnv = "kyuubi.engineEnv."

const homeHint = "set kyuubi.engineEnv.SPARK_HOME in conf/kyuubi-defaults.conf, or SPARK_HOME in the gateway's environment " +
	"(conf/kyuubi-env.sh), to the folder of a Spark 4 distribution"

func submitPath(home string) string { return filepath.Join(home, "bin", "spark-submit") }

// SparkHome is the Spark of engines without settings of their own; the error
// names the keys to set.
func (l *Launcher) SparkHome() (string, error) { return l.sparkHome(l.opts.Base("")) }

func (l *Launcher) sparkHome(settings map[string]string) (string, error) {
	home, from := settings[engineEnv+"SPARK_HOME"], engineEnv+"SPARK_HOME"
	if home == "" {
		home, from = l.opts.Getenv("SPARK_HOME"), "SPARK_HOME"
	}
	if home == "" {
		return "", errors.New("no Spark is configured; " + homeHint)
	}
	if info, err := os.Stat(home); err != nil || !info.IsDir() {
		return "", fmt.Errorf("%s is %s, which is not a folder; %s", from, home, homeHint)
	}
	switch err := executable(submitPath(home)); {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%s is %s, but there is no bin/spark-submit in it; %s", from, home, homeHint)
	case err != nil:
		return "", fmt.Errorf("%s cannot be executed by the gateway's user (%w); correct its permissions, or %s", submitPath(home), err, homeHint)
	}
	return home, nil
}

func (l *Launcher) checkPlugin() error {
	if info, err := os.Stat(l.opts.PluginJar); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("the engine plugin %q is not there; build it (make build), or set "+
			"kyuubi.session.engine.spark.main.resource to its jar", l.opts.PluginJar)
	}
	return nil
}

// checkPython looks at an interpreter that is given as a path; a bare name is
// left to the search of the engine.
func checkPython(python string) error {
	if !filepath.IsAbs(python) {
		return nil
	}
	if err := executable(python); err != nil {
		return fmt.Errorf("the Python %s for this client's version cannot be executed (%w); install it, or correct "+
			"kyuubi.engine.spark.python.<minor version>", python, err)
	}
	return nil
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a file")
	}
	return unix.Access(path, unix.X_OK)
}
