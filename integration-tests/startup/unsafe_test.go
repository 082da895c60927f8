// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// unsafe is a configuration that must not start.
type unsafe struct {
	name string
	// lines of the configuration file, separated by ;
	lines string
	// args follow the command.
	args []string
	// prepare makes the files.
	prepare func(m *machine)
	// key is what the fault points at, why is its reason.
	key, why string
	// faults are how many there are; 0 is one.
	faults int
}

const (
	tokens = "kyuubi.authentication=TOKEN;kyuubi.authentication.token.file={dir}/tokens"
	aToken = "0123456789abcdef-of-alice alice\n"
	encryp = "kyuubi.frontend.spark.connect.ssl.enabled=true;kyuubi.frontend.spark.connect.ssl.certificate.path={dir}/cert.pem;" +
		"kyuubi.frontend.spark.connect.ssl.key.path={dir}/key.pem"
	both = "kyuubi.frontend.spark.connect.ssl.enabled=true;kyuubi.frontend.rest.ssl.enabled=true;" +
		"kyuubi.frontend.ssl.certificate.path={dir}/cert.pem;kyuubi.frontend.ssl.key.path={dir}/key.pem"
	keystored     = "kyuubi.frontend.spark.connect.ssl.enabled=true;kyuubi.frontend.ssl.keystore.path={dir}/store;kyuubi.frontend.ssl.keystore.password=hunter2hunter2"
	byCertificate = both + ";" + asked + ";kyuubi.frontend.ssl.client.ca.path={dir}/ca.pem;kyuubi.authentication=CERTIFICATE;kyuubi.authentication.certificate.user="
	asked         = "kyuubi.frontend.spark.connect.ssl.client.auth=REQUIRED"
)

// aFile makes a file with a mode.
func aFile(name, text string, mode os.FileMode) func(*machine) {
	return func(m *machine) { m.file(name, text, mode) }
}

func aFolder(name string, mode os.FileMode) func(*machine) {
	return func(m *machine) { m.folder(name, mode) }
}

func aCertificate(o certificateOptions) func(*machine) {
	return func(m *machine) { certificate(m, o) }
}

// all does one preparation after the other.
func all(steps ...func(*machine)) func(*machine) {
	return func(m *machine) {
		for _, step := range steps {
			step(m)
		}
	}
}

// link makes a symbolic link to a file with good content.
func link(name, text string) func(*machine) {
	return func(m *machine) {
		require.NoError(m.t, os.Symlink(m.file(name+".real", text, 0o600), filepath.Join(m.dir, name)))
	}
}

// written writes the configuration, so that a later step can change its mode.
func written(m *machine) { m.configure() }

func mode(name string, mode os.FileMode) func(*machine) {
	return func(m *machine) { require.NoError(m.t, os.Chmod(filepath.Join(m.dir, name), mode)) }
}

func moved(from, to string) func(*machine) {
	return func(m *machine) {
		require.NoError(m.t, os.Rename(filepath.Join(m.dir, from), filepath.Join(m.dir, to)))
	}
}

func environment(name, value string) func(*machine) {
	return func(m *machine) { m.env[name] = value }
}

