// SPDX-License-Identifier: Apache-2.0

// Package standalone drives the gateway with a real standalone master and
// worker of Spark, on the loopback address.
package standalone

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// cluster is a standalone master, and a worker with one core.
type cluster struct {
	t      *testing.T
	port   int
	uiPort int
	dir    string
}

// app is an application as the master shows it.
type app struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	State string `json:"state"`
}

// state is what the master's page tells.
type state struct {
	Workers   int   `json:"aliveworkers"`
	CoresUsed int   `json:"coresused"`
	Active    []app `json:"activeapps"`
	Completed []app `json:"completedapps"`
}

// startMaster starts a master without workers, which ends with the test.
func startMaster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, port: env.FreePort(t), uiPort: env.FreePort(t), dir: t.TempDir()}
	c.daemon("master", "org.apache.spark.deploy.master.Master",
		"--host", "127.0.0.1", "--port", strconv.Itoa(c.port), "--webui-port", strconv.Itoa(c.uiPort))
	require.Eventually(t, func() bool { _, err := c.read(); return err == nil }, time.Minute, 100*time.Millisecond, "the master does not answer")
	return c
}

// addWorker adds a worker with one core and 600 MiB.
func (c *cluster) addWorker() {
	c.t.Helper()
	c.daemon("worker", "org.apache.spark.deploy.worker.Worker",
		"--host", "127.0.0.1", "--port", "0", "--webui-port", "0", "-c", "1", "-m", "600m", "-d", filepath.Join(c.dir, "work"), c.url())
	c.eventually("the worker is registered", func(s state) bool { return s.Workers == 1 })
}

// daemon starts a class of Spark and ends it with the test.
func (c *cluster) daemon(name, class string, args ...string) {
	c.t.Helper()
	home := env.SparkHome(c.t)
	log, err := os.Create(filepath.Join(c.dir, name+".log"))
	require.NoError(c.t, err)
	defer func() { _ = log.Close() }()
	cmd := exec.Command(filepath.Join(home, "bin", "spark-class"), append([]string{class}, args...)...)
	cmd.Env = append(os.Environ(), "SPARK_HOME="+home, "SPARK_LOCAL_IP=127.0.0.1", "SPARK_DAEMON_MEMORY=400m",
		"SPARK_MASTER_OPTS=-Dspark.master.rest.enabled=false")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(c.t, cmd.Start())
	c.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(20*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		defer timer.Stop()
		_ = cmd.Wait()
	})
}

func (c *cluster) url() string { return fmt.Sprintf("spark://127.0.0.1:%d", c.port) }

// page reads a page of the master.
func (c *cluster) page(path string) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	c.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", c.uiPort, path), nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(req)
}

func (c *cluster) read() (s state, err error) {
	r, err := c.page("/json/")
	if err != nil {
		return s, err
	}
	defer func() { _ = r.Body.Close() }()
	return s, json.NewDecoder(r.Body).Decode(&s)
}

func (c *cluster) eventually(what string, ok func(state) bool) state {
	c.t.Helper()
	var last state
	require.Eventuallyf(c.t, func() bool {
		s, err := c.read()
		last = s
		return err == nil && ok(s)
	}, time.Minute, 100*time.Millisecond, "%s: %v", what, &last)
	return last
}

var csrf = regexp.MustCompile(`csrfToken"\s+value="([0-9a-f]+)"`)

// kill ends an application as an administrator does on the master's page.
func (c *cluster) kill(id string) {
	c.t.Helper()
	r, err := c.page("/")
	require.NoError(c.t, err)
	defer func() { _ = r.Body.Close() }()
	page := make([]byte, 1<<20)
	n := 0
	for {
		more, err := r.Body.Read(page[n:])
		n += more
		if err != nil {
			break
		}
	}
	form := url.Values{"id": {id}, "terminate": {"true"}}
	if m := csrf.FindSubmatch(page[:n]); m != nil {
		form.Set("csrfToken", string(m[1]))
	}
	answer, err := http.PostForm(fmt.Sprintf("http://127.0.0.1:%d/app/kill/", c.uiPort), form)
	require.NoError(c.t, err)
	_ = answer.Body.Close()
	require.Less(c.t, answer.StatusCode, 400, "the master refuses to kill %s", id)
}

// settings are those of a gateway that launches to the cluster.
func (c *cluster) settings(more ...string) map[string]string {
	all := map[string]string{
		"spark.master": c.url(), "spark.master.ui.port": strconv.Itoa(c.uiPort),
		"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
		"spark.cores.max": "1", "spark.executor.memory": "512m", "spark.driver.memory": "600m",
	}
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}
