// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
)

// TestUserNamesAreThoseOfAuth: what may stand in a list of users is what can
// sign in.
func TestUserNamesAreThoseOfAuth(t *testing.T) {
	names := []string{"", "alice", "_svc", "a.b@C-D_9", "9lives", "*", "al*", "a b", "../x", ".", "-x", "ä", "a/b", "a\n", strings.Repeat("a", 64), strings.Repeat("a", 65)}
	for _, name := range names {
		require.Equal(t, auth.ValidUser(name) == nil, userName.MatchString(name), "%q", name)
	}
}

func TestOptionsThatOpenAPort(t *testing.T) {
	for options, want := range map[string]bool{
		"": false, "-Xmx2g": false,
		"-agentlib:jdwp=transport=dt_socket,server=y,address=5005":                                                                              false,
		"-agentlib:jdwp=transport=dt_socket,server=y,address=localhost:5005":                                                                    false,
		"-agentlib:jdwp=transport=dt_socket,server=y,address=127.0.0.1:5005":                                                                    false,
		"-agentlib:jdwp=transport=dt_socket,server=y,address=*:5005":                                                                            true,
		"-Xmx1g -agentlib:jdwp=address=0.0.0.0:5005,server=y -Dx=y":                                                                             true,
		"-Xrunjdwp:transport=dt_socket,address=host:5005":                                                                                       true,
		"-Dcom.sun.management.jmxremote.port=9":                                                                                                 false,
		"-Dcom.sun.management.jmxremote.port=9 -Dcom.sun.management.jmxremote.authenticate=false":                                               true,
		"-Dcom.sun.management.jmxremote.authenticate=false":                                                                                     false,
		"-Dcom.sun.management.jmxremote.port=9 -Dcom.sun.management.jmxremote.host=127.0.0.1 -Dcom.sun.management.jmxremote.authenticate=false": false,
	} {
		require.Equal(t, want, opensPort(options), options)
	}
}

func TestEntriesThatAreRelative(t *testing.T) {
	relative := relativeEntry(":")
	for path, want := range map[string]bool{"/usr/bin:/bin": false, "/a": false, "/a:": true, ":/a": true, "/a::/b": true, ".": true, "/a:b": true, "": true} {
		require.Equal(t, want, relative(path), path)
	}
	require.False(t, relativeEntry(": ")("/usr/lib/libjemalloc.so /usr/lib/libx.so"))
}

func TestPatternsThatShowSecrets(t *testing.T) {
	for pattern, want := range map[string]bool{
		ServerRedaction.Default: false, "(?i)secret|password|token|access[.]?key": false, ".*": false,
		"":             false, // matches everything: checkRedaction has a text of its own for that
		"(?i)password": true, "secret|password|token": true, "none": true,
		"(?<!x)password": false, // Java's syntax is believed
	} {
		require.Equal(t, want, showsSecrets(pattern), pattern)
	}
}

// TestUnsafeSettingsHaveSafeValues: the table refuses what is unsafe only.
func TestUnsafeSettingsHaveSafeValues(t *testing.T) {
	safe := map[string]string{
		"spark.connect.grpc.binding.address": "127.0.0.1", "spark.connect.grpc.binding.port": "0", "spark.connect.execute.reattachable.enabled": "true",
		"spark.connect.session.manager.defaultSessionTimeout": "-1", "spark.sql.artifact.copyFromLocalToFs.allowDestLocal": "false",
		"spark.connect.copyFromLocalToFs.allowDestLocal": "false", "spark.redaction.regex": "(?i)secret|password|token|access[.]?key",
		"spark.driver.extraJavaOptions": "-Xss4m", "kyuubi.engineEnv.PATH": "/usr/bin:/bin", "kyuubi.engineEnv.LD_PRELOAD": "/usr/lib/libjemalloc.so",
		"spark.plugins": "com.acme.Plugin", "spark.connect.grpc.interceptor.classes": "com.acme.Interceptor", "spark.ui.enabled": "true",
	}
	c, err := New(safe)
	require.NoError(t, err)
	require.NoError(t, c.Validate())
}

func TestFoldersOfOthers(t *testing.T) {
	dir := t.TempDir()
	inside := filepath.Join(dir, "open", "inside")
	require.NoError(t, os.MkdirAll(inside, 0o755))
	require.Empty(t, openAbove(inside))
	require.Empty(t, folderFault(inside))
	require.Empty(t, folderFault(filepath.Join(inside, "not", "there", "yet")))

	open := filepath.Dir(inside)
	require.NoError(t, os.Chmod(open, 0o777))
	require.Equal(t, open, openAbove(inside))
	require.NoError(t, os.Chmod(open, 0o777|os.ModeSticky))
	require.Empty(t, openAbove(inside), "as below /tmp")
	require.Empty(t, folderFault(filepath.Join(open, "new")))
	require.NotEmpty(t, folderFault(open), "in the folder itself others could be first with a name")
}

func TestBelow(t *testing.T) {
	for path, want := range map[string]bool{"/w": true, "/w/a": true, "/w/../a": false, "/wide": false, "/": false, "/w/..a": true} {
		require.Equal(t, want, below(path, "/w"), path)
	}
}

func TestJavaVersion(t *testing.T) {
	java := filepath.Join(t.TempDir(), "bin", "java")
	require.NoError(t, os.MkdirAll(filepath.Dir(java), 0o755))
	require.NoError(t, os.WriteFile(java, nil, 0o755))
	require.Zero(t, javaVersion(java), "no release file")
	for release, want := range map[string]int{"JAVA_VERSION=\"17.0.9\"\n": 17, "X=1\nJAVA_VERSION=\"1.8.0_392\"": 8, "JAVA_VERSION=\"21\"": 21, "JAVA_VERSION=\"x\"": 0, "": 0} {
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(filepath.Dir(java)), "release"), []byte(release), 0o644))
		require.Equal(t, want, javaVersion(java), release)
	}
}

// TestCheckTakesNothing: it may be called beside a running gateway.
func TestCheckTakesNothing(t *testing.T) {
	home := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(home, "conf"), 0o755))
	c, err := Load(LoadOptions{Home: home})
	require.NoError(t, err)
	require.NoError(t, c.Check(func(string) string { return "" }))
	left, err := os.ReadDir(home)
	require.NoError(t, err)
	require.Len(t, left, 1, "only conf")
}
