// SPDX-License-Identifier: Apache-2.0

package startup

// aDirectory are settings of LDAP to which a row adds what is wrong.
const (
	ldapKey    = "kyuubi.authentication.ldap."
	aDirectory = "kyuubi.authentication=LDAP;" + ldapKey + "url=ldaps://directory.example"
	aPattern   = ";" + ldapKey + "userDNPattern=uid=%s,ou=people,dc=example"
	anAccount  = ";" + ldapKey + "binddn=cn=gateway,dc=example;" + ldapKey + "bindpw=hunter2hunter2"
)

// directories: what the method LDAP asks, and whom it would let in.
var directories = []unsafe{
	{name: "no directory", lines: "kyuubi.authentication=LDAP" + aPattern, key: ldapKey + "url", why: "needs a directory to ask"},
	{name: "passwords in clear text", lines: aDirectory + " ldap://other.example:389" + aPattern, key: ldapKey + "url", why: "passwords would cross the network to other.example:389 in clear text"},
	{name: "StartTLS for another name of true", lines: aDirectory + aPattern + ";" + ldapKey + "start.tls=yes", key: ldapKey + "start.tls", why: "want true or false"},
	{name: "passwords to the gateway in clear text", lines: aDirectory + aPattern + ";kyuubi.frontend.spark.connect.bind.host=0.0.0.0", key: "kyuubi.frontend.spark.connect.ssl.enabled", why: "credentials would cross the network in clear text on 0.0.0.0"},
	{name: "a directory that is a page", lines: "kyuubi.authentication=LDAP;" + ldapKey + "url=https://directory.example" + aPattern, key: ldapKey + "url", why: "is no directory server"},
	{name: "a base in the address", lines: aDirectory + "/dc=example" + aPattern, key: ldapKey + "url", why: "holds more than a server and a port"},
	{name: "a password in the address", lines: "kyuubi.authentication=LDAP;" + ldapKey + "url=ldaps://cn=a:hunter2@directory.example" + aPattern, key: ldapKey + "url", why: "holds more than a server and a port"},
	{name: "one entry for everybody", lines: aDirectory + ";" + ldapKey + "userDNPattern=uid=alice,dc=example", key: ldapKey + "userDNPattern", why: "want patterns such as uid=%s"},
	{name: "people nowhere", lines: aDirectory, key: ldapKey + "baseDN", why: "nothing says under which names people sign in"},
	{name: "an account that searches nowhere", lines: aDirectory + anAccount, key: ldapKey + "baseDN", why: "nothing says where"},
	{name: "a base that is none", lines: aDirectory + ";" + ldapKey + "baseDN=example.org", key: ldapKey + "baseDN", why: "is no DN"},
	{name: "an account without a password", lines: aDirectory + aPattern + ";" + ldapKey + "binddn=cn=gateway,dc=example", key: ldapKey + "bindpw", why: "take the gateway for nobody in particular"},
	{name: "a password without an account", lines: aDirectory + aPattern + ";" + ldapKey + "bindpw=hunter2hunter2", key: ldapKey + "binddn", why: "not the account that it belongs to"},
	{name: "groups nowhere", lines: aDirectory + aPattern + ";" + ldapKey + "groupFilter=analysts", key: ldapKey + "groupDNPattern", why: "nothing says where they are"},
	{name: "users by domain that cannot be found", lines: aDirectory + ";" + ldapKey + "domain=example.org;" + ldapKey + "userFilter=alice", key: ldapKey + "baseDN", why: "nothing says where these are"},
	{name: "filters that would not hold", lines: aDirectory + ";" + ldapKey + "baseDN=dc=example;" + ldapKey + "userFilter=alice;" + ldapKey + "customLDAPQuery=(uid=%s)", key: ldapKey + "customLDAPQuery", why: "would let in whom they should not"},
	{name: "a query that is none", lines: aDirectory + ";" + ldapKey + "baseDN=dc=example;" + ldapKey + "customLDAPQuery=(uid=%s", key: ldapKey + "customLDAPQuery", why: "is no LDAP filter"},
	{name: "a filter in the name of an attribute", lines: aDirectory + aPattern + ";" + ldapKey + "guidKey=uid)(|(cn", key: ldapKey + "guidKey", why: "want the name of an LDAP attribute"},
	{name: "authorities that are not there", lines: aDirectory + aPattern + ";" + ldapKey + "ssl.ca.path={dir}/ca.pem", key: ldapKey + "ssl.ca.path", why: "cannot be read"},
	{name: "authorities that others change", lines: aDirectory + aPattern + ";" + ldapKey + "ssl.ca.path={dir}/ca.pem", prepare: aFile("ca.pem", "", 0o666), key: ldapKey + "ssl.ca.path", why: "pretend to be the directory"},
	{name: "authorities where engines work", lines: aDirectory + aPattern + ";kyuubi.server.work.dir={dir}/w;" + ldapKey + "ssl.ca.path={dir}/w/ca.pem", prepare: all(aSignedCertificate, aFolder("w", 0o700), moved("ca.pem", "w/ca.pem")), key: ldapKey + "ssl.ca.path", why: "is inside {dir}/w, where engines work"},
	{name: "authorities that are none", lines: aDirectory + aPattern + ";" + ldapKey + "ssl.ca.path={dir}/ca.pem", prepare: aFile("ca.pem", "x", 0o600), key: ldapKey + "ssl.ca.path", why: "holds no certificate"},
	{name: "a password on the command line", lines: aDirectory + aPattern, args: []string{"--conf", ldapKey + "bindpw=hunter2hunter2"}, key: "--conf #1: " + ldapKey + "bindpw", why: "can read a secret on the command line"},
	{name: "a password that everybody reads", lines: aDirectory + aPattern + anAccount, prepare: all(written, mode("home/conf/kyuubi-defaults.conf", 0o644)), key: ldapKey + "bindpw", why: "every user of this machine can read this secret"},
	{name: "a password that others read", lines: aDirectory + aPattern + ";" + ldapKey + "binddn=cn=gateway,dc=example;" + ldapKey + "bindpw=file:{dir}/pw", prepare: aFile("pw", "hunter2hunter2", 0o644), key: ldapKey + "bindpw", why: "is open to others"},
	{name: "a wait for ever", lines: aDirectory + aPattern + ";" + ldapKey + "timeout=0", key: ldapKey + "timeout", why: "must be longer than zero"},
	{name: "failures below zero", lines: "kyuubi.authentication.throttle.user.failures=-1", key: "kyuubi.authentication.throttle.user.failures", why: "must be between 0 and"},
}
