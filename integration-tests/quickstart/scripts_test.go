// SPDX-License-Identifier: Apache-2.0

// Package quickstart tests the scripts that people run first: the launcher and
// the preflight.
package quickstart

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// write makes an executable file.
func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	env.WriteProgram(t, path, strings.NewReader(text))
}

// copyFile copies a file of the checkout.
func copyFile(t *testing.T, name, root string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(env.Root(t), name))
	require.NoError(t, err)
	write(t, filepath.Join(root, name), string(text))
}

// output runs a program with only the variables given and returns everything
// it wrote and its exit code.
func output(t *testing.T, variables []string, program string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = variables
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// installation is a folder with the launcher and a program that tells what it
// was started with.
func installation(t *testing.T) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	copyFile(t, "bin/gateway", root)
	write(t, filepath.Join(root, "build", "gateway"), `#!/bin/sh
for a in "$@"; do echo "arg <$a>"; done
for v in GATEWAY_HOME KYUUBI_HOME SPARK_HOME PYSPARK_PYTHON GOGC GOMEMLIMIT FROM_ENV_FILE; do
  eval "echo \"$v=\$$v\""
done
exit 7
`)
	return root
}

var path = "PATH=" + os.Getenv("PATH")

func TestLauncher(t *testing.T) {
	root := installation(t)
	launcher := filepath.Join(root, "bin", "gateway")

	text, code := output(t, []string{path}, launcher, "run", "--conf", "a=b c")
	require.Equal(t, 7, code, "the exit code is the program's")
	require.Equal(t, "arg <run>\narg <--conf>\narg <a=b c>\nGATEWAY_HOME="+root+
		"\nKYUUBI_HOME=\nSPARK_HOME=\nPYSPARK_PYTHON=\nGOGC=400\nGOMEMLIMIT=2GiB\nFROM_ENV_FILE=\n", text)

	link := filepath.Join(t.TempDir(), "gw")
	require.NoError(t, os.Symlink(launcher, link))
	text, _ = output(t, []string{path, "GOGC=50"}, link)
	require.Contains(t, text, "GATEWAY_HOME="+root+"\n", "a link leads to the installation")
	require.Contains(t, text, "GOGC=50\n")

	text, _ = output(t, []string{path, "KYUUBI_HOME=/k"}, launcher)
	require.Contains(t, text, "GATEWAY_HOME=\nKYUUBI_HOME=/k\n")
	text, _ = output(t, []string{path, "KYUUBI_HOME=/k", "GATEWAY_HOME=/g"}, launcher)
	require.Contains(t, text, "GATEWAY_HOME=/g\n")
}

func TestLauncherFindsSpark(t *testing.T) {
	root := installation(t)
	launcher := filepath.Join(root, "bin", "gateway")
	local := filepath.Join(root, ".local/venv/lib/python3.12/site-packages/pyspark")
	require.NoError(t, os.MkdirAll(filepath.Join(local, "jars"), 0o755))

	text, _ := output(t, []string{path}, launcher)
	require.Contains(t, text, "SPARK_HOME="+local+"\nPYSPARK_PYTHON="+root+"/.local/venv/bin/python\n")
	text, _ = output(t, []string{path, "SPARK_HOME=/opt/spark"}, launcher)
	require.Contains(t, text, "SPARK_HOME=/opt/spark\nPYSPARK_PYTHON=\n")
}

func TestLauncherReadsKyuubiEnv(t *testing.T) {
	root := installation(t)
	launcher := filepath.Join(root, "bin", "gateway")
	write(t, filepath.Join(root, "conf", "kyuubi-env.sh"), "SPARK_HOME=/from/file\nFROM_ENV_FILE=\"a b\"\n")
	text, _ := output(t, []string{path}, launcher)
	require.Contains(t, text, "SPARK_HOME=/from/file\n")
	require.Contains(t, text, "FROM_ENV_FILE=a b\n", "exported without a word")

	other := t.TempDir()
	write(t, filepath.Join(other, "kyuubi-env.sh"), "FROM_ENV_FILE=other\n")
	text, _ = output(t, []string{path, "KYUUBI_CONF_DIR=" + other}, launcher)
	require.Contains(t, text, "FROM_ENV_FILE=other\n")
}

