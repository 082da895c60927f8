// SPDX-License-Identifier: Apache-2.0

package submit

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/engine"
	"roundhouse/engine/local"
	"roundhouse/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ engine.Launcher = (*Launcher)(nil)
	_ engine.Files    = Files{}
)

// bench is a launcher with a Spark whose spark-submit is the given script.
type bench struct {
	root, home string
	env, base  map[string]string
	launcher   *Launcher
	files      Files
}

func newBench(t *testing.T, script string) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{root: filepath.Join(dir, "work"), home: filepath.Join(dir, "spark"), base: map[string]string{}}
	b.env = map[string]string{"SPARK_HOME": b.home, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "AWS_SECRET_ACCESS_KEY": "x"}
	b.write(t, "bin/spark-submit", "#!/bin/sh\n"+script+"\n", 0o755)
	jar := filepath.Join(dir, "plugin.jar")
	require.NoError(t, os.WriteFile(jar, nil, 0o600))
	l, err := New(Options{
		WorkRoot: b.root, PluginJar: jar, GatewayURL: func() string { return "http://127.0.0.1:10099" },
		Base: func(string) map[string]string { return b.base }, Duration: time.ParseDuration, MaxMessage: 1000,
		Times:  Times{SessionIdle: time.Hour, EngineIdle: 30 * time.Minute, CheckInterval: time.Minute, InitialWait: -1},
		Getenv: func(name string) string { return b.env[name] },
	})
	require.NoError(t, err)
	b.launcher = l
	b.files = Files{Root: b.root, ReasonSize: 2000, ReasonLines: 3}
	return b
}

// write makes a file below the Spark home.
func (b *bench) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(b.home, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), mode))
}

func (b *bench) launch() engine.Launch {
	const refID = "3f2c0000-0000-0000-0000-000000000001"
	return engine.Launch{
		Spec: engine.Spec{
			Namespace: "kyuubi", ShareLevel: engine.User, Owner: "alice", LaunchUser: "alice", Subdomain: "default",
			Options: map[string]string{"spark.driver.memory": "2g", "kyuubi.session.engine.idle.timeout": "5m"},
		},
		RefID: refID, WorkDir: b.launcher.WorkDir("alice", refID),
		Keys:      engine.Keys{RPC: "rpc-key", Register: "register-key", Control: "control-key"},
		Submitted: time.UnixMilli(1700000000000), Timeout: 3 * time.Minute,
	}
}

// run starts a launch and returns its log when it has ended.
func (b *bench) run(t *testing.T, l engine.Launch) []string {
	t.Helper()
	p, err := b.launcher.Start(t.Context(), l)
	require.NoError(t, err)
	defer p.Release()
	select {
	case <-p.Done():
	case <-time.After(10 * time.Second):
		require.NoError(t, p.End(t.Context(), 0))
		require.Fail(t, "the script did not end")
	}
	return b.files.Tail(l.WorkDir, 100, secret.Mask())
}

func TestArgvIsConstantAndTheFolderPrivate(t *testing.T) {
	b := newBench(t, `echo "$0"; for a in "$@"; do echo "$a"; done; pwd; ls -l | grep -c ^-rw-------`)
	l := b.launch()
	require.Equal(t, []string{
		b.home + "/bin/spark-submit", "--properties-file", l.WorkDir + "/spark.properties",
		"--class", "org.roundhouse.engine.ConnectEngine", filepath.Dir(b.home) + "/plugin.jar",
		l.WorkDir, "3",
	}, b.run(t, l))
	for _, dir := range []string{l.WorkDir, filepath.Dir(l.WorkDir), b.root} {
		info, err := os.Stat(dir)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o700), info.Mode().Perm(), dir)
	}
	keys, err := os.ReadFile(filepath.Join(l.WorkDir, "engine.key"))
	require.NoError(t, err)
	require.Equal(t, "control=control-key\nregister=register-key\nrpc=rpc-key\n", string(keys))
}

func TestEnvironmentIsAnAllowList(t *testing.T) {
	b := newBench(t, `env | sort`)
	b.env["PYSPARK_PYTHON"], b.env["PYSPARK_DRIVER_PYTHON"] = "python3", "python3"
	b.base["kyuubi.engineEnv.OMP_NUM_THREADS"] = "1"
	b.base["kyuubi.engineEnv.LANG"] = "en_GB.UTF-8"
	b.base["kyuubi.engineEnv.KYUUBI_ENGINE_REF_ID"] = "forged"
	l := b.launch()
	l.Spec.Python = "/bin/sh" // any program does
	require.Equal(t, []string{
		"KYUUBI_ENGINE_REF_ID=" + l.RefID, "LANG=en_GB.UTF-8", "OMP_NUM_THREADS=1", "PATH=/usr/bin:/bin",
		"PWD=" + l.WorkDir, "PYSPARK_PYTHON=/bin/sh", "SPARK_HOME=" + b.home,
	}, without(b.run(t, l), "_=", "SHLVL=", "OLDPWD="))
}

