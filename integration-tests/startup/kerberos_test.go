// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"os"

	"github.com/stretchr/testify/require"

	"roundhouse/internal/krb5/krb5test"
)

const (
	tickets = "kyuubi.authentication=KERBEROS;kyuubi.spnego.principal=HTTP/h@R;kyuubi.spnego.keytab={dir}/keytab;kyuubi.authentication.kerberos.replay.dir={dir}/used"
	rules   = "hadoop.security.auth_to_local"
)

// aKeytab makes a keytab with keys of principals.
func aKeytab(mode os.FileMode, principals ...string) func(*machine) {
	return func(m *machine) {
		data, err := os.ReadFile(krb5test.Keytab(m.t, principals...))
		require.NoError(m.t, err)
		m.file("keytab", string(data), mode)
	}
}

// kerberos: settings under which tickets would be worth too much, or nothing.
var kerberos = []unsafe{
	{name: "no principal", lines: "kyuubi.authentication=KERBEROS;kyuubi.spnego.keytab={dir}/keytab", prepare: aKeytab(0o600, "HTTP/h@R"), key: "kyuubi.spnego.principal", why: "needs the service that tickets are for"},
	{name: "no keytab", lines: "kyuubi.authentication=KERBEROS;kyuubi.spnego.principal=HTTP/h@R", key: "kyuubi.spnego.keytab", why: "needs this file with the keys"},
	{name: "another service", lines: tickets + ";kyuubi.spnego.principal=hive/h@R", prepare: aKeytab(0o600, "hive/h@R"), key: "kyuubi.spnego.principal", why: "does not begin with HTTP/"},
	{name: "a wildcard", lines: tickets + ";kyuubi.spnego.principal=HTTP/_HOST@R", prepare: aKeytab(0o600, "HTTP/h@R"), key: "kyuubi.spnego.principal", why: "_HOST is not replaced here"},
	{name: "no realm", lines: tickets + ";kyuubi.spnego.principal=HTTP/h", prepare: aKeytab(0o600, "HTTP/h@R"), key: "kyuubi.spnego.principal", why: "is no service with a host and a realm"},
	{name: "a keytab that others read", lines: tickets, prepare: aKeytab(0o644, "HTTP/h@R"), key: "kyuubi.spnego.keytab", why: "has mode 0644 and is open to others; run: chmod 600"},
	{name: "a keytab that is not there", lines: tickets, key: "kyuubi.spnego.keytab", why: "does not exist: export the keys"},
	{name: "a keytab that is none", lines: tickets, prepare: aFile("keytab", "not a keytab", 0o600), key: "kyuubi.spnego.keytab", why: "is no keytab"},
	{name: "a keytab of another service", lines: tickets, prepare: aKeytab(0o600, "HTTP/other@R"), key: "kyuubi.spnego.keytab", why: "has no key of HTTP/h@R, but of: HTTP/other@R"},
	{name: "a keytab where engines work", lines: tickets + ";kyuubi.server.work.dir={dir}/w;kyuubi.spnego.keytab={dir}/w/keytab", prepare: all(aKeytab(0o600, "HTTP/h@R"), func(m *machine) {
		require.NoError(m.t, os.Mkdir(m.dir+"/w", 0o700))
		require.NoError(m.t, os.Rename(m.dir+"/keytab", m.dir+"/w/keytab"))
	}), key: "kyuubi.spnego.keytab", why: "where engines work"},
	{name: "used tokens in a folder of everybody", lines: tickets, prepare: all(aKeytab(0o600, "HTTP/h@R"), aFolder("used", 0o777)), key: "kyuubi.authentication.kerberos.replay.dir", why: "every user of this machine can replace what is in"},
	{name: "used tokens that others see", lines: tickets, prepare: all(aKeytab(0o600, "HTTP/h@R"), aFolder("used", 0o755)), key: "kyuubi.authentication.kerberos.replay.dir", why: "chmod 700"},
	{name: "used tokens behind a link", lines: tickets, prepare: all(aKeytab(0o600, "HTTP/h@R"), aFolder("real", 0o700), func(m *machine) {
		require.NoError(m.t, os.Symlink("real", m.dir+"/used"))
	}), key: "kyuubi.authentication.kerberos.replay.dir", why: "{dir}/used is no folder"},
	{name: "rules that are none", lines: tickets + ";" + rules + "=RULE:[1:$1](.*)s/x/", prepare: aKeytab(0o600, "HTTP/h@R"), key: rules, why: "no rule begins at"},
	{name: "a rule with too many parts", lines: tickets + ";" + rules + "=RULE:[1:$2]", prepare: aKeytab(0o600, "HTTP/h@R"), key: rules, why: "there is no $2"},
	{name: "rules that let realms into names", lines: tickets + ";" + rules + ".mechanism=mit", prepare: aKeytab(0o600, "HTTP/h@R"), key: rules + ".mechanism", why: "would let names with / and @ become users"},
	{name: "an administrator who never comes in", lines: tickets + ";kyuubi.server.administrators=hdfs", prepare: aKeytab(0o600, "HTTP/h@R"), key: "kyuubi.server.administrators", why: "is an account of the system that never comes in"},
	{name: "a wildcard that refuses nobody", lines: tickets + ";kyuubi.authentication.refused.users=svc*", prepare: aKeytab(0o600, "HTTP/h@R"), key: "kyuubi.authentication.refused.users", why: `"svc*" can be the name of no user`},
}
