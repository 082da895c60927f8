// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"regexp"
	"time"
)

// The gateway itself: its files, its end.
var (
	// ServerWorkDir is kyuubi.server.work.dir.
	ServerWorkDir = Entry[string]{Meta{Key: "kyuubi.server.work.dir", Default: "{{KYUUBI_WORK_DIR_ROOT}}", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Folder for the working folders and logs of engines. The variable is taken from the environment, else it is `work` in the gateway's home."}, pathKind()}

	// ServerDataDir is kyuubi.server.data.dir.
	ServerDataDir = Entry[string]{Meta{Key: "kyuubi.server.data.dir", Default: "{{GATEWAY_HOME}}/data", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Folder of the embedded store (sessions, engines, issued tokens) and of the cluster secret. Two gateways cannot use the same one."}, pathKind()}

	// ServerClusterSecretFile is kyuubi.server.cluster.secret.file; see Conf.ClusterSecretFile.
	ServerClusterSecretFile = Entry[string]{Meta{Key: "kyuubi.server.cluster.secret.file", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "File (mode 0600) of the secret from which the keys of all engines, and the key that signs tokens, are derived. Unset means `cluster.secret` in the data folder, made at the first start. Several gateways on one ZooKeeper need the same one: copy it, it is not made for them. To change the secret put a new one (64 hexadecimal digits) on a line before it: new tokens are signed with the first within seconds, and new engines have keys of it after a restart. Tokens and engines of the second stay good until that line is removed. Of several gateways each has to know the new one before any uses it: write it on the second line of the file of each and restart them one after the other, then swap the two lines everywhere and restart them again."}, pathKind()}

	// ServerShutdownTimeout is kyuubi.server.graceful.shutdown.timeout.
	ServerShutdownTimeout = Entry[time.Duration]{Meta{Key: "kyuubi.server.graceful.shutdown.timeout", Default: "PT30S", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "How long a gateway may take to end. It takes no new session then and sends clients elsewhere; calls that are still under way shortly before this time is over are cut, and their clients ask for the rest at another gateway, or at this one once it is back. Engines, queries and sessions outlive it."}, durationKind()}

	// ServerRedaction is kyuubi.server.redaction.regex.
	ServerRedaction = Entry[*regexp.Regexp]{Meta{Key: "kyuubi.server.redaction.regex", Default: `(?i)secret|password|token|access[.]key`, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Settings whose key or value matches are shown as `*********(redacted)`."}, regexKind()}
)
