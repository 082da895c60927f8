// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"fmt"
	"time"
)

// What kyuubi.ha.zookeeper.auth.type can be.
const (
	zkAuthNone     = "NONE"
	zkAuthDigest   = "DIGEST"
	zkAuthKerberos = "KERBEROS"
)

// Discovery: how gateways and engines find each other.
var (
	// HAAddresses is kyuubi.ha.addresses; Conf.ZooKeeper reads it.
	HAAddresses = Entry[string]{Meta{Key: "kyuubi.ha.addresses", Since: "0.1.0", Scope: ScopeServer, Deprecated: []string{"kyuubi.ha.zookeeper.quorum"},
		Doc: "Connect string of ZooKeeper, `host:port,host:port`, IPv6 as `[::1]:2181`, with the path of a sub-tree behind it if wanted (`/kyuubi`, which has to exist). Several gateways with the same one, the same namespace and the same `kyuubi.server.cluster.secret.file` share sessions and engines. Empty means embedded discovery: one gateway with a store in its data folder."}, connectKind()}

	// HANamespace is kyuubi.ha.namespace.
	HANamespace = Entry[string]{Meta{Key: "kyuubi.ha.namespace", Default: "kyuubi", Since: "0.1.0", Scope: ScopeServer, Deprecated: []string{"kyuubi.ha.zookeeper.namespace"},
		Doc: "First element of every discovery path. Gateways with the same namespace share their engines."}, namespaceKind()}

	// HAClientClass is kyuubi.ha.client.class.
	HAClientClass = Entry[string]{Meta{Key: "kyuubi.ha.client.class", Default: zookeeperClient, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Always Kyuubi's class for ZooKeeper. The one for etcd is refused."}, clientClassKind()}
)

// Who a gateway is for ZooKeeper, and how it reaches it.
var (
	// HAZooKeeperAuthType is kyuubi.ha.zookeeper.auth.type.
	HAZooKeeperAuthType = Entry[string]{Meta{Key: "kyuubi.ha.zookeeper.auth.type", Default: zkAuthNone, Since: "0.1.0", Scope: ScopeServer,
		Doc: "How gateways show ZooKeeper who they are. Whatever it is, they have an identity made from the cluster secret, and only gateways with the same secret may read or change what they keep there; no node is open to the world. `DIGEST` adds the one of `kyuubi.ha.zookeeper.auth.digest`. `KERBEROS` is refused."}, zkAuthKind()}

	// HAZooKeeperEngineAuthType is kyuubi.ha.zookeeper.engine.auth.type.
	HAZooKeeperEngineAuthType = Entry[string]{Meta{Key: "kyuubi.ha.zookeeper.engine.auth.type", Default: zkAuthNone, Since: "0.1.0", Scope: ScopeServer,
		Doc: "The same for engines. `NONE` and `DIGEST` mean the same: each engine has an identity of its own, which the gateway makes and which may do nothing but create its one node. `KERBEROS` is refused."}, zkAuthKind()}

	// HAZooKeeperDigest is kyuubi.ha.zookeeper.auth.digest.
	HAZooKeeperDigest = Entry[string]{Meta{Key: "kyuubi.ha.zookeeper.auth.digest", Since: "0.1.0", Scope: ScopeServer, Secret: true,
		Doc: "`user:password`, a further identity of gateways, for a tree that only it may write to; it has all rights on what they make. Used when it is set, as in Kyuubi. Best as a reference, `file:/path` (mode 0600) or `env:NAME`. Engines never have it."}, textKind()}

	// HAZooKeeperConnectTimeout is kyuubi.ha.zookeeper.connection.timeout.
	HAZooKeeperConnectTimeout = Entry[time.Duration]{Meta{Key: "kyuubi.ha.zookeeper.connection.timeout", Default: "15000", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Longest time to connect to ZooKeeper: a gateway does not start, and an engine tries anew, when it is over. One server is tried for at most 5 s, half of the session timeout, or its share of this. A gateway or engine that was connected once never gives up."}, positiveKind()}

	// HAZooKeeperSessionTimeout is kyuubi.ha.zookeeper.session.timeout.
	HAZooKeeperSessionTimeout = Entry[time.Duration]{Meta{Key: "kyuubi.ha.zookeeper.session.timeout", Default: "60000", Since: "0.1.0", Scope: ScopeServer,
		Doc: "ZooKeeper takes a gateway or an engine that it has not heard of for so long for gone, and removes its node; its own bounds count. A dead gateway's launches are taken over by one on another machine half a minute after that, on the same machine at once."}, positiveKind()}
)

// TLS to ZooKeeper.
var (
	// HAZooKeeperTLS is kyuubi.ha.zookeeper.ssl.enabled.
	HAZooKeeperTLS = Entry[bool]{Meta{Key: "kyuubi.ha.zookeeper.ssl.enabled", Default: "false", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Whether gateways and engines speak TLS (1.2 and 1.3) to ZooKeeper, at its `secureClientPort`. Without it who reads the network learns the identities of gateways."}, boolKind()}

	// HAZooKeeperCA is kyuubi.ha.zookeeper.ssl.ca.path.
	HAZooKeeperCA = Entry[string]{Meta{Key: "kyuubi.ha.zookeeper.ssl.ca.path", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "PEM file of the certificate authorities that vouch for ZooKeeper. Without it those of the operating system do for gateways, and those of Java for engines. A server's certificate must have its name of `kyuubi.ha.addresses`."}, pathKind()}

	// HAZooKeeperCertificate is kyuubi.ha.zookeeper.ssl.client.certificate.path.
	HAZooKeeperCertificate = Entry[string]{Meta{Key: "kyuubi.ha.zookeeper.ssl.client.certificate.path", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "PEM file with the certificate that gateways show. Engines show none, so ZooKeeper may ask for one (`ssl.clientAuth=want`) but not insist."}, pathKind()}

	// HAZooKeeperKey is kyuubi.ha.zookeeper.ssl.client.key.path.
	HAZooKeeperKey = Entry[string]{Meta{Key: "kyuubi.ha.zookeeper.ssl.client.key.path", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "PEM file with its private key, unencrypted and readable by the gateway's user only."}, pathKind()}
)

func zkAuthKind() kind[string] { return enumKind(zkAuthNone, zkAuthKerberos, zkAuthDigest) }

// The two classes of Kyuubi that find gateways and engines.
const (
	zookeeperClient = "org.apache.kyuubi.ha.client.zookeeper.ZookeeperDiscoveryClient"
	etcdClient      = "org.apache.kyuubi.ha.client.etcd.EtcdDiscoveryClient"
)

func clientClassKind() kind[string] {
	return kind[string]{"class", func(s string) (string, error) {
		switch s {
		case zookeeperClient:
			return s, nil
		case etcdClient:
			return "", fmt.Errorf("gateways and engines meet in ZooKeeper only, etcd is not built: remove the line and name a ZooKeeper by %s", "kyuubi.ha.addresses")
		}
		return "", fmt.Errorf("classes of one's own cannot be loaded: remove the line, which means %s", zookeeperClient)
	}}
}

func connectKind() kind[string] {
	return kind[string]{"connect string", func(s string) (string, error) {
		_, _, err := splitConnect(s)
		return s, err
	}}
}
