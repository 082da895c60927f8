// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"roundhouse/conf"
)

// pythonVariable is where Spark Connect takes the interpreter of its workers from.
const pythonVariable = conf.EngineEnvPrefix + "PYSPARK_PYTHON"

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func sparkHome(c *conf.Conf) string {
	if home := c.EngineEnv()["SPARK_HOME"]; home != "" {
		return home
	}
	return os.Getenv("SPARK_HOME")
}

// venvPython is the interpreter of the virtual environment that a Spark
// installed by pip lives in, "" for any other Spark or if PYSPARK_PYTHON is set.
func venvPython(sparkHome string) string {
	if sparkHome == "" || os.Getenv("PYSPARK_PYTHON") != "" {
		return ""
	}
	python := filepath.Join(sparkHome, "..", "..", "..", "..", "bin", "python")
	if filepath.Base(filepath.Dir(sparkHome)) != "site-packages" || !isFile(python) {
		return ""
	}
	return python
}

// pythons remembers the versions of interpreters by path. Each is asked once:
// one that changes its version is seen after a restart. The zero value is ready
// for use.
type pythons struct {
	mu    sync.Mutex
	asked map[string]func() string
}

func (p *pythons) minor(path string) string {
	p.mu.Lock()
	ask := p.asked[path]
	if ask == nil {
		if p.asked == nil {
			p.asked = map[string]func() string{}
		}
		ask = sync.OnceValue(func() string { return pythonMinor(path) })
		p.asked[path] = ask
	}
	p.mu.Unlock()
	return ask()
}

var pythonVersion = regexp.MustCompile(`^Python ([0-9]+\.[0-9]+)`)

// pythonMinor asks an interpreter for its version, such as "3.11"; "" if it does
// not answer. An empty path asks the one that Spark would take.
func pythonMinor(path string) string {
	if path == "" {
		path = os.Getenv("PYSPARK_PYTHON")
	}
	if path == "" {
		path = "python3"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	m := pythonVersion.FindSubmatch(out)
	if err != nil || m == nil {
		return ""
	}
	return string(m[1])
}

// onlyUser is the one user who may have local drivers when callers are
// authenticated: the gateway's own. "" allows everybody: nobody is impersonated
// without authentication, and the break-glass key accepts the risk.
func onlyUser(c *conf.Conf) string {
	if !c.Authenticates() || conf.EngineAllowGatewayUser.Get(c) {
		return ""
	}
	own, err := user.Current()
	if err != nil {
		return "?" // matches no valid user name, so nobody gets in
	}
	return own.Username
}