func TestLauncherWithoutProgram(t *testing.T) {
	root := installation(t)
	require.NoError(t, os.Remove(filepath.Join(root, "build", "gateway")))
	text, code := output(t, []string{path}, filepath.Join(root, "bin", "gateway"), "run")
	require.Equal(t, 1, code)
	require.Equal(t, "gateway: the program is not built yet; run `make build` in "+root+" first.\n", text)
}

// tools is a PATH with nothing but what the scripts use and the given programs.
func tools(t *testing.T, programs map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"bash", "sed", "dirname", "readlink", "basename"} {
		found, err := exec.LookPath(name)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(found, filepath.Join(dir, name)))
	}
	for name, script := range programs {
		write(t, filepath.Join(dir, name), "#!/bin/sh\n"+script+"\n")
	}
	return "PATH=" + dir
}

func TestPreflight(t *testing.T) {
	good := map[string]string{
		"go": "echo go version go99.0 linux/amd64", "javac": "echo javac 17.0.1", "python3": "echo 3.11 True",
	}
	with := func(changes map[string]string) map[string]string {
		all := map[string]string{}
		for name, script := range good {
			all[name] = script
		}
		for name, script := range changes {
			if script == "" {
				delete(all, name)
			} else {
				all[name] = script
			}
		}
		return all
	}
	tests := []struct {
		name    string
		changes map[string]string
		want    []string // nothing means that all is well
	}{
		{"all well", nil, nil},
		{"next version", map[string]string{"javac": "echo javac 21", "python3": "echo 3.14 True"}, nil},
		{"no Go", map[string]string{"go": "", "apt-get": "true"}, []string{"Go ", "is missing", "sudo apt-get install -y golang-go"}},
		{"old Go", map[string]string{"go": "echo go version go1.9.7 linux", "dnf": "true"}, []string{"this one is 1.9.7", "sudo dnf install -y golang"}},
		{"no Java", map[string]string{"javac": "", "brew": "true"}, []string{"A JDK, 17 or newer, is missing", "brew install openjdk@17"}},
		{"old Java", map[string]string{"javac": "echo javac 11.0.2"}, []string{"this one is 11.0.2", "apt-get", "dnf", "brew"}},
		{"no Python", map[string]string{"python3": ""}, []string{"Python 3.10 or newer is missing"}},
		{"old Python", map[string]string{"python3": "echo 3.9 True"}, []string{"python3 is 3.9"}},
		{"no venv", map[string]string{"python3": "echo 3.11 False", "apt-get": "true"}, []string{"venv module is missing", "sudo apt-get install -y python3-venv"}},
		{"nothing at all", map[string]string{"go": "", "javac": "", "python3": ""}, []string{"Go ", "JDK", "Python"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, code := output(t, []string{tools(t, with(tt.changes))}, filepath.Join(env.Root(t), "bin/lib/preflight.sh"))
			if tt.want == nil {
				require.Equal(t, 0, code, text)
				require.Empty(t, text)
				return
			}
			require.Equal(t, 1, code, text)
			for _, part := range tt.want {
				require.Contains(t, text, part)
			}
			require.True(t, strings.HasSuffix(text, "Install what is listed above, then try again.\n"), text)
		})
	}
}

func TestPreflightBelievesJavaHome(t *testing.T) {
	home := t.TempDir()
	write(t, filepath.Join(home, "bin", "javac"), "#!/bin/sh\nexit 1\n")
	write(t, filepath.Join(home, "release"), "JAVA_VERSION=\"11.0.9\"\n")
	search := tools(t, map[string]string{"go": "echo go99.0", "javac": "echo javac 17", "python3": "echo 3.11 True"})
	text, code := output(t, []string{search, "JAVA_HOME=" + home}, filepath.Join(env.Root(t), "bin/lib/preflight.sh"))
	require.Equal(t, 1, code)
	require.Contains(t, text, "this one is 11.0.9 (JAVA_HOME="+home+")")
}
