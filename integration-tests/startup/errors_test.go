// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	// everywhere are the commands that read the configuration.
	everywhere = []string{"validate", "run", "start"}
	// whenStarting are those that take what only a running gateway needs.
	whenStarting = []string{"run", "start"}
)

// TestAValidConfigurationStarts is what the other tests break.
func TestAValidConfigurationStarts(t *testing.T) {
	m := newMachine(t)
	m.configure()
	code, said := m.run("validate")
	require.Equal(t, 0, code, said)
	require.Regexp(t, `The gateway is running \(pid \d+`, m.start())
}

// TestStartUpErrors: each names the cause and what to do.
func TestStartUpErrors(t *testing.T) {
	tests := map[string]struct {
		lines   []string
		prepare func(t *testing.T, m *machine)
		says    []string
	}{
		"an unknown key": {
			lines: []string{"kyuubi.sesion.idle.timeout=PT1H"},
			says:  []string{"{dir}/home/conf/kyuubi-defaults.conf:5: kyuubi.sesion.idle.timeout: unknown setting; did you mean kyuubi.session.idle.timeout?"},
		},
		"a wrong type": {
			lines: []string{"kyuubi.session.idle.timeout=soon"},
			says:  []string{"kyuubi-defaults.conf:5: kyuubi.session.idle.timeout: want a duration such as PT30M", `got "soon"`},
		},
		"a wrong value for Spark": {
			lines: []string{"spark.driver.memory=lots", "___alice___.spark.executor.cores=few"},
			says: []string{":5: spark.driver.memory: no engine could start: want a size such as 2g or 2048m, got \"lots\"",
				":6: ___alice___.spark.executor.cores: no engine could start: want a whole number, got \"few\""},
		},
		"an unreadable file": {
			prepare: func(t *testing.T, m *machine) {
				m.configure()
				m.asStranger()
				require.NoError(t, os.Chmod(m.confFile(), 0))
			},
			says: []string{"{dir}/home/conf/kyuubi-defaults.conf: cannot be read", "permission denied", "make it readable for the gateway's user"},
		},
		"a folder for a file": {
			prepare: func(t *testing.T, m *machine) { m.folder("home/conf/kyuubi-defaults.conf", 0o755) },
			says:    []string{"kyuubi-defaults.conf: cannot be read", "is a directory"},
		},
		"no Spark there": {
			lines: []string{"kyuubi.engineEnv.SPARK_HOME={dir}/elsewhere"},
			says:  []string{":5: kyuubi.engineEnv.SPARK_HOME: {dir}/elsewhere is not a folder: name the folder of a Spark 4 distribution"},
		},
		"a folder without Spark": {
			lines:   []string{"kyuubi.engineEnv.SPARK_HOME={dir}/empty"},
			prepare: func(t *testing.T, m *machine) { m.folder("empty", 0o755) },
			says:    []string{"SPARK_HOME: there is no Spark to launch in {dir}/empty, because bin/spark-submit does not exist: name the folder of a Spark 4"},
		},
		"a Spark that may not be run": {
			prepare: func(t *testing.T, m *machine) { m.file("spark/bin/spark-submit", "", 0o644) },
			says:    []string{"SPARK_HOME: there is no Spark to launch in {dir}/spark, because bin/spark-submit may not be executed"},
		},
		"a wrong Spark in the environment": {
			prepare: func(t *testing.T, m *machine) {
				delete(m.settings, "kyuubi.engineEnv.SPARK_HOME")
				m.env["SPARK_HOME"] = "/no/spark"
			},
			says: []string{"SPARK_HOME (environment): /no/spark is not a folder"},
		},
		"a wrong Spark for one user": {
			lines: []string{"___alice___.kyuubi.engineEnv.SPARK_HOME=/no/spark"},
			says:  []string{"___alice___.kyuubi.engineEnv.SPARK_HOME: /no/spark is not a folder"},
		},
		"no Java": {
			prepare: func(t *testing.T, m *machine) {
				m.file("spark/jars/spark-core_2.13-4.3.0.jar", "", 0o644)
				m.env["PATH"] = m.folder("no-programs", 0o755)
			},
			says: []string{"JAVA_HOME is not set and PATH has no java", "set JAVA_HOME (in conf/kyuubi-env.sh, or as kyuubi.engineEnv.JAVA_HOME) to a Java of version 17 or later"},
		},
		"a wrong Java": {
			lines:   []string{"kyuubi.engineEnv.JAVA_HOME={dir}/java"},
			prepare: func(t *testing.T, m *machine) { m.file("spark/jars/spark-core_2.13-4.3.0.jar", "", 0o644) },
			says:    []string{"kyuubi-defaults.conf:5: kyuubi.engineEnv.JAVA_HOME: Spark cannot start, because {dir}/java/bin/java does not exist: set JAVA_HOME"},
		},
		"an old Java": {
			prepare: func(t *testing.T, m *machine) {
				m.file("spark/jars/spark-core_2.13-4.3.0.jar", "", 0o644)
				m.file("java/bin/java", "", 0o755)
				m.file("java/release", "IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"11.0.21\"\n", 0o644)
				m.env["JAVA_HOME"] = filepath.Join(m.dir, "java")
			},
			says: []string{"JAVA_HOME (environment): {dir}/java/bin/java is Java 11, and Spark 4 needs 17: set JAVA_HOME"},
		},
		"a data folder that is a file": {
			lines:   []string{"kyuubi.server.data.dir={dir}/data"},
			prepare: func(t *testing.T, m *machine) { m.file("data", "", 0o600) },
			says:    []string{":5: kyuubi.server.data.dir: {dir}/data is a file, not a folder: remove it, or name another folder"},
		},
		"a data folder below a file": {
			lines:   []string{"kyuubi.server.data.dir={dir}/file/data"},
			prepare: func(t *testing.T, m *machine) { m.file("file", "", 0o600) },
			says:    []string{"kyuubi.server.data.dir: the folder cannot be used", "not a directory"},
		},
		"a data folder of somebody else": {
			lines:   []string{"kyuubi.server.data.dir={dir}/locked/data"},
			prepare: func(t *testing.T, m *machine) { m.configure(); m.folder("locked", 0o555); m.asStranger() },
			says:    []string{"kyuubi.server.data.dir: the gateway (uid", "cannot write to {dir}/locked: change its owner or its mode, or name another folder"},
		},
		"a work folder of somebody else": {
			lines:   []string{"kyuubi.server.work.dir={dir}/locked"},
			prepare: func(t *testing.T, m *machine) { m.configure(); m.folder("locked", 0o555); m.asStranger() },
			says:    []string{"kyuubi.server.work.dir: the gateway (uid", "cannot write to {dir}/locked: change its owner or its mode, or name another folder"},
		},
		"a missing token file": {
			lines: []string{"kyuubi.authentication=TOKEN", "kyuubi.authentication.token.file={dir}/tokens"},
			says:  []string{":6: kyuubi.authentication.token.file: {dir}/tokens does not exist: make it with a line of a token and its user, and chmod 600"},
		},
		"a token file with a fault": {
			lines:   []string{"kyuubi.authentication=TOKEN", "kyuubi.authentication.token.file={dir}/tokens"},
			prepare: func(t *testing.T, m *machine) { m.file("tokens", "# tokens\nshort alice\n", 0o600) },
			says:    []string{"token file {dir}/tokens: line 2: a token has 16 to 4096 characters, this one has 5; make one with: openssl rand -hex 32", "kyuubi.authentication.token.file"},
		},
		"a missing certificate": {
			lines: tlsLines,
			says:  []string{"kyuubi.frontend.spark.connect.ssl.certificate.path: the certificate cannot be read (open {dir}/cert.pem: no such file or directory): correct the path"},
		},
		"a certificate that is none": {
			lines: tlsLines,
			prepare: func(t *testing.T, m *machine) {
				certificate(m, certificateOptions{})
				m.file("cert.pem", "no certificate", 0o644)
			},
			says: []string{"ssl.certificate.path: no certificate can be read from {dir}/cert.pem", "it must be PEM"},
		},
		"a key that is none": {
			lines: tlsLines,
			prepare: func(t *testing.T, m *machine) {
				certificate(m, certificateOptions{})
				m.file("key.pem", "no key", 0o600)
			},
			says: []string{"ssl.key.path: no private key can be read from {dir}/key.pem: it must be PEM and not encrypted"},
		},
		"a missing plugin": {
			lines: []string{"kyuubi.session.engine.spark.main.resource={dir}/plugin.jar"},
			says:  []string{"kyuubi.session.engine.spark.main.resource: the engine plugin cannot be found", "correct the path, or remove the line"},
		},
		"a broken profile": {
			prepare: func(t *testing.T, m *machine) {
				m.file("home/conf/kyuubi-session-big.conf", "kyuubi.sesion.x=1\n", 0o600)
			},
			says: []string{"{dir}/home/conf/kyuubi-session-big.conf: the profile big is broken", "kyuubi-session-big.conf:1: kyuubi.sesion.x: unknown setting"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.lines = tt.lines
			if tt.prepare != nil {
				tt.prepare(t, m)
			}
			m.configure()
			m.requireRefused(everywhere, tt.says...)
		})
	}
}

