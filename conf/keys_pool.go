// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"errors"
	"strings"
)

// The policies of kyuubi.engine.pool.selectPolicy.
const (
	PoolRandom        = "RANDOM"
	PoolPolling       = "POLLING"
	PoolLeastSessions = "LEAST_SESSIONS"
)

// Who shares an engine, and as whom it runs.
var (
	// EngineShareLevel is kyuubi.engine.share.level.
	EngineShareLevel = Entry[string]{Meta{Key: "kyuubi.engine.share.level", Default: ShareUser, Since: "0.1.0", Scope: ScopeBoth, Deprecated: []string{"kyuubi.session.engine.share.level"},
		Doc: "Who shares an engine: `CONNECTION` one session, `USER` the sessions of one user, `GROUP` the users of one primary group, `SERVER` all users. What somebody runs in a shared engine can see what the others have there, and nobody's own defaults count for it; only administrators see and stop it over REST. `SERVER_LOCAL` is refused. A client may choose a level at which fewer share, not one at which more do; a profile may."}, enumKind(ShareConnection, ShareUser, ShareGroup, ShareServer, ShareServerLocal)}

	// EngineDoAs is kyuubi.engine.doAs.enabled.
	EngineDoAs = Entry[bool]{Meta{Key: "kyuubi.engine.doAs.enabled", Default: "true", Since: "0.1.0", Scope: ScopeBoth,
		Doc: "Whether an engine runs in the name of its owner: the user, the group (as a user of that name) or, at the level `SERVER`, the user of the gateway. With `false` all engines run as the user of the gateway. On the gateway's own machine the process is that of the gateway's user either way."}, boolKind()}

	// SessionGroupProvider is kyuubi.session.group.provider.
	SessionGroupProvider = Entry[string]{Meta{Key: "kyuubi.session.group.provider", Default: "hadoop", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Where the groups of users come from: `hadoop`, which is `hadoop.user.group.static.mapping.overrides` (`user=group,...;user=...`), for users not listed there the operating system. The first group is the primary one; a user without any counts as a group of that name."}, providerKind()}
)

// Pools: several engines of one owner among which new sessions are spread.
var (
	// EnginePoolSize is kyuubi.engine.pool.size.
	EnginePoolSize = Entry[int]{Meta{Key: "kyuubi.engine.pool.size", Default: "-1", Since: "0.1.0", Scope: ScopeBoth,
		Doc: "Engines in the pool of an owner, at most as many as `kyuubi.engine.pool.size.threshold`. Each new session gets one of them, which is launched when its first session comes. Less than 1 means no pool, and so does the level `CONNECTION`. Sessions with launch options share only with their like, so these have a pool of their own."}, intKind(-1<<20, 1<<20)}

	// EnginePoolThreshold is kyuubi.engine.pool.size.threshold.
	EnginePoolThreshold = Entry[int]{Meta{Key: "kyuubi.engine.pool.size.threshold", Default: "9", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Most engines that a pool may have, whoever asks for more."}, intKind(1, 32)}

	// EnginePoolName is kyuubi.engine.pool.name.
	EnginePoolName = Entry[string]{Meta{Key: "kyuubi.engine.pool.name", Default: "engine-pool", Since: "0.1.0", Scope: ScopeBoth,
		Doc: "Name of the pool, lower-cased. The subdomains of its engines are `<name>-0`, `<name>-1` and so on."}, poolNameKind()}

	// EnginePoolPolicy is kyuubi.engine.pool.selectPolicy.
	EnginePoolPolicy = Entry[string]{Meta{Key: "kyuubi.engine.pool.selectPolicy", Default: PoolRandom, Since: "0.1.0", Scope: ScopeBoth, Deprecated: []string{"kyuubi.engine.pool.balance.policy"},
		Doc: "Which engine of its pool a new session gets: `RANDOM`, `POLLING` one after the other, or this gateway's own `LEAST_SESSIONS`, the one with the fewest sessions. All gateways choose together."}, enumKind(PoolRandom, PoolPolling, PoolLeastSessions)}

	// EnginePoolIgnoreSubdomain is kyuubi.engine.pool.ignoreSubdomain.
	EnginePoolIgnoreSubdomain = Entry[bool]{Meta{Key: "kyuubi.engine.pool.ignoreSubdomain", Default: "false", Since: "0.1.0", Scope: ScopeBoth,
		Doc: "Whether sessions that name a subdomain go to the pool all the same. Without it a subdomain goes before the pool."}, boolKind()}
)

// isAboutPlacing says whether a setting of engines decides where sessions go or as
// whom engines run, so that it is no setting of one engine.
func isAboutPlacing(key string) bool {
	return key == EngineDoAs.Key || strings.HasPrefix(key, "kyuubi.engine.pool.")
}

func poolNameKind() kind[string] {
	name := subdomainKind()
	return kind[string]{name.name, func(s string) (string, error) {
		if s == "" {
			return "", errors.New("a pool has a name; remove the line for the default")
		}
		return name.parse(s)
	}}
}

func providerKind() kind[string] {
	return kind[string]{"`hadoop`", func(s string) (string, error) {
		if !strings.EqualFold(s, "hadoop") {
			return "", errors.New("classes of one's own cannot be loaded: remove the line, and write groups that the operating system does not know into " + StaticGroupsKey)
		}
		return "hadoop", nil
	}}
}
