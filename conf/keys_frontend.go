// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"net"
	"strings"
	"time"
)

// The frontends: the Spark Connect port and the REST port.
var (
	// FrontendBindHost is kyuubi.frontend.bind.host.
	FrontendBindHost = Entry[string]{Meta{Key: "kyuubi.frontend.bind.host", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Address that every frontend listens on unless it has a setting of its own. Unset means 127.0.0.1; Kyuubi would take the host's own address."}, hostKind()}

	// FrontendAdvertisedHost is kyuubi.frontend.advertised.host.
	FrontendAdvertisedHost = Entry[string]{Meta{Key: "kyuubi.frontend.advertised.host", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Host name that the gateway tells to clients and other gateways, for example in the `sc://` line of a session opened by REST. Unset means the address it listens on."}, hostKind()}

	// ConnectEnabled is kyuubi.frontend.spark.connect.enabled.
	ConnectEnabled = Entry[bool]{Meta{Key: "kyuubi.frontend.spark.connect.enabled", Default: "false", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Whether to serve Spark Connect clients. The shipped `kyuubi-defaults.conf` turns it on; a file taken over from Kyuubi has to."}, boolKind()}

	// ConnectBindHost is kyuubi.frontend.spark.connect.bind.host.
	ConnectBindHost = Entry[string]{Meta{Key: "kyuubi.frontend.spark.connect.bind.host", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Address of the Spark Connect port. Unset means `kyuubi.frontend.bind.host`."}, hostKind()}

	// ConnectBindPort is kyuubi.frontend.spark.connect.bind.port.
	ConnectBindPort = Entry[int]{Meta{Key: "kyuubi.frontend.spark.connect.bind.port", Default: "15002", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Port for Spark Connect clients (`sc://host:15002`); 0 takes any free port and logs it."}, portKind()}

	// ConnectMaxMessageSize is kyuubi.frontend.spark.connect.max.message.size, in bytes.
	ConnectMaxMessageSize = Entry[int]{Meta{Key: "kyuubi.frontend.spark.connect.max.message.size", Default: "134217728", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Largest message in bytes, both ways. 134217728 (128 MiB) is what Spark's own clients and server allow; a smaller value breaks large local relations. A larger message is refused with `RESOURCE_EXHAUSTED`, \"received message larger than max\"."}, intKind(1<<20, 1<<30)}

	// ConnectMaxHold is kyuubi.frontend.spark.connect.max.hold.time.
	ConnectMaxHold = Entry[time.Duration]{Meta{Key: "kyuubi.frontend.spark.connect.max.hold.time", Default: "PT9M", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "How long a call waits for an engine that is still starting. After that the client is told to retry, which Spark's clients do by themselves. A client's own deadline ends the wait earlier."}, positiveKind()}

	// RESTBindHost is kyuubi.frontend.rest.bind.host.
	RESTBindHost = Entry[string]{Meta{Key: "kyuubi.frontend.rest.bind.host", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Address of the REST port. Unset means `kyuubi.frontend.bind.host`."}, hostKind()}

	// RESTBindPort is kyuubi.frontend.rest.bind.port.
	RESTBindPort = Entry[int]{Meta{Key: "kyuubi.frontend.rest.bind.port", Default: "10099", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Port of the REST API, of health and metrics, and of the registration of engines; 0 takes any free port."}, portKind()}
)

const loopback = "127.0.0.1"

// ConnectHost is the address that the Spark Connect port listens on.
func (c *Conf) ConnectHost() string { return c.bindHost(ConnectBindHost) }

// RESTHost is the address that the REST port listens on.
func (c *Conf) RESTHost() string { return c.bindHost(RESTBindHost) }

func (c *Conf) bindHost(own Entry[string]) string {
	for _, e := range []Entry[string]{own, FrontendBindHost} {
		if host := e.Get(c); host != "" {
			return host
		}
	}
	return loopback
}

// isLoopback says whether nobody on another machine can reach host.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || (ip != nil && ip.IsLoopback())
}
