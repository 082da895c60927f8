// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"time"

	"roundhouse/conf"
)

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

// askAgain is how long an interpreter that did not answer is taken for unknown.
const askAgain = time.Minute

// pythons remembers the versions of interpreters by path. One that has answered
// is not asked again: if it changes its version, a restart is needed.
type pythons struct {
	log *slog.Logger

	mu    sync.Mutex
	asked map[string]*python
}

// python is one interpreter; mu lets one session at a time ask it.
type python struct {
	mu     sync.Mutex
	minor  string
	failed time.Time // of the last try, zero if there was none
}

func (p *pythons) minor(path string) string {
	p.mu.Lock()
	one := p.asked[path]
	if one == nil {
		if p.asked == nil {
			p.asked = map[string]*python{}
		}
		one = &python{}
		p.asked[path] = one
	}
	p.mu.Unlock()
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.minor != "" || !one.failed.IsZero() && time.Since(one.failed) < askAgain {
		return one.minor
	}
	minor, err := pythonMinor(path)
	if err != nil {
		one.failed = time.Now()
		p.log.Warn("a Python interpreter does not tell its version; sessions get engines without looking at their own Python", "interpreter", path, "err", err)
	}
	one.minor = minor
	return minor
}

var pythonVersion = regexp.MustCompile(`^Python ([0-9]+\.[0-9]+)`)

// pythonMinor asks an interpreter for its version, such as "3.11". An empty path
// asks the one that Spark would take.
func pythonMinor(path string) (string, error) {
	if path == "" {
		path = os.Getenv("PYSPARK_PYTHON")
	}
	if path == "" {
		path = "python3"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.WaitDelay = time.Second // what it started may hold its output open
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", path, err)
	}
	m := pythonVersion.FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("%s --version says %.100q", path, out)
	}
	return string(m[1]), nil
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

// serverUser is the user who runs the gateway and owns the engines of all users; one
// without a name, as in some containers, has a made one.
func serverUser() string {
	own, err := user.Current()
	if err != nil {
		return "uid" + strconv.Itoa(os.Geteuid())
	}
	return own.Username
}

// refusedGroups are the groups as which no engine may run: accounts of the system come in
// only where nobody is authenticated.
func refusedGroups(c *conf.Conf) []string {
	if !c.Authenticates() {
		return nil
	}
	return conf.RefusedUsers.Get(c)
}