// without drops the variables that a shell adds.
func without(lines []string, prefixes ...string) []string {
	var kept []string
	for _, line := range lines {
		drop := false
		for _, prefix := range prefixes {
			drop = drop || strings.HasPrefix(line, prefix)
		}
		if !drop {
			kept = append(kept, line)
		}
	}
	return kept
}

func TestSparkHomeOfTheConfigurationWins(t *testing.T) {
	b := newBench(t, `echo ours`)
	b.env["SPARK_HOME"] = "/nonexistent"
	b.base["kyuubi.engineEnv.SPARK_HOME"] = b.home
	require.Equal(t, []string{"ours"}, b.run(t, b.launch()))
}

// A profile's settings arrive as options of the launch.
func TestOptionsOfTheLaunchReachTheEnvironment(t *testing.T) {
	b := newBench(t, `echo "$SPARK_HOME $LAKE $TEAM"`)
	b.env["SPARK_HOME"] = "/nonexistent"
	b.base["kyuubi.engineEnv.SPARK_HOME"] = "/nonexistent/too"
	b.base["kyuubi.engineEnv.LAKE"], b.base["kyuubi.engineEnv.TEAM"] = "server's", "blue"
	l := b.launch()
	l.Spec.Options["kyuubi.engineEnv.SPARK_HOME"] = b.home
	l.Spec.Options["kyuubi.engineEnv.LAKE"] = "profile's"
	require.Equal(t, []string{b.home + " profile's blue"}, b.run(t, l))
	require.Equal(t, "server's", b.base["kyuubi.engineEnv.LAKE"], "the configuration itself stays")
}

func TestLaunchWithoutOptionsAndConfiguration(t *testing.T) {
	b := newBench(t, `echo ran`)
	b.base = nil
	l := b.launch()
	l.Spec.Options = nil
	require.Equal(t, []string{"ran"}, b.run(t, l))
}