// doors: who gets in.
var doors = []unsafe{
	{name: "nobody is asked, Connect", lines: "kyuubi.frontend.spark.connect.bind.host=0.0.0.0", key: "kyuubi.frontend.spark.connect.bind.host", why: "anybody who reaches 0.0.0.0 could run code here"},
	{name: "nobody is asked, REST", lines: "kyuubi.frontend.rest.bind.host=::", key: "kyuubi.frontend.rest.bind.host", why: "anybody who reaches :: could run code here"},
	{name: "nobody is asked, a name", lines: "kyuubi.frontend.bind.host=gateway.example", key: "kyuubi.frontend.bind.host", why: "or accept the risk with kyuubi.authentication.none.allow.remote=true"},
	{name: "tokens in clear text", lines: tokens + ";kyuubi.frontend.spark.connect.bind.host=0.0.0.0", prepare: aFile("tokens", aToken, 0o600), key: "kyuubi.frontend.spark.connect.ssl.enabled", why: "credentials would cross the network in clear text"},
	{name: "two methods, one of them NONE", lines: "kyuubi.authentication=NONE,TOKEN", key: "kyuubi.authentication", why: "NONE lets everybody in"},
	{name: "a method that is not there", lines: "kyuubi.authentication=JDBC", key: "kyuubi.authentication", why: "JDBC is a method of Kyuubi that this version does not have"},
	{name: "everybody, by another name", lines: "kyuubi.authentication=NOSASL", key: "kyuubi.authentication", why: "NOSASL is a method of Kyuubi that this version does not have"},
	{name: "a method of one's own", lines: "kyuubi.authentication=CUSTOM", key: "kyuubi.authentication", why: "CUSTOM is a method of Kyuubi that this version does not have"},
	{name: "no method", lines: "kyuubi.authentication=", key: "kyuubi.authentication", why: "it names no method"},
	{name: "tokens over at once", lines: "kyuubi.authentication=TOKEN;kyuubi.authentication.token.lifetime=PT0.1S", key: "kyuubi.authentication.token.lifetime", why: "would be over before they are used"},
	{name: "tokens that end before they are over", lines: "kyuubi.authentication=TOKEN;kyuubi.authentication.token.lifetime=P8D", key: "kyuubi.authentication.token.slide.max", why: "cannot end after 168h"},
	{name: "tokens that slide for good", lines: "kyuubi.authentication=TOKEN;kyuubi.authentication.token.slide.max=P400D", key: "kyuubi.authentication.token.slide.max", why: "without anybody looking at its user again"},
	{name: "tokens of jobs that never end", lines: "kyuubi.authentication=TOKEN;kyuubi.authentication.token.job.lifetime.max=P3650D", key: "kyuubi.authentication.token.job.lifetime.max", why: "a password that nobody changes"},
	{name: "logins by an issuer that there is not", lines: "kyuubi.authentication=TOKEN;kyuubi.authentication.login.client.id=cli", key: "kyuubi.authentication.login.client.id", why: "nobody could log in so"},
	{name: "a grace without an end", lines: "kyuubi.authentication=TOKEN;kyuubi.authentication.token.grace=P30D", key: "kyuubi.authentication.token.grace", why: "it is for queries under way"},
	{name: "one port for two doors", lines: "kyuubi.frontend.spark.connect.bind.port=15002;kyuubi.frontend.rest.bind.port=15002", key: "kyuubi.frontend.spark.connect.bind.port", why: "port 15002 is also the REST port"},
	{name: "a bind host that is none", lines: "kyuubi.frontend.rest.bind.host=*;kyuubi.authentication.none.allow.remote=true", key: "kyuubi.frontend.rest.bind.host", why: "* is no address"},
	{name: "an advertised host with a scheme", lines: "kyuubi.frontend.advertised.host=sc://gateway", key: "kyuubi.frontend.advertised.host", why: "want a host name or an address without a port"},
	{name: "an advertised wildcard", lines: "kyuubi.frontend.advertised.host=0.0.0.0", key: "kyuubi.frontend.advertised.host", why: "clients cannot dial 0.0.0.0"},
	{name: "a privileged port", lines: "kyuubi.frontend.rest.bind.port=443", key: "kyuubi.frontend.rest.bind.port", why: "a port from 1025 to 65534"},
}

// people: users, administrators, lists and limits.
var people = []unsafe{
	{name: "everybody an administrator", lines: "kyuubi.server.administrators=*", key: "kyuubi.server.administrators", why: `"*" can be the name of no user`},
	{name: "an administrator with a path", lines: "kyuubi.server.administrators=alice,../bob", key: "kyuubi.server.administrators", why: `"../bob" can be the name of no user`},
	{name: "defaults of all users", lines: "___*___.spark.driver.memory=1g", key: "___*___.spark.driver.memory", why: "no user can have this name, so the setting would hold for nobody"},
	{name: "a wildcard that denies nobody", lines: "kyuubi.server.limit.connections.user.deny.list=guest*", key: "kyuubi.server.limit.connections.user.deny.list", why: `"guest*" can be the name of no user`},
	{name: "denied and unlimited", lines: "kyuubi.server.limit.connections.user.deny.list=eve;kyuubi.server.limit.connections.user.unlimited.list=eve", key: "kyuubi.server.limit.connections.user.deny.list", why: "eve is denied here and without limits by"},
	{name: "denied and an administrator", lines: "kyuubi.server.limit.connections.user.deny.list=eve;kyuubi.server.administrators=eve", key: "kyuubi.server.limit.connections.user.deny.list", why: "eve is denied here and an administrator by"},
	{name: "a network that denies nobody", lines: "kyuubi.server.limit.connections.ip.deny.list=10.0.0.0/8", key: "kyuubi.server.limit.connections.ip.deny.list", why: "want IP addresses such as"},
	{name: "a limit below zero", lines: "kyuubi.server.limit.engines.per.user=-1", key: "kyuubi.server.limit.engines.per.user", why: "must be between 0 and"},
	{name: "an absurd limit", lines: "kyuubi.server.limit.engine.startup=1000000", key: "kyuubi.server.limit.engine.startup", why: "must be between 1 and 1000"},
	{name: "a limit of a profile's key by user", lines: "___alice___.kyuubi.server.limit.engines.per.user=0", key: "___alice___.kyuubi.server.limit.engines.per.user", why: "holds for the whole gateway and cannot differ by user"},
	{name: "a message that does not fit", lines: "kyuubi.frontend.spark.connect.max.message.size=2147483648", key: "kyuubi.frontend.spark.connect.max.message.size", why: "must be between 1048576 and"},
	{name: "a restriction that restricts nothing", lines: "kyuubi.session.conf.restrict.list=*password*", key: "kyuubi.session.conf.restrict.list", why: `"*password*" matches no option, so what it is meant for would pass`},
	{name: "a list that ignores nothing", lines: "kyuubi.session.conf.ignore.list=spark.hadoop*", key: "kyuubi.session.conf.ignore.list", why: `"spark.hadoop*" matches no option`},
	{name: "engines of one gateway", lines: "kyuubi.engine.share.level=SERVER_LOCAL", key: "kyuubi.engine.share.level", why: "SERVER_LOCAL would tie an engine to one gateway"},
	{name: "the same, for one user", lines: "___eve___.kyuubi.engine.share.level=SERVER_LOCAL", key: "___eve___.kyuubi.engine.share.level", why: "would tie an engine to one gateway"},
	{name: "groups by a class", lines: "kyuubi.session.group.provider=org.example.Groups", key: "kyuubi.session.group.provider", why: "classes of one's own cannot be loaded"},
	{name: "an endless pool", lines: "kyuubi.engine.pool.size.threshold=1000", key: "kyuubi.engine.pool.size.threshold", why: "must be between 1 and 32"},
	{name: "a pool without a name", lines: "kyuubi.engine.pool.name=", key: "kyuubi.engine.pool.name", why: "a pool has a name"},
	{name: "a pool with a path", lines: "kyuubi.engine.pool.name=../x", key: "kyuubi.engine.pool.name", why: "letters, digits and hyphens"},
	{name: "secrets shown over REST", lines: "kyuubi.server.redaction.regex=(?i)password", key: "kyuubi.server.redaction.regex", why: "would be shown over REST"},
	{name: "nothing shown over REST", lines: "kyuubi.server.redaction.regex=", key: "kyuubi.server.redaction.regex", why: "it matches everything"},
	{name: "groups that are none", lines: "hadoop.user.group.static.mapping.overrides=alice", key: "kyuubi-defaults.conf:5: hadoop.user.group.static.mapping.overrides", why: "a static group mapping reads"},
	{name: "a pattern that is none", lines: "kyuubi.server.redaction.regex=(?=x)", key: "kyuubi.server.redaction.regex", why: "not a regular expression of RE2 syntax"},
}

