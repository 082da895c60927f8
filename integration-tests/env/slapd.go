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

// The directory of Slapd.
const (
	// LDAPBase holds ou=people, ou=staff and ou=groups.
	LDAPBase = "dc=example,dc=test"
	// LDAPService is the account that may search, LDAPServicePassword its password.
	LDAPService         = "cn=gateway,ou=services," + LDAPBase
	LDAPServicePassword = "service-password-5d1c"
)

// LDAPPassword is the password of a person of the directory: alice, bob and
// carol in ou=people, dave in ou=staff, and twin, of whom there is one in each: that
// in ou=staff has the password of "staff-twin", that in ou=people is in the group elders.
func LDAPPassword(user string) string { return "pw-" + user + "-8f3a" }

// Slapd is a real OpenLDAP server on free loopback ports, with its data in a
// folder of the test.
type Slapd struct {
	// Plain and Secure are host:port of ldap:// (which knows StartTLS) and ldaps://.
	Plain, Secure string
	// CA is the PEM file of the certificate to trust, for 127.0.0.1.
	CA string

	t    testing.TB
	dir  string
	cmd  *exec.Cmd
	over chan struct{}
}

// StartSlapd starts a directory server until the end of the test, or skips
// where the program is not installed.
func StartSlapd(t testing.TB) *Slapd {
	t.Helper()
	plain, secure := FreePorts(t)
	s := &Slapd{t: t, dir: t.TempDir(), Plain: fmt.Sprint("127.0.0.1:", plain), Secure: fmt.Sprint("127.0.0.1:", secure)}
	add := slapdProgram(t, "slapadd")
	certificate, key := Certificate(t)
	s.CA = certificate
	require.NoError(t, os.Mkdir(filepath.Join(s.dir, "db"), 0o700))
	s.write("slapd.conf", fmt.Sprintf(slapdConf, s.dir, certificate, key))
	s.write("people.ldif", peopleLDIF())
	Run(t, exec.Command(add, "-f", s.path("slapd.conf"), "-l", s.path("people.ldif")))
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// slapdProgram finds a program of OpenLDAP's server, or skips.
func slapdProgram(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	path := "/usr/sbin/" + name // not in the PATH of users other than root
	if _, err := os.Stat(path); err != nil {
		t.Skip("no OpenLDAP server: apt-get install slapd")
	}
	if _, err := os.Stat("/etc/ldap/schema"); err != nil {
		t.Skip("no OpenLDAP schemas in /etc/ldap/schema: apt-get install slapd")
	}
	return path
}

// Start runs the server again after Stop, on the same ports with the same data.
func (s *Slapd) Start() {
	s.t.Helper()
	log, err := os.OpenFile(s.path("slapd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(s.t, err)
	defer func() { _ = log.Close() }()
	s.cmd = exec.Command(slapdProgram(s.t, "slapd"), "-d", "stats", "-f", s.path("slapd.conf"),
		"-h", "ldap://"+s.Plain+" ldaps://"+s.Secure)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	require.NoError(s.t, s.cmd.Start())
	cmd, over := s.cmd, make(chan struct{})
	s.over = over
	go func() { _ = cmd.Wait(); close(over) }() // waited for by Stop
	require.Eventually(s.t, func() bool {
		c, err := net.DialTimeout("tcp", s.Secure, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 30*time.Second, 20*time.Millisecond, "slapd does not answer")
}

// Stop ends the server and waits for it.
func (s *Slapd) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // fails if it has ended
	select {
	case <-s.over:
	case <-time.After(10 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.over
	}
}

// Limit starts the server anew, so that it gives that many entries of a list at most.
func (s *Slapd) Limit(entries int) {
	s.t.Helper()
	s.Stop()
	conf, err := os.ReadFile(s.path("slapd.conf"))
	require.NoError(s.t, err)
	s.write("slapd.conf", fmt.Sprintf("%ssizelimit %d\n", conf, entries))
	s.Start()
}

// Log is what the server wrote so far: a line for each connection and operation.
func (s *Slapd) Log() string {
	text, _ := os.ReadFile(s.path("slapd.log"))
	return string(text)
}

// Binds counts the attempts to sign in so far, of one DN or, for "", of all but
// the service account.
func (s *Slapd) Binds(dn string) int {
	count := 0
	for line := range strings.Lines(s.Log()) {
		_, bound, ok := strings.Cut(line, ` BIND dn="`)
		who, method, _ := strings.Cut(bound, `" `)
		if ok && strings.HasPrefix(method, "method=") && who != LDAPService && (dn == "" || who == dn) {
			count++
		}
	}
	return count
}

// Settings are those of a gateway that asks this server over TLS: people sign in
// directly, and nothing filters them.
func (s *Slapd) Settings() map[string]string {
	return map[string]string{
		"kyuubi.authentication":                    "LDAP",
		"kyuubi.authentication.ldap.url":           "ldaps://" + s.Secure,
		"kyuubi.authentication.ldap.ssl.ca.path":   s.CA,
		"kyuubi.authentication.ldap.userDNPattern": "uid=%s,ou=people," + LDAPBase + ":uid=%s,ou=staff," + LDAPBase,
		"kyuubi.engine.local.allow.gateway.user":   "true",
	}
}

func (s *Slapd) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Slapd) write(name, text string) {
	require.NoError(s.t, os.WriteFile(s.path(name), []byte(text), 0o600))
}

// slapdConf: people may sign in and read their own entries, the service account
// and people may search.
const slapdConf = `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile %[1]s/slapd.pid
TLSCertificateFile %[2]s
TLSCertificateKeyFile %[3]s
threads 4
database mdb
maxsize 16777216
suffix "` + LDAPBase + `"
directory %[1]s/db
index objectClass,uid,cn,member eq
overlay memberof
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
`

func peopleLDIF() string {
	var b strings.Builder
	entry := func(dn string, lines ...string) {
		fmt.Fprintf(&b, "dn: %s\n%s\n\n", dn, strings.Join(lines, "\n"))
	}
	entry(LDAPBase, "objectClass: dcObject", "objectClass: organization", "o: test", "dc: example")
	for _, unit := range []string{"people", "staff", "groups", "services"} {
		entry("ou="+unit+","+LDAPBase, "objectClass: organizationalUnit", "ou: "+unit)
	}
	entry(LDAPService, "objectClass: person", "cn: gateway", "sn: gateway", "userPassword: "+LDAPServicePassword)
	groups := map[string][]string{"alice,people": {"analysts", "admins"}, "bob,people": {"analysts"}, "dave,staff": {"admins"}, "twin,people": {"elders"}}
	for _, at := range []string{"alice,people", "bob,people", "carol,people", "twin,people", "dave,staff", "twin,staff"} {
		user, unit, _ := strings.Cut(at, ",")
		password := LDAPPassword(user)
		if at == "twin,staff" {
			password = LDAPPassword("staff-twin")
		}
		lines := []string{"objectClass: inetOrgPerson", "uid: " + user, "cn: " + user, "sn: " + user, "userPassword: " + password}
		for _, group := range groups[at] {
			lines = append(lines, "memberOf: cn="+group+",ou=groups,"+LDAPBase)
		}
		entry("uid="+user+",ou="+unit+","+LDAPBase, lines...)
	}
	entry("cn=analysts,ou=groups,"+LDAPBase, "objectClass: groupOfNames", "cn: analysts",
		"member: uid=alice,ou=people,"+LDAPBase, "member: uid=bob,ou=people,"+LDAPBase)
	entry("cn=admins,ou=groups,"+LDAPBase, "objectClass: groupOfNames", "cn: admins",
		"member: uid=alice,ou=people,"+LDAPBase, "member: uid=dave,ou=staff,"+LDAPBase)
	entry("cn=elders,ou=groups,"+LDAPBase, "objectClass: groupOfNames", "cn: elders", "member: uid=twin,ou=people,"+LDAPBase)
	return b.String()
}
