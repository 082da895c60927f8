// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"cmp"
	"path/filepath"
)

// What people may do, for whom, and who writes it down.
var (
	// RulesFile is kyuubi.server.rules.file.
	RulesFile = Entry[string]{Meta{Key: "kyuubi.server.rules.file", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "YAML file of rules: who may connect, from where, with which profiles, share levels and proxy users, and which operators may see or end what belongs to others. Unset means that everybody who can log in may connect and have what the settings allow. It is read again when it changes; a file with faults changes nothing. [security.md](security.md#rules) has its format, and `bin/gateway explain` tells what it decides."}, pathKind()}

	// SessionProxyUser is kyuubi.session.proxy.user.
	SessionProxyUser = Entry[string]{Meta{Key: "kyuubi.session.proxy.user", Since: "0.1.0", Scope: ScopeSession,
		Doc: "Set by a client: the user for whom it opens its session, as in `sc://host:15002/;kyuubi.session.proxy.user=alice`; `hive.server2.proxy.user` means the same and yields to it. Session and engine belong to that user. It takes Hadoop's settings for who logged in, as lists or `*`: `hadoop.proxyuser.<who>.users` or `.groups` for whom, and `hadoop.proxyuser.<who>.hosts` (addresses, networks, host names) from where. Nobody is exempt, no administrator either."}, textKind()}

	// AuditEnabled is kyuubi.server.audit.enabled.
	AuditEnabled = Entry[bool]{Meta{Key: "kyuubi.server.audit.enabled", Default: "true", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Whether logins, sessions, engines, administration and refused calls are written to the audit log, one JSON object a line."}, boolKind()}

	// AuditFile is kyuubi.server.audit.file. Its default is AuditLog.
	AuditFile = Entry[string]{Meta{Key: "kyuubi.server.audit.file", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "The audit log (mode 0600). Unset is `audit.log` in `KYUUBI_LOG_DIR`, else in the folder `logs` of the gateway's home."}, pathKind()}

	// AuditMaxSize is kyuubi.server.audit.max.size, in MiB.
	AuditMaxSize = Entry[int64]{Meta{Key: "kyuubi.server.audit.max.size", Default: "50m", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "How large the audit log may become before a new one begins."}, sizeKind()}

	// AuditMaxFiles is kyuubi.server.audit.max.files.
	AuditMaxFiles = Entry[int]{Meta{Key: "kyuubi.server.audit.max.files", Default: "10", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "How many older audit logs are kept."}, intKind(1, 10000)}
)

// HiveProxyUser is the name by which clients of HiveServer2 know SessionProxyUser.
const HiveProxyUser = "hive.server2.proxy.user"

// AuditLog is AuditFile with its default.
func (c *Conf) AuditLog() string {
	return cmp.Or(AuditFile.Get(c), filepath.Join(c.logRoot, "audit.log"))
}

// ProxyUsers are Hadoop's settings for who may act for whom, by the rest of
// their keys.
func (c *Conf) ProxyUsers() map[string]string { return c.WithPrefix(proxyUserPrefix) }

const proxyUserPrefix = "hadoop.proxyuser."
