// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"fmt"
	"net/netip"
	"time"

	"roundhouse/internal/netaddr"
)

// Who may come in at all, and how many sessions each may have. Sessions count at all
// gateways together.
var (
	// LimitSessionsPerUser is kyuubi.server.limit.connections.per.user.
	LimitSessionsPerUser = Entry[int]{Meta{Key: "kyuubi.server.limit.connections.per.user", Default: "0", Since: "0.1.0", Scope: ScopeBoth,
		Doc: "Sessions that one user may have open at the same time. 0, and Kyuubi's unset, mean no limit."}, limitKind()}

	// LimitSessionsPerAddress is kyuubi.server.limit.connections.per.ipaddress.
	LimitSessionsPerAddress = Entry[int]{Meta{Key: "kyuubi.server.limit.connections.per.ipaddress", Default: "0", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Sessions that may be open from one client address at the same time. The address is that of the TCP connection: behind a balancer it is the balancer's. IPv6 addresses of one /64 count as one. 0, and Kyuubi's unset, mean no limit."}, limitKind()}

	// LimitSessionsPerUserAddress is kyuubi.server.limit.connections.per.user.ipaddress.
	LimitSessionsPerUserAddress = Entry[int]{Meta{Key: "kyuubi.server.limit.connections.per.user.ipaddress", Default: "0", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Sessions that one user may have open from one client address (IPv6: /64) at the same time. 0, and Kyuubi's unset, mean no limit."}, limitKind()}

	// LimitUnlimitedUsers is kyuubi.server.limit.connections.user.unlimited.list.
	LimitUnlimitedUsers = Entry[[]string]{Meta{Key: "kyuubi.server.limit.connections.user.unlimited.list", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Users whose sessions none of the three limits above counts."}, listKind()}

	// LimitDeniedUsers is kyuubi.server.limit.connections.user.deny.list.
	LimitDeniedUsers = Entry[[]string]{Meta{Key: "kyuubi.server.limit.connections.user.deny.list", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Users who are refused, whatever other lists say. Sessions that they have when the gateway starts are refused too."}, listKind()}

	// LimitDeniedAddresses is kyuubi.server.limit.connections.ip.deny.list.
	LimitDeniedAddresses = Entry[[]string]{Meta{Key: "kyuubi.server.limit.connections.ip.deny.list", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Client addresses that are refused. Each is one address; names and networks are not understood."}, addressesKind()}

	// LimitStrangers is kyuubi.server.limit.unauthenticated.connections.per.ipaddress.
	LimitStrangers = Entry[int]{Meta{Key: "kyuubi.server.limit.unauthenticated.connections.per.ipaddress", Default: "100", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Connections to each port that one address (IPv6: one /64) may have open without an authenticated call on them. A further one closes the oldest of these. Of several gateways each counts its own. 0 means no limit."}, limitKind()}
)

// What a user may have under way.
var (
	// LimitEngineStartup is kyuubi.server.limit.engine.startup.
	LimitEngineStartup = Entry[int]{Meta{Key: "kyuubi.server.limit.engine.startup", Default: "2", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Launches that run at the same time. Further ones queue: users take turns, and the launches of one user keep their order. Of several gateways each counts its own. Kyuubi has no limit by default."}, intKind(1, 1000)}

	// LimitEnginesPerUser is kyuubi.server.limit.engines.per.user.
	LimitEnginesPerUser = Entry[int]{Meta{Key: "kyuubi.server.limit.engines.per.user", Default: "10", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Engines that one user may have at the same time, starting and draining ones included, and as many those of one group or of all users (`kyuubi.engine.share.level`). 0 means no limit."}, limitKind()}

	// LimitEnginesPerGroup is kyuubi.server.limit.engines.per.group.
	LimitEnginesPerGroup = Entry[int]{Meta{Key: "kyuubi.server.limit.engines.per.group", Default: "0", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Engines that all users of one primary group may have together. Groups come from `hadoop.user.group.static.mapping.overrides` (`user=group,...;user=...`), for users not listed there from the operating system; a user without any counts as a group of that name. 0 means no limit."}, limitKind()}

	// LimitCallsPerUser is kyuubi.server.limit.calls.per.user.
	LimitCallsPerUser = Entry[int]{Meta{Key: "kyuubi.server.limit.calls.per.user", Default: "2000", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Spark Connect calls of one user that may be open at the same time, running queries included. Calls that end something (interrupt, release) have some room beyond it. Of several gateways each counts its own. 0 means no limit."}, limitKind()}

	// LimitHeldCallsPerUser is kyuubi.server.limit.held.calls.per.user.
	LimitHeldCallsPerUser = Entry[int]{Meta{Key: "kyuubi.server.limit.held.calls.per.user", Default: "500", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Those of one user that may wait for an engine at the same time, sessions that REST opens included. Of several gateways each counts its own. 0 means no limit."}, limitKind()}

	// LimitArtifactsPerCall is kyuubi.server.limit.artifacts.per.call, in MiB.
	LimitArtifactsPerCall = Entry[int64]{Meta{Key: "kyuubi.server.limit.artifacts.per.call", Default: "2g", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Most bytes (files, jars, archives, large local data) that one upload may bring. Spark has no limit. 0 means none."}, sizeKind()}

	// LimitArtifactsPerSession is kyuubi.server.limit.artifacts.per.session, in MiB.
	LimitArtifactsPerSession = Entry[int64]{Meta{Key: "kyuubi.server.limit.artifacts.per.session", Default: "8g", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Most bytes that all uploads of a session may bring; they stay on the driver's disk until it ends. Uploads that fail do not count, unless the client leaves before the engine has answered a complete one, and a restart of the gateway begins to count anew. Of several gateways each counts what comes through it. 0 means no limit."}, sizeKind()}

	// ArtifactIdleTimeout is kyuubi.frontend.spark.connect.artifact.idle.timeout.
	ArtifactIdleTimeout = Entry[time.Duration]{Meta{Key: "kyuubi.frontend.spark.connect.artifact.idle.timeout", Default: "PT2M", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "An upload of which no further message (Spark's clients send 32 KiB each) is complete within this time is ended."}, positiveKind()}
)

// StaticGroupsKey is Hadoop's name for a static mapping of users to groups.
const StaticGroupsKey = "hadoop.user.group.static.mapping.overrides"

// StaticGroups is the text of StaticGroupsKey; "" if it is not set.
func (c *Conf) StaticGroups() string {
	text, _ := c.Raw(StaticGroupsKey)
	return text
}

// limitKind is a count for which 0 means no limit.
func limitKind() kind[int] { return intKind(0, 1<<20) }

// addressesKind is a list of IP addresses in their canonical form.
func addressesKind() kind[[]string] {
	return kind[[]string]{"list", func(s string) ([]string, error) {
		items := splitList(s)
		for i, item := range items {
			if _, err := netip.ParseAddr(item); err != nil {
				return nil, fmt.Errorf("want IP addresses such as 192.0.2.7, got %q", item)
			}
			items[i] = netaddr.Plain(item)
		}
		return items, nil
	}}
}