// TestTakenPort: the port, its setting, and how to find who has it. Validate
// says nothing, because a running gateway has its own ports.
func TestTakenPort(t *testing.T) {
	for _, key := range []string{"kyuubi.frontend.rest.bind.port", "kyuubi.frontend.spark.connect.bind.port"} {
		t.Run(key, func(t *testing.T) {
			taken, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer taken.Close()
			port := taken.Addr().(*net.TCPAddr).Port
			m := newMachine(t)
			m.settings[key] = fmt.Sprint(port)
			m.configure()
			m.requireRefused(whenStarting, fmt.Sprintf("cannot listen on 127.0.0.1:%d", port), key[len("kyuubi.frontend."):], "address already in use",
				fmt.Sprintf("Another program has port %d; this shows which one: ss -ltnp 'sport = :%d'. Stop it, or set another port", port, port))
			code, said := m.run("validate")
			require.Equal(t, 0, code, said)
		})
	}
}

func TestAddressOfAnotherMachine(t *testing.T) {
	m := newMachine(t)
	m.lines = []string{"kyuubi.frontend.rest.bind.host=192.0.2.1", "kyuubi.authentication.none.allow.remote=true"}
	m.configure()
	m.requireRefused(whenStarting, "cannot listen on 192.0.2.1", "kyuubi.frontend.rest.bind.host", "This machine has no such address (ip address lists those it has)")
}

