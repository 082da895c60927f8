// SPDX-License-Identifier: Apache-2.0

package env

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long a gateway may take: to be ready, to end, and until no
// process of its engines is left.
type patience struct{ ready, end, left time.Duration }

// Gateway is a gateway process with a home of its own.
type Gateway struct {
	Home string
	// GRPC and REST are host:port.
	GRPC, REST string
	// Token is the bearer of REST calls; "" calls with a bare user name.
	Token string
	// Client makes REST calls where the port speaks TLS, with the caller's certificate
	// where there is no token; nil is the default one.
	Client *http.Client
	// Binary is the program that Start runs, Environ what its environment has
	// beside that of Env, Attr what is special about its process.
	Binary  string
	Environ []string
	Attr    *syscall.SysProcAttr

	t        testing.TB
	conf     map[string]string
	cmd      *exec.Cmd
	over     chan struct{}
	patience patience
}

// Engine is an engine as REST shows it.
type Engine struct {
	RefID      string            `json:"refId"`
	User       string            `json:"user"`
	Subdomain  string            `json:"subdomain"`
	Namespace  string            `json:"namespace"`
	Instance   string            `json:"instance"`
	State      string            `json:"state"`
	PID        int               `json:"pid"`
	Sessions   int               `json:"sessions"`
	Log        string            `json:"log"`
	Attributes map[string]string `json:"attributes"`
	// AppState and AppDiagnostic are those of a resource manager.
	AppState      string `json:"appState"`
	AppDiagnostic string `json:"appDiagnostic"`
}

// Session is a session as REST shows it.
type Session struct {
	Identifier string `json:"identifier"`
	User       string `json:"user"`
	EngineID   string `json:"engineId"`
	EngineRef  string `json:"engineRefId"`
}

// Start starts a gateway with real Spark, or with the SPARK_HOME that conf names
// by kyuubi.engineEnv.SPARK_HOME, and waits until it is ready. At the end of
// the test it is stopped, and no engine process may be left.
func Start(t testing.TB, conf map[string]string) *Gateway {
	t.Helper()
	g := Prepare(t, conf)
	g.StartUntilCleanup()
	return g
}

// StartUntilCleanup runs the prepared gateway until the end of the test.
func (g *Gateway) StartUntilCleanup() {
	g.t.Helper()
	g.t.Cleanup(g.cleanup) // also if it does not become ready
	g.Start()
}

// Prepare makes the home of a gateway without starting it.
func Prepare(t testing.TB, conf map[string]string) *Gateway {
	t.Helper()
	grpc, rest := FreePorts(t)
	g := &Gateway{
		Home: t.TempDir(), Binary: Binary(t), t: t,
		GRPC: fmt.Sprintf("127.0.0.1:%d", grpc), REST: fmt.Sprintf("127.0.0.1:%d", rest),
		patience: patience{ready: 30 * time.Second, end: time.Minute, left: 20 * time.Second},
	}
	g.conf = map[string]string{
		"kyuubi.frontend.spark.connect.enabled":     "true",
		"kyuubi.frontend.spark.connect.bind.port":   fmt.Sprint(grpc),
		"kyuubi.frontend.rest.bind.port":            fmt.Sprint(rest),
		"kyuubi.session.engine.spark.main.resource": "",
		"spark.master":                 "local[2]",
		"spark.driver.memory":          "1g",
		"spark.ui.enabled":             "false",
		"spark.sql.shuffle.partitions": "2",
		"spark.sql.warehouse.dir":      filepath.Join(g.Home, "warehouse"),
	}
	maps.Copy(g.conf, conf)
	if g.conf["kyuubi.engineEnv.SPARK_HOME"] == "" {
		g.conf["kyuubi.engineEnv.SPARK_HOME"] = SparkHome(t)
		g.conf["kyuubi.engineEnv.PYSPARK_PYTHON"] = Python(t, "4.3")
	}
	if g.conf["kyuubi.session.engine.spark.main.resource"] == "" {
		g.conf["kyuubi.session.engine.spark.main.resource"] = PluginJar(t)
	}
	g.writeConf()
	return g
}

func (g *Gateway) writeConf() {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(g.conf)) {
		fmt.Fprintf(&b, "%s=%s\n", k, g.conf[k])
	}
	require.NoError(g.t, os.MkdirAll(filepath.Join(g.Home, "conf"), 0o700))
	require.NoError(g.t, os.WriteFile(filepath.Join(g.Home, "conf", "kyuubi-defaults.conf"), []byte(b.String()), 0o600))
}

// Env is the environment of gateway commands with this home.
func (g *Gateway) Env() []string {
	return append(os.Environ(), "GATEWAY_HOME="+g.Home, "KYUUBI_CONF_DIR="+filepath.Join(g.Home, "conf"),
		"KYUUBI_LOG_DIR="+filepath.Join(g.Home, "logs"), "KYUUBI_PID_DIR="+filepath.Join(g.Home, "pid"),
		"KYUUBI_WORK_DIR_ROOT="+filepath.Join(g.Home, "work"), "SPARK_HOME=")
}