// engines: settings that undo what keeps engines apart.
var engines = []unsafe{
	{name: "an engine for everybody", lines: "spark.connect.grpc.binding.address=0.0.0.0", key: "spark.connect.grpc.binding.address", why: "could be reached past the gateway"},
	{name: "one port for all engines", lines: "spark.connect.grpc.binding.port=15002", key: "spark.connect.grpc.binding.port", why: "would fight for the port"},
	{name: "one key for all engines", lines: "spark.connect.authenticate.token=env:HOME", key: "spark.connect.authenticate.token", why: "all engines would have the same key"},
	{name: "the same in the environment", lines: "kyuubi.engineEnv.SPARK_CONNECT_AUTHENTICATE_TOKEN=abc", key: "kyuubi.engineEnv.SPARK_CONNECT_AUTHENTICATE_TOKEN", why: "all engines would have the same key"},
	{name: "queries that cannot be found again", lines: "spark.connect.execute.reattachable.enabled=false", key: "spark.connect.execute.reattachable.enabled", why: "would lose its query"},
	{name: "two authorities on sessions", lines: "spark.connect.session.manager.defaultSessionTimeout=60m", key: "spark.connect.session.manager.defaultSessionTimeout", why: "Spark would end sessions that still work"},
	{name: "files of the gateway", lines: "spark.sql.artifact.copyFromLocalToFs.allowDestLocal=true", key: "spark.sql.artifact.copyFromLocalToFs.allowDestLocal", why: "clients could overwrite files of the engine's machine"},
	{name: "the same, for one user", lines: "___eve___.spark.connect.copyFromLocalToFs.allowDestLocal=true", key: "___eve___.spark.connect.copyFromLocalToFs.allowDestLocal", why: "clients could overwrite files"},
	{name: "the same, in a profile", prepare: aFile("home/conf/kyuubi-session-p.conf", "spark.sql.artifact.copyFromLocalToFs.allowDestLocal=true\n", 0o600), key: "kyuubi-session-p.conf", why: "clients could overwrite files"},
	{name: "a cluster that is not built", lines: "spark.master=yarn", key: "spark.master", why: "come with a later version; use local[*] or spark://"},
	{name: "another, for one user", lines: "___eve___.spark.master=k8s://https://192.0.2.1", key: "___eve___.spark.master", why: "come with a later version"},
	{name: "jars before the identity", lines: "spark.submit.proxyUser.allowCustomClasspathInClusterMode=true", key: "spark.submit.proxyUser.allowCustomClasspathInClusterMode", why: "before Spark takes that user's identity"},
	{name: "keys in another place", lines: "spark.kyuubi.engine.key.file=/tmp/key", key: "spark.kyuubi.engine.key.file", why: "the place of the engine's keys"},
	{name: "another gateway", lines: "spark.kyuubi.engine.gateway.url=http://192.0.2.1:10099", key: "spark.kyuubi.engine.gateway.url", why: "hand themselves over to another gateway"},
	{name: "passwords on Spark's pages", lines: "spark.redaction.regex=none", key: "spark.redaction.regex", why: "the pages and logs of Spark would show passwords"},
	{name: "an engine that is a client", lines: "spark.remote=sc://192.0.2.1", key: "spark.remote", why: "a client of another server instead of a driver"},
	{name: "the same in the environment", lines: "kyuubi.engineEnv.SPARK_REMOTE=sc://192.0.2.1", key: "kyuubi.engineEnv.SPARK_REMOTE", why: "a client of another server"},
	{name: "a debugger for everybody", lines: "spark.driver.extraJavaOptions=-Xmx1g -agentlib:jdwp=transport=dt_socket,server=y,suspend=n,address=*:5005", key: "spark.driver.extraJavaOptions", why: "anybody can run code in the engine"},
	{name: "a debugger on an address", lines: "kyuubi.engineEnv.JAVA_TOOL_OPTIONS=-agentlib:jdwp=transport=dt_socket,server=y,address=10.1.2.3:5005", key: "kyuubi.engineEnv.JAVA_TOOL_OPTIONS", why: "anybody can run code in the engine"},
	{name: "JMX for everybody", lines: "spark.executor.defaultJavaOptions=-Dcom.sun.management.jmxremote.port=9 -Dcom.sun.management.jmxremote.authenticate=false", key: "spark.executor.defaultJavaOptions", why: "anybody can run code in the engine"},
	{name: "programs of users", lines: "kyuubi.engineEnv.PATH=.:/usr/bin", key: "kyuubi.engineEnv.PATH", why: "in a folder that the code of users can write to"},
	{name: "libraries of users", lines: "kyuubi.engineEnv.LD_LIBRARY_PATH=/usr/lib:", key: "kyuubi.engineEnv.LD_LIBRARY_PATH", why: "every entry must be an absolute path"},
	{name: "a library of users in every program", lines: "kyuubi.engineEnv.LD_PRELOAD=libfast.so", key: "kyuubi.engineEnv.LD_PRELOAD", why: "every entry must be an absolute path"},
	{name: "Python modules of users", lines: "kyuubi.engineEnv.PYTHONPATH=lib", key: "kyuubi.engineEnv.PYTHONPATH", why: "every entry must be an absolute path"},
	{name: "a profile that is not there", lines: "kyuubi.session.conf.profile=safe", key: "kyuubi.session.conf.profile", why: "there is no profile safe"},
}