// TestSecondGateway: of the same home, and of another one on the same data.
func TestSecondGateway(t *testing.T) {
	first := newMachine(t)
	pid := regexp.MustCompile(`pid (\d+)`).FindStringSubmatch(first.start())[1]
	for _, command := range whenStarting {
		code, said := first.run(command)
		require.Equal(t, 1, code, said)
		require.Contains(t, said, "the gateway is already running (pid "+pid+",")
		require.Contains(t, said, "stop it first, or set KYUUBI_PID_DIR to run a second one")
	}
	second := newMachine(t)
	second.lines = []string{"kyuubi.server.data.dir=" + first.home + "/data"}
	second.configure()
	second.requireRefused(whenStarting, "the store "+first.home+"/data/discovery.db is in use by process "+pid,
		"stop the other one, or give this one a directory of its own", "kyuubi.server.data.dir")
	code, said := first.run("status")
	require.Equal(t, 0, code, said)
}

// TestUnwritableLogAndPIDFolders are met by start, and by run, which has no log
// but that of the audit.
func TestUnwritableLogAndPIDFolders(t *testing.T) {
	t.Run("KYUUBI_LOG_DIR", func(t *testing.T) {
		m := newMachine(t)
		m.configure()
		m.env["KYUUBI_LOG_DIR"] = m.folder("locked", 0o555) + "/here"
		m.asStranger()
		m.requireRefused(everywhere, "KYUUBI_LOG_DIR (environment)", "{dir}/locked", "the gateway (uid", "change its owner or its mode, or name another folder")

		m.env["KYUUBI_LOG_DIR"] = m.file("file", "", 0o600)
		m.requireRefused(everywhere, "KYUUBI_LOG_DIR (environment)", "{dir}/file is a file, not a folder")
	})
	for variable, commands := range map[string][]string{"KYUUBI_LOG_DIR": {"start"}, "KYUUBI_PID_DIR": whenStarting} {
		t.Run(variable+" without an audit log", func(t *testing.T) {
			m := newMachine(t)
			m.lines = []string{"kyuubi.server.audit.enabled=false"}
			m.configure()
			m.env[variable] = m.folder("locked", 0o555) + "/here"
			m.asStranger()
			m.requireRefused(commands, "("+variable+")", "{dir}/locked/here", "permission denied", "the gateway runs as uid", "correct its owner or mode, or name another one")

			m.env[variable] = m.file("file", "", 0o600)
			m.requireRefused(commands, "("+variable+")", "{dir}/file", "not a directory", "name another one")
		})
	}
}