// Start runs the prepared gateway and waits until it is ready.
func (g *Gateway) Start() {
	g.t.Helper()
	log, err := os.OpenFile(g.LogPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(g.t, err)
	defer func() { _ = log.Close() }()
	g.cmd = exec.Command(g.Binary, "run")
	g.cmd.Env, g.cmd.Stdout, g.cmd.Stderr, g.cmd.SysProcAttr = append(g.Env(), g.Environ...), log, log, g.Attr
	require.NoError(g.t, g.cmd.Start())
	over := make(chan struct{})
	g.over = over
	go func() { _ = g.cmd.Wait(); close(over) }() // waited for by Stop and Kill
	require.Eventually(g.t, func() bool { return g.ready() || !g.running() }, g.patience.ready, 20*time.Millisecond, "the gateway is not ready:\n%s", Lazily(func() any { return g.Log() }))
	require.True(g.t, g.running(), "the gateway ended at once:\n%s", Lazily(func() any { return g.Log() }))
}

func (g *Gateway) ready() bool {
	client := *g.client() // with its connections
	client.Timeout = 5 * time.Second
	r, err := client.Get(g.url("/readyz"))
	if err != nil {
		return false
	}
	_ = r.Body.Close()
	return r.StatusCode == http.StatusOK
}

func (g *Gateway) client() *http.Client {
	if g.Client != nil {
		return g.Client
	}
	return http.DefaultClient
}

func (g *Gateway) url(path string) string {
	if g.conf["kyuubi.frontend.rest.ssl.enabled"] == "true" {
		return "https://" + g.REST + path
	}
	return "http://" + g.REST + path
}

// PID is the gateway process.
func (g *Gateway) PID() int { return g.cmd.Process.Pid }

// LogPath is the file of the gateway's output.
func (g *Gateway) LogPath() string { return filepath.Join(g.Home, "gateway.out") }

// Log is the gateway's output so far.
func (g *Gateway) Log() string {
	b, _ := os.ReadFile(g.LogPath())
	return string(b)
}

// Remote is the connection string of the gateway.
func (g *Gateway) Remote(options ...string) string {
	url := "sc://" + g.GRPC
	if len(options) > 0 {
		url += "/;" + strings.Join(options, ";")
	}
	return url
}

// Over is closed when the gateway process that Start started last has ended.
func (g *Gateway) Over() <-chan struct{} { return g.over }

// ExitCode is that of the process, once Over is closed.
func (g *Gateway) ExitCode() int { return g.cmd.ProcessState.ExitCode() }

// Signal sends sig to the gateway process and waits for its end.
func (g *Gateway) Signal(sig syscall.Signal) {
	g.t.Helper()
	require.NoError(g.t, g.cmd.Process.Signal(sig))
	select {
	case <-g.over:
	case <-time.After(g.patience.end):
		require.FailNow(g.t, "the gateway did not end", g.Log())
	}
}

// Call makes a REST call with the caller's name and returns status and body.
func (g *Gateway) Call(method, path, user string) (int, []byte) {
	g.t.Helper()
	req, err := http.NewRequest(method, g.url(path), nil)
	require.NoError(g.t, err)
	switch {
	case g.Token != "":
		req.Header.Set("Authorization", "Bearer "+g.Token)
	case user != "" && g.Client == nil:
		req.SetBasicAuth(user, "")
	}
	r, err := g.client().Do(req)
	require.NoError(g.t, err)
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	require.NoError(g.t, err)
	return r.StatusCode, body
}

// Engines lists the engines of all users.
func (g *Gateway) Engines() []Engine {
	g.t.Helper()
	code, body := g.Call(http.MethodGet, "/api/v1/admin/engine?all=true", "")
	require.Equal(g.t, http.StatusOK, code, string(body))
	var list []Engine
	require.NoError(g.t, json.Unmarshal(body, &list), string(body))
	return list
}

// Sessions lists the sessions of all users.
func (g *Gateway) Sessions() []Session {
	g.t.Helper()
	code, body := g.Call(http.MethodGet, "/api/v1/admin/sessions", "")
	require.Equal(g.t, http.StatusOK, code, string(body))
	var list []Session
	require.NoError(g.t, json.Unmarshal(body, &list), string(body))
	return list
}

// KillEngine ends an engine by REST.
func (g *Gateway) KillEngine(refID string) {
	g.t.Helper()
	code, body := g.kill(refID)
	require.Equal(g.t, http.StatusOK, code, string(body))
}

func (g *Gateway) kill(refID string) (int, []byte) {
	g.t.Helper()
	return g.Call(http.MethodDelete, "/api/v1/admin/engine?kill=true&refId="+refID, "root")
}

// cleanup ends the engines and the gateway. What is left of them fails the test
// and is killed.
func (g *Gateway) cleanup() {
	defer g.endLeft()
	defer g.end()
	if g.running() && g.ready() {
		g.endEngines()
	}
}

// running says whether the process that Start started last has not ended.
func (g *Gateway) running() bool {
	if g.over == nil {
		return false
	}
	select {
	case <-g.over:
		return false
	default:
		return true
	}
}

// end ends the gateway process, by force if it must.
func (g *Gateway) end() {
	if g.running() {
		_ = g.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-g.over:
		case <-time.After(g.patience.end):
			g.t.Errorf("the gateway did not end within %v of SIGTERM and is killed", g.patience.end)
			_ = g.cmd.Process.Kill()
			<-g.over
		}
	}
	if g.t.Failed() {
		g.t.Logf("gateway log:\n%s", tail(g.Log(), 60))
	}
}

// endLeft waits until no process has the gateway's home in its command line,
// as its engines have, and kills those that stay.
func (g *Gateway) endLeft() {
	deadline := time.After(g.patience.left)
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for len(Marked(g.Home)) > 0 {
		select {
		case <-look.C:
		case <-deadline:
			for _, pid := range Marked(g.Home) {
				g.t.Errorf("process %d of the gateway's engines is left and is killed: %s", pid, commandLine(pid))
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			return
		}
	}
}

// commandLine is that of a process, cut to what tells processes apart.
func commandLine(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	line := strings.ReplaceAll(string(text), "\x00", " ")
	return line[:min(len(line), 300)]
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