func TestWhatIsMissingIsSaidAtOnce(t *testing.T) {
	tests := map[string]struct {
		spoil func(*testing.T, *bench, *engine.Launch)
		want  []string
	}{
		"no Spark home":    {func(_ *testing.T, b *bench, _ *engine.Launch) { delete(b.env, "SPARK_HOME") }, []string{"no Spark is configured", "kyuubi.engineEnv.SPARK_HOME"}},
		"wrong Spark home": {func(_ *testing.T, b *bench, _ *engine.Launch) { b.env["SPARK_HOME"] = "/nonexistent" }, []string{"SPARK_HOME is /nonexistent, which is not a folder"}},
		"home without bin": {func(t *testing.T, b *bench, _ *engine.Launch) { b.env["SPARK_HOME"] = t.TempDir() }, []string{"there is no bin/spark-submit in it"}},
		"submit a folder":  {func(t *testing.T, b *bench, _ *engine.Launch) { folderForSubmit(t, b) }, []string{"cannot be executed"}},
		"no interpreter": {func(t *testing.T, b *bench, _ *engine.Launch) {
			b.write(t, "bin/spark-submit", "#!/nonexistent\n", 0o755)
		}, []string{"could not be started", "kyuubi.engineEnv.SPARK_HOME"}},
		"no plugin":        {func(_ *testing.T, b *bench, _ *engine.Launch) { b.launcher.opts.PluginJar = "/nonexistent.jar" }, []string{"/nonexistent.jar", "kyuubi.session.engine.spark.main.resource"}},
		"no Python":        {func(_ *testing.T, _ *bench, l *engine.Launch) { l.Spec.Python = "/nonexistent/python3.13" }, []string{"/nonexistent/python3.13", "kyuubi.engine.spark.python."}},
		"bad variable":     {func(_ *testing.T, b *bench, _ *engine.Launch) { b.base["kyuubi.engineEnv.A=B"] = "x" }, []string{`kyuubi.engineEnv."A=B"`}},
		"bad duration":     {func(_ *testing.T, b *bench, _ *engine.Launch) { b.base["kyuubi.session.idle.timeout"] = "soon" }, []string{"kyuubi.session.idle.timeout", "no duration"}},
		"newline in value": {func(_ *testing.T, _ *bench, l *engine.Launch) { l.Spec.Options["spark.a"] = "x\nspark.b=y" }, []string{`"spark.a"`, "line break"}},
		"folder there":     {func(t *testing.T, _ *bench, l *engine.Launch) { require.NoError(t, os.MkdirAll(l.WorkDir, 0o700)) }, []string{"folder of the engine could not be made"}},
		"user is a link":   {func(t *testing.T, b *bench, _ *engine.Launch) { linkForUser(t, b) }, []string{"is not a folder of the gateway's user"}},
		"user has a slash": {func(_ *testing.T, _ *bench, l *engine.Launch) { l.Spec.LaunchUser = "a/b" }, []string{"is not a plain name"}},
		"user goes up":     {func(_ *testing.T, _ *bench, l *engine.Launch) { l.Spec.LaunchUser = ".." }, []string{"is not a plain name"}},
		"unreadable config": {func(t *testing.T, b *bench, _ *engine.Launch) {
			require.NoError(t, os.MkdirAll(b.home+"/conf/spark-defaults.conf", 0o755))
		}, []string{"spark-defaults.conf cannot be read"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "exec sleep 60")
			l := b.launch()
			test.spoil(t, b, &l)
			_, err := b.launcher.Start(t.Context(), l)
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func folderForSubmit(t *testing.T, b *bench) {
	path := filepath.Join(b.home, "bin/spark-submit")
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Mkdir(path, 0o755))
}

func linkForUser(t *testing.T, b *bench) {
	require.NoError(t, os.MkdirAll(b.root, 0o700))
	require.NoError(t, os.Mkdir(filepath.Join(b.root, "mallory"), 0o700))
	require.NoError(t, os.Symlink("mallory", filepath.Join(b.root, "alice")))
}

func TestOpenFindsAnOlderProcess(t *testing.T) {
	for name, recorded := range map[string]bool{"with its pid": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "sleep 60; :")
			launch := b.launch()
			p, err := b.launcher.Start(t.Context(), launch)
			require.NoError(t, err)
			p.Release()
			id := p.Identity()
			if !recorded {
				id = local.Identity{}
			}
			_, err = b.launcher.Open(id, launch.WorkDir+"0")
			require.ErrorIs(t, err, local.ErrGone, "the folder of another engine")
			found, err := b.launcher.Open(id, launch.WorkDir)
			require.NoError(t, err)
			require.Equal(t, p.Identity(), found.Identity())
			require.NoError(t, found.End(t.Context(), 0))
			found.Release()
			gone, err := b.launcher.Open(id, launch.WorkDir)
			require.ErrorIs(t, err, local.ErrGone)
			require.Nil(t, gone)
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	_, err := New(Options{WorkRoot: "relative"})
	require.ErrorContains(t, err, "not an absolute path")
	_, err = New(Options{WorkRoot: "/w"})
	require.Error(t, err)
}

func TestFilesOfAnEngine(t *testing.T) {
	b := newBench(t, "mkdir -p spark-warehouse/t; echo done")
	l := b.launch()
	b.run(t, l)
	names := func() (names []string) {
		entries, err := os.ReadDir(l.WorkDir)
		if errors.Is(err, os.ErrNotExist) {
			return []string{"none"}
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	require.Equal(t, []string{"engine.key", "engine.log", "spark-warehouse", "spark.properties"}, names())
	require.NoError(t, b.files.DropSecrets(l.WorkDir))
	require.NoError(t, b.files.DropSecrets(l.WorkDir), "the plugin may have been there before")
	require.Equal(t, []string{"engine.log", "spark-warehouse"}, names())
	require.NoError(t, b.files.Sweep(l.WorkDir))
	require.Equal(t, []string{"engine.log"}, names())

	require.NoError(t, b.files.Expire(time.Now().Add(-time.Hour), nil))
	require.NoError(t, b.files.Expire(time.Now().Add(time.Hour), map[string]bool{l.RefID: true}))
	require.Equal(t, []string{"engine.log"}, names(), "too young, or in use")
	require.NoError(t, b.files.Expire(time.Now().Add(time.Hour), nil))
	require.Equal(t, []string{"none"}, names())
	require.NoError(t, b.files.Sweep(l.WorkDir), "nothing there is no error")
}

func TestFilesStayBelowTheRoot(t *testing.T) {
	root := t.TempDir()
	files := Files{Root: filepath.Join(root, "work")}
	other := filepath.Join(root, "precious")
	require.NoError(t, os.MkdirAll(filepath.Join(other, "data"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(files.Root, "alice"), 0o700))
	require.NoError(t, os.Symlink(other, filepath.Join(files.Root, "alice", "link")))
	for _, dir := range []string{other, files.Root, filepath.Join(files.Root, "alice"), files.Root + "/../precious/data", "/", "", files.Root + "/alice/link"} {
		require.Error(t, files.Sweep(dir), dir)
	}
	require.DirExists(t, filepath.Join(other, "data"))

	before := filepath.Join(root, "before", "alice", "0b7e4f5c-9f0e-4e63-8d52-2f6a4dd6c0aa")
	require.NoError(t, os.MkdirAll(before, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(before, keyFile), nil, 0o600))
	require.NoError(t, files.Sweep(before), "the work root was another one when its engine started")
	require.NoFileExists(t, filepath.Join(before, keyFile))
	require.NoError(t, Files{Root: root + "/absent"}.Sweep(root+"/absent/a/b"))
	require.NoError(t, Files{Root: root + "/absent"}.Expire(time.Now(), nil))
}
