// SPDX-License-Identifier: Apache-2.0

package env

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// KDC is a Kerberos realm of its own: MIT's server on a free port of this
// machine, with its files in a folder of the test.
type KDC struct {
	// Realm is its name, Conf the krb5.conf of its clients.
	Realm, Conf string

	t    testing.TB
	dir  string
	cmd  *exec.Cmd
	over chan struct{}
}

// krb5Conf is the krb5.conf of clients: folder, realm, and port of the server.
const krb5Conf = `[libdefaults]
default_realm = %[2]s
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
udp_preference_limit = 1
default_ccache_name = FILE:%[1]s/default.cache

[realms]
%[2]s = {
  kdc = 127.0.0.1:%[3]d
}

[domain_realm]
localhost = %[2]s
`

// kdcConf is the kdc.conf.
const kdcConf = `[kdcdefaults]
kdc_listen = 127.0.0.1:%[3]d
kdc_tcp_listen = 127.0.0.1:%[3]d

[realms]
%[2]s = {
  database_name = %[1]s/principal
  key_stash_file = %[1]s/stash
  acl_file = %[1]s/acl
  max_life = 10h
  supported_enctypes = aes256-cts:normal aes128-cts:normal
}

[logging]
kdc = FILE:%[1]s/kdc.log
`

// StartKDC starts a server of a new realm and waits until it answers. It ends
// with the test. Without the programs the test is skipped.
func StartKDC(t testing.TB, realm string) *KDC {
	t.Helper()
	for _, name := range []string{"krb5kdc", "kdb5_util", "kadmin.local", "kinit"} {
		if systemProgram(name) == "" {
			t.Skipf("%s is missing: sudo apt-get install -y krb5-kdc krb5-admin-server krb5-user", name)
		}
	}
	k := &KDC{Realm: realm, t: t, dir: t.TempDir()}
	k.Conf = filepath.Join(k.dir, "krb5.conf")
	port := FreePort(t)
	require.NoError(t, os.WriteFile(k.Conf, fmt.Appendf(nil, krb5Conf, k.dir, realm, port), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(k.dir, "kdc.conf"), fmt.Appendf(nil, kdcConf, k.dir, realm, port), 0o600))
	k.run("", "kdb5_util", "create", "-s", "-r", realm, "-P", "of this test only")
	k.start(fmt.Sprintf("127.0.0.1:%d", port))
	return k
}

// systemProgram finds a program also where only root's PATH looks; "" if it is
// not there.
func systemProgram(name string) string {
	for _, path := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	return ""
}

func (k *KDC) start(address string) {
	k.t.Helper()
	k.cmd = exec.Command(systemProgram("krb5kdc"), "-n", "-r", k.Realm, "-P", filepath.Join(k.dir, "kdc.pid"))
	k.cmd.Env = k.Environ()
	require.NoError(k.t, k.cmd.Start())
	k.over = make(chan struct{})
	go func() { _ = k.cmd.Wait(); close(k.over) }() // waited for by stop
	k.t.Cleanup(k.stop)
	require.Eventually(k.t, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond, "the KDC does not answer")
}

func (k *KDC) stop() {
	_ = k.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-k.over:
	case <-time.After(10 * time.Second):
		_ = k.cmd.Process.Kill()
		<-k.over
	}
	if k.t.Failed() {
		log, _ := os.ReadFile(filepath.Join(k.dir, "kdc.log"))
		k.t.Logf("log of the KDC:\n%s", tail(string(log), 20))
	}
}

// Environ is the environment of programs that use this realm.
func (k *KDC) Environ(more ...string) []string {
	return append(append(os.Environ(), "KRB5_CONFIG="+k.Conf, "KRB5_KDC_PROFILE="+filepath.Join(k.dir, "kdc.conf")), more...)
}

func (k *KDC) run(input, name string, args ...string) {
	k.t.Helper()
	cmd := exec.Command(systemProgram(name), args...)
	cmd.Env, cmd.Stdin = k.Environ(), strings.NewReader(input)
	Run(k.t, cmd)
}

// Keytab makes principals, without the realm, and one keytab with the keys of
// all of them.
func (k *KDC) Keytab(principals ...string) string {
	k.t.Helper()
	path := filepath.Join(k.t.TempDir(), "test.keytab")
	var commands strings.Builder
	for _, p := range principals {
		fmt.Fprintf(&commands, "addprinc -randkey %s\nktadd -k %s %s\n", p, path, p)
	}
	k.run(commands.String(), "kadmin.local", "-r", k.Realm)
	require.FileExists(k.t, path)
	return path
}

// Person makes a principal, without the realm, that has a password.
func (k *KDC) Person(principal, password string) {
	k.t.Helper()
	k.run(password+"\n"+password+"\n", "kadmin.local", "-r", k.Realm, "addprinc", principal)
}

// Login is kinit by a keytab. It returns the environment of programs that then
// have tickets of that person.
func (k *KDC) Login(principal, keytab string) []string {
	k.t.Helper()
	environ := k.Environ("KRB5CCNAME=FILE:" + filepath.Join(k.t.TempDir(), "cache"))
	cmd := exec.Command(systemProgram("kinit"), "-k", "-t", keytab, principal+"@"+k.Realm)
	cmd.Env = environ
	Run(k.t, cmd)
	return environ
}

// Rekey gives a principal new keys and adds them to a keytab, as ktadd does.
func (k *KDC) Rekey(keytab, principal string) {
	k.t.Helper()
	k.run("cpw -randkey -keepold "+principal+"\nktadd -norandkey -k "+keytab+" "+principal+"\n", "kadmin.local", "-r", k.Realm)
}