// secrets: files that hold them, and places where they must not stand.
var secrets = []unsafe{
	{name: "tokens that others read", lines: tokens, prepare: aFile("tokens", aToken, 0o644), key: "kyuubi.authentication.token.file", why: "has mode 0644 and is open to others; run: chmod 600"},
	{name: "tokens that a group reads", lines: tokens, prepare: aFile("tokens", aToken, 0o640), key: "kyuubi.authentication.token.file", why: "has mode 0640 and is open to others"},
	{name: "tokens behind a link", lines: tokens, prepare: link("tokens", aToken), key: "kyuubi.authentication.token.file", why: "is a symbolic link"},
	{name: "a folder of tokens", lines: tokens, prepare: aFolder("tokens", 0o700), key: "kyuubi.authentication.token.file", why: "is not a regular file"},
	{name: "a token that can be guessed", lines: tokens, prepare: aFile("tokens", "secret alice\n", 0o600), key: "kyuubi.authentication.token.file", why: "a token has 16 to 4096 characters"},
	{name: "one token of two users", lines: tokens, prepare: aFile("tokens", aToken+strings.Replace(aToken, "alice\n", "bob\n", 1), 0o600), key: "kyuubi.authentication.token.file", why: "line 2: the token is that of line 1"},
	{name: "a cluster secret that others read", lines: "kyuubi.server.cluster.secret.file={dir}/secret", prepare: aFile("secret", strings.Repeat("ab", 32), 0o644), key: "kyuubi.server.cluster.secret.file", why: "the keys of all engines come from this file, and it cannot be used: {dir}/secret has mode 0644"},
	{name: "a short cluster secret", lines: "kyuubi.server.cluster.secret.file={dir}/secret", prepare: aFile("secret", "abcd", 0o600), key: "kyuubi.server.cluster.secret.file", why: "is not 64 hexadecimal digits"},
	{name: "a folder for a cluster secret", lines: "kyuubi.server.cluster.secret.file={dir}/secret", prepare: aFolder("secret", 0o700), key: "kyuubi.server.cluster.secret.file", why: "is not a regular file"},
	{name: "a cluster secret behind a link", prepare: all(aFolder("home/data", 0o700), link("home/data/cluster.secret", strings.Repeat("ab", 32))), key: "kyuubi.server.cluster.secret.file", why: "is a symbolic link"},
	{name: "a keytab that others read", lines: "spark.kerberos.keytab={dir}/keytab", prepare: aFile("keytab", "x", 0o644), key: "spark.kerberos.keytab", why: "is open to others"},
	{name: "a secret that everybody reads", lines: "spark.hadoop.fs.s3a.secret.key=hunter2hunter2", prepare: all(written, mode("home/conf/kyuubi-defaults.conf", 0o644)), key: "spark.hadoop.fs.s3a.secret.key", why: "every user of this machine can read this secret: chmod o-r"},
	{name: "a secret on the command line", args: []string{"--conf", "spark.ssl.keyPassword=hunter2hunter2"}, key: "--conf #1: spark.ssl.keyPassword", why: "can read a secret on the command line; give file:/path or env:NAME"},
	{name: "a secret from a file that others read", lines: "spark.ssl.keyPassword=file:{dir}/password", prepare: aFile("password", "hunter2hunter2", 0o644), key: "spark.ssl.keyPassword", why: "is open to others"},
	{name: "a secret that is not there", lines: "spark.ssl.keyPassword=env:NO_SUCH_VARIABLE", key: "spark.ssl.keyPassword", why: "the environment variable NO_SUCH_VARIABLE that holds this secret is not set"},
}

