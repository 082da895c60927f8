// SPDX-License-Identifier: Apache-2.0

package dist

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

func owner(info fs.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Uid }

// node is an edge node: an installation that belongs to root, and a gateway of
// another user, whose folders are elsewhere.
type node struct {
	t       *testing.T
	install string
	home    string
	conf    string
	uid     uint32
	gid     uint32
	env     []string
}

// newNode unpacks the tarball for the user nobody.
func newNode(t *testing.T, tarball string) *node {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can start processes of another user")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("there is no user nobody")
	}
	spark := env.SparkHome(t)
	requireReadable(t, spark)
	uid, err := strconv.Atoi(nobody.Uid)
	require.NoError(t, err)
	gid, err := strconv.Atoi(nobody.Gid)
	require.NoError(t, err)
	n := &node{t: t, uid: uint32(uid), gid: uint32(gid)}
	var top string
	top, n.install = unpack(t, tarball)
	n.home, n.conf = filepath.Join(top, "var", "gateway home"), filepath.Join(top, "etc")
	require.NoError(t, os.MkdirAll(n.home, 0o755))
	require.NoError(t, os.Chown(n.home, uid, gid))
	require.NoError(t, os.Mkdir(n.conf, 0o755))
	shipped, err := os.ReadFile(filepath.Join(n.install, "conf", "kyuubi-defaults.conf"))
	require.NoError(t, err)
	more := fmt.Sprintf("\nkyuubi.frontend.spark.connect.bind.port=%d\nkyuubi.frontend.rest.bind.port=%d\nspark.master=local[1]\nspark.driver.memory=600m\n",
		env.FreePort(t), env.FreePort(t))
	require.NoError(t, os.WriteFile(filepath.Join(n.conf, "kyuubi-defaults.conf"), append(shipped, more...), 0o644))
	n.env = []string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "JAVA_HOME=" + os.Getenv("JAVA_HOME"), "LANG=C.UTF-8",
		"HOME=" + n.home, "GATEWAY_HOME=" + n.home, "KYUUBI_CONF_DIR=" + n.conf, "SPARK_HOME=" + spark,
	}
	t.Cleanup(n.endAll)
	return n
}

// requireReadable skips when others may not read a folder.
func requireReadable(t *testing.T, path string) {
	t.Helper()
	for ; path != "/"; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		require.NoError(t, err)
		if info.Mode().Perm()&0o005 != 0o005 {
			t.Skipf("other users cannot read %s, where the Spark of this test is", path)
		}
	}
}

// command is the launcher script, run as the node's user.
func (n *node) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(n.install, "bin", "gateway"), args...)
	cmd.Env, cmd.Dir = n.env, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: n.uid, Gid: n.gid}}
	return cmd
}

// run wants the exit code and returns the output.
func (n *node) run(code int, args ...string) string {
	n.t.Helper()
	cmd := n.command(args...)
	began := time.Now()
	out, _ := cmd.CombinedOutput()
	n.t.Logf("%v took %v", args, time.Since(began).Round(time.Millisecond))
	require.NotNil(n.t, cmd.ProcessState, "%v", cmd)
	require.Equal(n.t, code, cmd.ProcessState.ExitCode(), "%v\n%s", args, out)
	return string(out)
}

// processes are those of the node: all have its folder in their command line or
// environment.
func (n *node) processes() []int {
	var found []int
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range all {
		text, err := os.ReadFile(path)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && bytes.Contains(text, []byte(n.home)) && env.Alive(pid) {
			found = append(found, pid)
		}
	}
	return found
}

// endAll ends what a failed test left.
func (n *node) endAll() {
	for _, pid := range n.processes() {
		n.t.Errorf("process %d is left", pid)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// useOnEdgeNode: with the tarball, Java and a Spark alone another user runs the
// gateway from a folder that they cannot write to. An engine outlives a stop, as
// the systemd unit has it, and the next gateway can stop it.
func useOnEdgeNode(t *testing.T, tarball string) {
	n := newNode(t, tarball)
	before := map[string]bool{}
	for _, path := range ownedBy(t, n.uid) {
		before[path] = true
	}
	require.Contains(t, n.run(0, "version"), "Roundhouse gateway")
	require.Contains(t, n.run(0, "validate"), "The configuration is valid: "+n.conf)
	require.Contains(t, n.run(3, "status"), "not running")
	require.NotContains(t, n.run(0, "start"), "Warning: Spark", "the Spark is fine")

	client := env.StartClient(t, "4.3", "hold.py", "--remote", field(t, n.run(0, "status"), "sc://"))
	require.EqualValues(t, 1, client.Next("answered", 3*time.Minute)["result"])
	code, _ := client.Wait(time.Minute)
	require.Zero(t, code)

	require.Contains(t, n.run(0, "stop"), "has stopped")
	require.NotEmpty(t, n.processes(), "the engine lives on")
	n.run(0, "start")
	require.Contains(t, n.run(0, "stop", "--engines"), "has stopped")
	env.Eventually(t, 30*time.Second, "the adopted engine has ended", func() bool { return len(n.processes()) == 0 })
	n.run(3, "status")
	n.requireOnlyHome(before)
}

// requireOnlyHome looks for what was written elsewhere.
func (n *node) requireOnlyHome(before map[string]bool) {
	t := n.t
	t.Helper()
	for _, path := range ownedBy(t, n.uid) {
		inside, err := filepath.Rel(n.home, path)
		switch {
		case err == nil && filepath.IsLocal(inside), before[path], strings.HasPrefix(path, "/tmp/hsperfdata_"): // Java's own
		default:
			t.Errorf("written outside of the home: %s", path)
		}
	}
	for _, name := range []string{"data", "logs", "pid", "work"} {
		require.DirExists(t, filepath.Join(n.home, name))
	}
}

// field is the word of a text that begins with prefix.
func field(t *testing.T, text, prefix string) string {
	t.Helper()
	for word := range strings.FieldsSeq(text) {
		if strings.HasPrefix(word, prefix) {
			return word
		}
	}
	require.FailNow(t, "there is no "+prefix, text)
	return ""
}
