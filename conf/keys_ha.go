// SPDX-License-Identifier: Apache-2.0

package conf

// Discovery: how gateways and engines find each other.
var (
	// HAAddresses is kyuubi.ha.addresses.
	HAAddresses = Entry[string]{Meta{Key: "kyuubi.ha.addresses", Since: "0.1.0", Scope: ScopeServer, Deprecated: []string{"kyuubi.ha.zookeeper.quorum"},
		Doc: "Connect string of ZooKeeper. Empty means embedded discovery: one gateway with a store in its data folder. ZooKeeper comes with a later version; until then a value is refused."}, textKind()}

	// HANamespace is kyuubi.ha.namespace.
	HANamespace = Entry[string]{Meta{Key: "kyuubi.ha.namespace", Default: "kyuubi", Since: "0.1.0", Scope: ScopeServer, Deprecated: []string{"kyuubi.ha.zookeeper.namespace"},
		Doc: "First element of every discovery path. Gateways with the same namespace share their engines."}, namespaceKind()}

	// HAZooKeeperDigest is kyuubi.ha.zookeeper.auth.digest.
	HAZooKeeperDigest = Entry[string]{Meta{Key: "kyuubi.ha.zookeeper.auth.digest", Since: "0.1.0", Scope: ScopeServer, Secret: true,
		Doc: "`user:password` for ZooKeeper. Best as a reference, `file:/path` (mode 0600) or `env:NAME`. Used once ZooKeeper discovery is there."}, textKind()}
)
