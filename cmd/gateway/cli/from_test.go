// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// kyuubi copies the configuration folder of a Kyuubi, with changes to its file.
func kyuubi(t *testing.T, mode os.FileMode, changes ...string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/kyuubi")))
	path := filepath.Join(dir, "kyuubi-defaults.conf")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(strings.NewReplacer(changes...).Replace(string(text))), mode))
	require.NoError(t, os.Chmod(path, mode))
	return dir
}

// part is the text between two headings.
func part(text, from string) string {
	_, rest, _ := strings.Cut(text, "\n"+from)
	rest, _, _ = strings.Cut(rest, "\n\n")
	return rest
}

func TestValidateFromKyuubi(t *testing.T) {
	m := newMachine(t, "fine")
	r := m.requireRun(ExitFailure, "validate", "--from", kyuubi(t, 0o644))
	require.Contains(t, r.stderr, "9 of its settings must be changed")

	used := part(r.stdout, "Used as it is (17)")
	for _, key := range []string{"kyuubi.session.idle.timeout", "kyuubi.authentication\n", "kyuubi.authentication.ldap.binddn", "kyuubi.spnego.principal", "kyuubi.ha.addresses", "spark.driver.memory", "___alice___.spark.executor.memory"} {
		require.Contains(t, used, key)
	}
	unread := part(r.stdout, "Read, but of no meaning here (7)")
	require.Contains(t, unread, "kyuubi.metrics.prometheus.port\n")
	require.Contains(t, unread, "engines with tickets come with a later version")
	require.Contains(t, unread, "metrics are at /metrics of the REST port")
	wrong := part(r.stdout, "To be changed, or the gateway does not start (9)")
	for _, line := range []string{
		"kyuubi-defaults.conf:4 ", "to ldap.example.com:389 in clear text: write ldaps://", "every user of this machine can read this secret",
		"/etc/security/spnego.keytab does not exist", "missing ", "kyuubi.frontend.rest.ssl.enabled", "gateways that share sessions need the same secret", "write: kyuubi.server.cluster.secret.file=/etc/roundhouse/cluster.secret",
		"write: kyuubi.session.conf.restrict.list=spark.master", "write: spark.submit.deployMode=client", "write: spark.master=local[*]", "come with a later version; use local[*] or spark://host:port",
		"write: kyuubi.frontend.spark.connect.enabled=true",
	} {
		require.Contains(t, wrong, line)
	}
	require.Contains(t, part(r.stdout, "Secrets that every user"), "kyuubi-defaults.conf:7  kyuubi.authentication.ldap.bindpw")
	require.NotContains(t, r.stdout, "s3cr3t-of-ldap")
	other := part(r.stdout, "Other files")
	for _, line := range []string{
		"log4j2.xml ", "not read: the gateway writes", "hive-site.xml ", "a profile that clients may choose",
		"KYUUBI_JAVA_OPTS is not used: the gateway is no Java program", "it sets JAVA_HOME, SPARK_HOME, HADOOP_CONF_DIR",
	} {
		require.Contains(t, other, line)
	}
	require.Empty(t, glob(t, m.home, "pid*"), "nothing is written")
}

// What the review says to write is what the gateway takes.
func TestTheChangesOfAReviewAreEnough(t *testing.T) {
	m := newMachine(t, "fine")
	m.env = append(m.env, "JAVA_HOME="+os.Getenv("JAVA_HOME"))
	tokens := filepath.Join(t.TempDir(), "tokens")
	require.NoError(t, os.WriteFile(tokens, []byte("sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 alice\n"), 0o600))
	dir := kyuubi(t, 0o600,
		"kyuubi.authentication                    KERBEROS,LDAP", "kyuubi.authentication=TOKEN\nkyuubi.authentication.token.file="+tokens+
			"\nkyuubi.frontend.spark.connect.enabled=true",
		"zk1:2181,zk2:2181,zk3:2181", "", "GROUP", "USER", "kyuubi.sesion", "kyuubi.session", "cluster", "client", "yarn", "local[*]",
		"kyuubi.frontend.bind.host                0.0.0.0", "kyuubi.frontend.bind.host=127.0.0.1")
	r := m.requireRun(ExitOK, "validate", "--from", dir)
	require.NotContains(t, r.stdout, "To be changed")
	require.NotContains(t, r.stdout, "Secrets")
	require.Contains(t, part(r.stdout, "Used, under a newer name (1)"), "the name is kyuubi.engine.share.level now")
	require.Contains(t, r.stdout, "Its kyuubi-env.sh, which sets another one, was not run.")
	require.Contains(t, r.stdout, "KYUUBI_CONF_DIR="+dir+" gateway validate")
	m.kind = "unusable"
	bad := m.requireRun(ExitFailure, "validate", "--from", dir)
	require.Contains(t, bad.stderr, "the token file has no token")
	require.NotContains(t, bad.stdout, "No fault was found")
	m.kind = "fine"

	m.env = append(m.env, "KYUUBI_CONF_DIR="+dir)
	m.requireRun(ExitOK, "validate")
	m.requireRun(ExitOK, "start")
}

// TestValidateFromUnbuilt: what is not there yet is not "used as it is", and what
// has no meaning is no fault for being readable.
func TestValidateFromUnbuilt(t *testing.T) {
	m := newMachine(t, "fine")
	dir := t.TempDir()
	text := "kyuubi.frontend.spark.connect.enabled=true\nspark.yarn.queue=q\n___eve___.spark.kerberos.principal=e\nkyuubi.ha.zookeeper.connection.retry.policy=N_TIME\n" +
		"kyuubi.authentication.jdbc.url=jdbc:sqlite:m.db\nkyuubi.authentication.jdbc.password=s3cr3t-of-store\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kyuubi-defaults.conf"), []byte(text), 0o644))
	r := m.run("validate", "--from", dir)
	require.NotContains(t, r.stdout, "Other files")
	require.NotContains(t, r.stdout, "To be changed")
	unread := part(r.stdout, "Read, but of no meaning here (5)")
	for _, words := range []string{"YARN comes", "Kerberos comes", "never give up on ZooKeeper", "an authentication method that this version does not have"} {
		require.Contains(t, unread, words)
	}
	require.Contains(t, part(r.stdout, "Secrets that every user"), "kyuubi.authentication.jdbc.password")
	require.NotContains(t, r.stdout, "s3cr3t-of-store")
}

func TestValidateFromNothing(t *testing.T) {
	m := newMachine(t, "fine")
	dir := kyuubi(t, 0o600)
	home := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(home, "conf"), os.DirFS(dir)))
	for _, wrong := range []string{t.TempDir(), filepath.Join(dir, "kyuubi-defaults.conf"), home, filepath.Join(home, "nowhere")} {
		failed := m.requireRun(ExitFailure, "validate", "--from", wrong)
		require.Contains(t, failed.stderr, "there is no configuration to read in "+wrong)
		require.Contains(t, failed.stderr, "--from wants the folder that holds kyuubi-defaults.conf")
		require.NotContains(t, failed.stderr, "KYUUBI_LOG_DIR")
	}
	require.Contains(t, m.requireRun(ExitFailure, "validate", "--from", home).stderr, "here "+filepath.Join(home, "conf"))
	m.requireRun(ExitUsage, "validate", "--from", "/x", "--conf", "a=b")
}