// certificates of the Spark Connect port.
var certificates = []unsafe{
	{name: "TLS without a certificate", lines: "kyuubi.frontend.spark.connect.ssl.enabled=true;kyuubi.frontend.spark.connect.ssl.key.path={dir}/key.pem", key: "kyuubi.frontend.spark.connect.ssl.certificate.path", why: "needs this PEM file"},
	{name: "a key that others read", lines: encryp, prepare: all(aCertificate(certificateOptions{}), mode("key.pem", 0o644)), key: "kyuubi.frontend.spark.connect.ssl.key.path", why: "other users of this machine can read or change {dir}/key.pem and so pretend to be this gateway"},
	{name: "a key that others change", lines: encryp, prepare: all(aCertificate(certificateOptions{}), mode("key.pem", 0o620)), key: "kyuubi.frontend.spark.connect.ssl.key.path", why: "can read or change"},
	{name: "the key of another certificate", lines: encryp, prepare: func(m *machine) {
		certificate(m, certificateOptions{})
		own, err := os.ReadFile(filepath.Join(m.dir, "key.pem"))
		require.NoError(m.t, err)
		certificate(m, certificateOptions{})
		m.file("key.pem", string(own), 0o600)
	}, key: "kyuubi.frontend.spark.connect.ssl.key.path", why: "this key is not the one of the certificate {dir}/cert.pem"},
	{name: "an expired certificate", lines: encryp, prepare: aCertificate(certificateOptions{from: -48 * time.Hour, to: -24 * time.Hour}), key: "kyuubi.frontend.spark.connect.ssl.certificate.path", why: "the certificate expired on"},
	{name: "a certificate of tomorrow", lines: encryp, prepare: aCertificate(certificateOptions{from: 24 * time.Hour, to: 48 * time.Hour}), key: "kyuubi.frontend.spark.connect.ssl.certificate.path", why: "the certificate is valid from"},
	{name: "a certificate of nobody", lines: encryp, prepare: aCertificate(certificateOptions{noName: true}), key: "kyuubi.frontend.spark.connect.ssl.certificate.path", why: "the certificate names no host"},
	{name: "REST in clear text", lines: tokens + ";kyuubi.frontend.rest.bind.host=0.0.0.0", prepare: aFile("tokens", aToken, 0o600), key: "kyuubi.frontend.rest.ssl.enabled", why: "credentials would cross the network in clear text on 0.0.0.0"},
	{name: "REST over TLS without a certificate", lines: "kyuubi.frontend.rest.ssl.enabled=true", key: "kyuubi.frontend.rest.ssl.certificate.path", why: "needs this PEM file", faults: 2},
	{name: "a key of both ports that others read", lines: both, prepare: all(aCertificate(certificateOptions{}), mode("key.pem", 0o604)), key: "kyuubi.frontend.ssl.key.path", why: "and so pretend to be this gateway"},
	{name: "a keystore that others read", lines: keystored, prepare: aFile("store", "x", 0o644), key: "kyuubi.frontend.ssl.keystore.path", why: "and so pretend to be this gateway"},
	{name: "a keystore that is none", lines: keystored, prepare: aFile("store", "x", 0o600), key: "kyuubi.frontend.ssl.keystore.path", why: "cannot be used"},
	{name: "a keystore without its password", lines: strings.Replace(keystored, "hunter2hunter2", "", 1), prepare: aFile("store", "x", 0o600), key: "kyuubi.frontend.ssl.keystore.password", why: "needs its password"},
	{name: "a keystore of another type", lines: keystored + ";kyuubi.frontend.ssl.keystore.type=JKS", prepare: aFile("store", "x", 0o600), key: "kyuubi.frontend.ssl.keystore.type", why: "is a keystore of type PKCS12, not JKS"},
	{name: "two certificates for a port", lines: both + ";" + keystored, prepare: all(aCertificate(certificateOptions{}), aFile("store", "x", 0o600)), key: "kyuubi.frontend.ssl.keystore.path", why: "remove one or the other"},
	{name: "a key where engines work", lines: both + ";kyuubi.server.work.dir={dir}/w;kyuubi.frontend.ssl.key.path={dir}/w/key.pem", prepare: all(aCertificate(certificateOptions{}), aFolder("w", 0o700), moved("key.pem", "w/key.pem")), key: "kyuubi.frontend.ssl.key.path", why: "is inside {dir}/w, where engines work"},
	{name: "certificates of clients without TLS", lines: "kyuubi.frontend.rest.ssl.client.auth=REQUIRED", key: "kyuubi.frontend.rest.ssl.client.auth", why: "so REQUIRED would keep nobody out"},
	{name: "certificates of clients of anybody", lines: both + ";" + asked, prepare: aCertificate(certificateOptions{}), key: "kyuubi.frontend.ssl.client.ca.path", why: "needs this file with the authorities"},
	{name: "an authority that is none", lines: both + ";" + asked + ";kyuubi.frontend.ssl.client.ca.path={dir}/cert.pem", prepare: aCertificate(certificateOptions{}), key: "kyuubi.frontend.ssl.client.ca.path", why: "is of no authority, so it vouches for nobody"},
	{name: "an authority that others change", lines: both + ";" + asked + ";kyuubi.frontend.ssl.client.ca.path={dir}/cert.pem", prepare: all(aCertificate(certificateOptions{}), mode("cert.pem", 0o666)), key: "kyuubi.frontend.ssl.client.ca.path", why: "and so let anybody in"},
	{name: "users of certificates that nobody shows", lines: both + ";kyuubi.authentication=CERTIFICATE", prepare: aCertificate(certificateOptions{}), key: "kyuubi.frontend.spark.connect.ssl.client.auth", why: "needs ports that ask for certificates"},
	{name: "a rule without a user", lines: byCertificate + "CN=.*", prepare: aSignedCertificate, key: "kyuubi.authentication.certificate.user", why: "exactly one group, which is the user"},
	{name: "mail of anywhere", lines: byCertificate + "SAN_EMAIL", prepare: aSignedCertificate, key: "kyuubi.authentication.certificate.user", why: "alice of anywhere would be your alice"},
	{name: "URIs of anywhere", lines: byCertificate + "SAN_URI:spiffe://", prepare: aSignedCertificate, key: "kyuubi.authentication.certificate.user", why: "alice of anywhere would be your alice"},
	{name: "a key that others replace", lines: both + ";kyuubi.frontend.ssl.key.path={dir}/open/key.pem", prepare: all(aCertificate(certificateOptions{}), aFolder("open", 0o777), moved("key.pem", "open/key.pem")), key: "kyuubi.frontend.ssl.key.path", why: "every user of this machine can replace what is in {dir}/open"},
	{name: "authorities that others replace", lines: both + ";" + asked + ";kyuubi.frontend.ssl.client.ca.path={dir}/open/ca.pem", prepare: all(aSignedCertificate, aFolder("open", 0o777), moved("ca.pem", "open/ca.pem")), key: "kyuubi.frontend.ssl.client.ca.path", why: "every user of this machine can replace what is in {dir}/open"},
	{name: "authorities where engines work", lines: both + ";" + asked + ";kyuubi.server.work.dir={dir}/w;kyuubi.frontend.ssl.client.ca.path={dir}/w/ca.pem", prepare: all(aSignedCertificate, aFolder("w", 0o700), moved("ca.pem", "w/ca.pem")), key: "kyuubi.frontend.ssl.client.ca.path", why: "is inside {dir}/w, where engines work"},
	{name: "an authority to give out that is a key", lines: both + ";kyuubi.frontend.ssl.ca.path={dir}/key.pem", prepare: aCertificate(certificateOptions{}), key: "kyuubi.frontend.ssl.ca.path", why: "cannot be given to clients"},
	{name: "a key that can be broken", lines: encryp, prepare: aCertificate(certificateOptions{rsaBits: 1024}), key: "kyuubi.frontend.spark.connect.ssl.certificate.path", why: "the key has 1024 bits"},
}

