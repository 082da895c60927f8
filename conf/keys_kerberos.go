// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"fmt"
	"os"
)

// AuthKerberos is the method KERBEROS of kyuubi.authentication.
const AuthKerberos = "KERBEROS"

// Who the gateway is to people with Kerberos tickets.
var (
	// SpnegoPrincipal is kyuubi.spnego.principal.
	SpnegoPrincipal = Entry[string]{Meta{Key: "kyuubi.spnego.principal", Since: "0.1.0", Scope: ScopeServer,
		Doc: "The service that tickets of the method `KERBEROS` must be for: `HTTP/host@REALM`, where host is the name by which clients call the gateway. `_HOST` is not replaced. The realm is also the one of the rule `DEFAULT`."}, textKind()}

	// SpnegoKeytab is kyuubi.spnego.keytab.
	SpnegoKeytab = Entry[string]{Meta{Key: "kyuubi.spnego.keytab", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Keytab with the keys of that service, readable by the gateway's user only (mode 0600). A new keytab holds at once."}, pathKind()}

	// KerberosReplayDir is kyuubi.authentication.kerberos.replay.dir. Its default is
	// ReplayDir.
	KerberosReplayDir = Entry[string]{Meta{Key: "kyuubi.authentication.kerberos.replay.dir", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Folder (mode 0700) in which a gateway remembers for some minutes which tokens were used, so that nobody can use one again. Gateways that share a principal must share it: run them on one host, or give each host its own. Unset is `/var/tmp/roundhouse-tickets-<uid>`; under systemd with `PrivateTmp` name a folder outside of it."}, pathKind()}
)

// RefusedUsers is kyuubi.authentication.refused.users.
var RefusedUsers = Entry[[]string]{Meta{Key: "kyuubi.authentication.refused.users", Ours: true, Since: "0.1.0", Scope: ScopeServer,
	Default: "root,daemon,bin,sys,adm,nobody,hadoop,hdfs,yarn,mapred,httpfs,kms,hive,impala,spark,kyuubi,zookeeper,kafka,hbase,ranger,atlas,solr",
	Doc:     "Users who never come in, whatever method of `kyuubi.authentication` vouches for them: accounts of the system and those that own a cluster's data. Services that act for others (`hadoop.proxyuser.*`), such as hue and livy, are not among them. Case does not count. A value replaces the default. Where nobody is authenticated (`NONE`) the list means nothing."}, listKind()}

// ReplayDir is KerberosReplayDir with its default.
func (c *Conf) ReplayDir() string {
	if dir := KerberosReplayDir.Get(c); dir != "" {
		return dir
	}
	return fmt.Sprintf("/var/tmp/roundhouse-tickets-%d", os.Geteuid())
}

// AuthToLocal is the text of hadoop.security.auth_to_local; "" if it is not set.
func (c *Conf) AuthToLocal() string {
	text, _ := c.Raw(AuthToLocalKey)
	return text
}

// AuthToLocalKey is a setting of Hadoop, authToLocalMechanism another one that
// changes its meaning.
const (
	AuthToLocalKey       = "hadoop.security.auth_to_local"
	authToLocalMechanism = AuthToLocalKey + ".mechanism"
)
