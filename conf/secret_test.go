// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func secretFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	require.NoError(t, os.Chmod(path, mode))
	return path
}

func TestSecretReferences(t *testing.T) {
	path := secretFile(t, "from file\n", 0o400)
	dir := confDir(t, strings.Join([]string{
		"kyuubi.ha.zookeeper.auth.digest=file:" + path,
		"spark.hadoop.fs.s3a.secret.key=env:S3",
		"___bob___.spark.hadoop.fs.s3a.access.key=env:S3",
		"kyuubi.engineEnv.AWS_SECRET_ACCESS_KEY=env:S3",
		"spark.authenticate.secret.file=file:/etc/kept-as-it-is",
		"spark.kubernetes.authenticate.oauthTokenFile=file:/etc/kept-as-it-is",
		"spark.jars=file:/etc/kept-as-it-is",
	}, "\n"))
	c, err := Load(LoadOptions{ConfDir: dir, Getenv: environment(map[string]string{"S3": "from env"})})
	require.NoError(t, err)
	require.Equal(t, "from file", HAZooKeeperDigest.Get(c))
	require.Equal(t, "from env", c.WithPrefix("spark.hadoop.fs.s3a.")["secret.key"])
	bobs, _ := c.ForUser("bob").Raw("spark.hadoop.fs.s3a.access.key")
	require.Equal(t, "from env", bobs)
	require.Equal(t, "from env", c.EngineEnv()["AWS_SECRET_ACCESS_KEY"])
	for _, key := range []string{"spark.authenticate.secret.file", "spark.kubernetes.authenticate.oauthTokenFile", "spark.jars"} {
		text, _ := c.Raw(key)
		require.Equal(t, "file:/etc/kept-as-it-is", text)
	}
}

func TestBadReferencesNeverShowSecrets(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(secretFile(t, "hunter2", 0o600), link))
	for ref, want := range map[string]string{
		"env:NOT_THERE": "the environment variable NOT_THERE that holds this secret is not set",
		"file:" + secretFile(t, "hunter2", 0o640):                    "chmod 600",
		"file:" + secretFile(t, "hunter2", 0o604):                    "is open to others",
		"file:" + secretFile(t, "\n", 0o600):                         "is empty",
		"file:/does/not/exist":                                       "no such file",
		"file:relative":                                              "absolute path",
		"file:" + t.TempDir():                                        "regular file",
		"file:" + pipe:                                               "regular file",
		"file:" + secretFile(t, strings.Repeat("x", 1<<20+1), 0o600): "is larger than",
		"file:" + link:                                               "symbolic link",
	} {
		_, err := New(map[string]string{HAZooKeeperDigest.Key: ref})
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestSecretsOnTheCommandLineAreRefused(t *testing.T) {
	_, err := Load(LoadOptions{ConfDir: t.TempDir(), Overrides: []string{
		HAZooKeeperDigest.Key + "=u:hunter2", "spark.x=1", "spark.hadoop.fs.s3a.secret.key=hunter2", "spark.ssl.keyPassword=20262026",
		"spark.token.renewal.enabled=true", "spark.token.renewal.interval=1h", "spark.my.password=",
	}})
	var faults Faults
	require.ErrorAs(t, err, &faults)
	require.Len(t, faults, 3)
	require.ErrorContains(t, err, "--conf #1: "+HAZooKeeperDigest.Key)
	require.NotContains(t, err.Error(), "hunter2")
	require.NotContains(t, err.Error(), "20262026")
}

// TestReviewShowsNoSecret, also where the name of a setting is misspelt.
func TestReviewShowsNoSecret(t *testing.T) {
	dir := t.TempDir()
	lines := "kyuubi.authentication.ldap.bindpwd=hush1\nkyuubi.authentication.ldap.binpw=hush2\nkyuubi.authentication.jdbc.pasword=hush3\n" +
		"kyuubi.sesion.idle.timeout=PT1M\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, DefaultsFile), []byte(lines), 0o600))
	found, err := Review(LoadOptions{Home: t.TempDir(), ConfDir: dir, Getenv: func(string) string { return "" }})
	require.NoError(t, err)
	all := ""
	for _, f := range found {
		all += fmt.Sprintln(f.Key, f.Text, f.Write)
	}
	require.NotContains(t, all, "hush")
	require.Contains(t, all, "kyuubi.authentication.jdbc.password=********")
	require.Contains(t, all, "kyuubi.session.idle.timeout=PT1M")
}