// places: files and folders that others can change.
var places = []unsafe{
	{name: "settings that others change", prepare: all(written, mode("home/conf/kyuubi-defaults.conf", 0o602)), key: "kyuubi-defaults.conf", why: "every user of this machine can change it, and with it what the gateway runs"},
	{name: "a folder of settings that others change", prepare: all(written, mode("home/conf", 0o777)), key: "{dir}/home/conf", why: "every user of this machine can change it"},
	{name: "a profile that others change", prepare: aFile("home/conf/kyuubi-session-p.conf", "", 0o666), key: "kyuubi-session-p.conf", why: "every user of this machine can change it"},
	{name: "an environment that others change", prepare: aFile("home/conf/kyuubi-env.sh", "", 0o666), key: "kyuubi-env.sh", why: "every user of this machine can change it"},
	{name: "a work folder of everybody", lines: "kyuubi.server.work.dir={dir}/work", prepare: aFolder("work", 0o1777|os.ModeSticky), key: "kyuubi.server.work.dir", why: "every user of this machine can replace what is in {dir}/work"},
	{name: "a data folder of everybody", lines: "kyuubi.server.data.dir={dir}/data", prepare: aFolder("data", 0o777), key: "kyuubi.server.data.dir", why: "every user of this machine can replace what is in {dir}/data"},
	{name: "a data folder in a folder of everybody", lines: "kyuubi.server.data.dir={dir}/open/deep/data", prepare: all(aFolder("open/deep", 0o755), mode("open", 0o777)), key: "kyuubi.server.data.dir", why: "every user of this machine can replace what is in {dir}/open"},
	{name: "data where engines work", lines: "kyuubi.server.work.dir={dir}/w;kyuubi.server.data.dir={dir}/w/data", key: "kyuubi.server.data.dir", why: "is inside {dir}/w, where engines work and old folders are removed"},
	{name: "tokens where engines work", lines: tokens + ";kyuubi.server.work.dir={dir}", prepare: aFile("tokens", aToken, 0o600), key: "kyuubi.authentication.token.file", why: "where engines work", faults: 4},
	{name: "a plugin that others change", lines: "kyuubi.session.engine.spark.main.resource={dir}/plugin.jar", prepare: aFile("plugin.jar", "", 0o666), key: "kyuubi.session.engine.spark.main.resource", why: "every user of this machine can change or replace {dir}/plugin.jar"},
	{name: "a plugin that others replace", lines: "kyuubi.session.engine.spark.main.resource={dir}/open/plugin.jar", prepare: all(aFile("open/plugin.jar", "", 0o644), mode("open", 0o777)), key: "kyuubi.session.engine.spark.main.resource", why: "can change or replace"},
	{name: "a Spark that others change", prepare: mode("spark/bin/spark-submit", 0o777), key: "kyuubi.engineEnv.SPARK_HOME", why: "can be changed by every user of this machine"},
	{name: "a Python that others change", lines: "kyuubi.engine.spark.python.3.11={dir}/python", prepare: aFile("python", "", 0o777), key: "kyuubi.engine.spark.python.3.11", why: "every user of this machine can change {dir}/python"},
	{name: "a relative folder", lines: "kyuubi.server.data.dir=data", key: "kyuubi.server.data.dir", why: "want an absolute path"},
	{name: "a relative home", prepare: all(written, environment("GATEWAY_HOME", "home")), key: "GATEWAY_HOME (environment)", why: "another folder for each place that the gateway is started from"},
	{name: "a relative folder of logs", prepare: environment("KYUUBI_LOG_DIR", "logs"), key: "KYUUBI_LOG_DIR (environment)", why: "another folder for each place"},
}

// clustered are the lines of one of several gateways, whose secret is there.
const clustered = "kyuubi.ha.addresses=127.0.0.1:1;kyuubi.server.cluster.secret.file={dir}/secret"

var aSecret = aFile("secret", strings.Repeat("ab", 32), 0o600)

// gateways: several of them, on one ZooKeeper.
var gateways = []unsafe{
	{name: "without a secret", lines: "kyuubi.ha.addresses=127.0.0.1:1", key: "kyuubi.server.cluster.secret.file", why: "gateways that share sessions need the same secret, and there is none in {dir}/home/data/cluster.secret"},
	{name: "with a secret that others read", lines: clustered, prepare: aFile("secret", strings.Repeat("ab", 32), 0o644), key: "kyuubi.server.cluster.secret.file", why: "is open to others"},
	{name: "at no server", lines: clustered + ";kyuubi.ha.addresses=zk1:2181,,zk2:2181", prepare: aSecret, key: "kyuubi.ha.addresses", why: `"" is no server: write host:port`},
	{name: "at a bare IPv6 address", lines: clustered + ";kyuubi.ha.addresses=fe80::1:2181", prepare: aSecret, key: "kyuubi.ha.addresses", why: "IPv6 addresses as in [::1]:2181"},
	{name: "below no path", lines: clustered + ";kyuubi.ha.addresses=zk1:2181/../x", prepare: aSecret, key: "kyuubi.ha.addresses", why: "is no path of ZooKeeper"},
	{name: "below two paths", lines: clustered + ";kyuubi.ha.addresses=zk1:2181/a,zk2:2181/a", prepare: aSecret, key: "kyuubi.ha.addresses", why: "once, behind the last server"},
	{name: "in a namespace of two", lines: clustered + ";kyuubi.ha.namespace=a/b", prepare: aSecret, key: "kyuubi.ha.namespace", why: "want one path element"},
	{name: "in etcd", lines: "kyuubi.ha.client.class=org.apache.kyuubi.ha.client.etcd.EtcdDiscoveryClient", key: "kyuubi.ha.client.class", why: "etcd is not built"},
	{name: "by Kerberos", lines: clustered + ";kyuubi.ha.zookeeper.auth.type=KERBEROS", prepare: aSecret, key: "kyuubi.ha.zookeeper.auth.type", why: "cannot speak Kerberos: use DIGEST, with kyuubi.ha.zookeeper.ssl.enabled=true"},
	{name: "engines by Kerberos", lines: clustered + ";kyuubi.ha.zookeeper.engine.auth.type=KERBEROS", prepare: aSecret, key: "kyuubi.ha.zookeeper.engine.auth.type", why: "cannot speak Kerberos"},
	{name: "by a digest that is not there", lines: clustered + ";kyuubi.ha.zookeeper.auth.type=DIGEST", prepare: aSecret, key: "kyuubi.ha.zookeeper.auth.digest", why: "needs this user:password"},
	{name: "by half a digest", lines: clustered + ";kyuubi.ha.zookeeper.auth.digest=hunter2hunter2", prepare: aSecret, key: "kyuubi.ha.zookeeper.auth.digest", why: "not of the form user:password"},
	{name: "by a digest that others read", lines: clustered + ";kyuubi.ha.zookeeper.auth.digest=file:{dir}/digest", prepare: all(aSecret, aFile("digest", "u:hunter2hunter2", 0o644)), key: "kyuubi.ha.zookeeper.auth.digest", why: "is open to others"},
	{name: "with sessions that never last", lines: clustered + ";kyuubi.ha.zookeeper.session.timeout=10", prepare: aSecret, key: "kyuubi.ha.zookeeper.session.timeout", why: "any pause would be taken for the end of an engine"},
	{name: "with TLS in files alone", lines: clustered + ";kyuubi.ha.zookeeper.ssl.ca.path={dir}/ca.pem", prepare: all(aSecret, aSignedCertificate), key: "kyuubi.ha.zookeeper.ssl.enabled", why: "would be in clear text"},
	{name: "with a certificate without its key", lines: overTLS + ";kyuubi.ha.zookeeper.ssl.client.certificate.path={dir}/cert.pem", prepare: all(aSecret, aSignedCertificate), key: "kyuubi.ha.zookeeper.ssl.client.key.path", why: "needs this PEM file"},
	{name: "with a key that others read", lines: shown, prepare: all(aSecret, aSignedCertificate, mode("key.pem", 0o644)), key: "kyuubi.ha.zookeeper.ssl.client.key.path", why: "and so pretend to be this gateway"},
	{name: "with authorities that others change", lines: overTLS + ";kyuubi.ha.zookeeper.ssl.ca.path={dir}/ca.pem", prepare: all(aSecret, aSignedCertificate, mode("ca.pem", 0o666)), key: "kyuubi.ha.zookeeper.ssl.ca.path", why: "and so pretend to be ZooKeeper"},
	{name: "with authorities that are none", lines: overTLS + ";kyuubi.ha.zookeeper.ssl.ca.path={dir}/key.pem", prepare: all(aSecret, aSignedCertificate), key: "kyuubi.ha.zookeeper.ssl.ca.path", why: "holds no certificate in PEM form"},
	{name: "with a key where engines work", lines: shown + ";kyuubi.server.work.dir={dir}/w;kyuubi.ha.zookeeper.ssl.client.key.path={dir}/w/key.pem", prepare: all(aSecret, aSignedCertificate, aFolder("w", 0o700), moved("key.pem", "w/key.pem")), key: "kyuubi.ha.zookeeper.ssl.client.key.path", why: "where engines work"},
}

const (
	overTLS = clustered + ";kyuubi.ha.zookeeper.ssl.enabled=true"
	shown   = overTLS + ";kyuubi.ha.zookeeper.ssl.client.certificate.path={dir}/cert.pem;kyuubi.ha.zookeeper.ssl.client.key.path={dir}/key.pem"
)

// TestUnsafeConfigurationsDoNotStart: each is refused by validate, run and
// start, with its one reason and the place to change.
func TestUnsafeConfigurationsDoNotStart(t *testing.T) {
	for area, table := range map[string][]unsafe{
		"doors": doors, "people": people, "engines": engines, "secrets": secrets, "certificates": certificates, "places": places,
		"directories": directories, "issuers": issuers, "kerberos": kerberos, "permissions": permissions, "gateways": gateways,
	} {
		for _, tt := range table {
			t.Run(area+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				tt.refuse(t)
			})
		}
	}
}

func (u unsafe) refuse(t *testing.T) {
	m := newMachine(t)
	if u.lines != "" {
		m.lines = strings.Split(u.lines, ";")
	}
	if u.prepare != nil {
		u.prepare(m)
	}
	m.configure()
	commands := make([]string, len(everywhere))
	for i, command := range everywhere {
		commands[i] = strings.Join(append([]string{command}, u.args...), " ")
	}
	m.requireRefused(commands, u.key, u.why)
	_, said := m.run(append([]string{"validate"}, u.args...)...)
	require.NotContains(t, said, "hunter2")
	if strings.Contains(said, "the configuration has ") {
		require.Equal(t, max(1, u.faults), strings.Count(said, "\n  "), "other faults hide this one:\n%s", said)
	}
	require.NoDirExists(t, filepath.Join(m.home, "logs"), "start refuses before it writes anything")
}

// TestThereAreEnoughOfThem keeps the promise of the documentation.
func TestThereAreEnoughOfThem(t *testing.T) {
	require.GreaterOrEqual(t, len(doors)+len(people)+len(engines)+len(secrets)+len(certificates)+len(places), 40)
}
