// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"errors"
	"fmt"
	"maps"
	"slices"
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
		Doc: "Who shares an engine: `CONNECTION` one session, `USER` the sessions of one user, `GROUP` the users of one primary group, `SERVER` all users. What somebody runs in a shared engine can see what the others have there, and nobody's own defaults count for it; only administrators see and stop it over REST, and they alone, by settings and profiles, decide which there are: clients may choose neither a subdomain or pool nor launch options. `SERVER_LOCAL` is refused. A client may choose a level at which fewer share, not one at which more do; a profile may."}, enumKind(ShareConnection, ShareUser, ShareGroup, ShareServer, ShareServerLocal)}

	// EngineDoAs is kyuubi.engine.doAs.enabled.
	EngineDoAs = Entry[bool]{Meta{Key: "kyuubi.engine.doAs.enabled", Default: "true", Since: "0.1.0", Scope: ScopeBoth,
		Doc: "In whose name an engine is: that of its owner (the user, the group as a user of that name, or at the level `SERVER` the user of the gateway), with `false` always that of the user of the gateway. There is no impersonation yet: whatever this says, all drivers run as the gateway's user, and storage and clusters see that one. So far it decides the name of the folder of an engine and the one in logs and in the audit log."}, boolKind()}

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

// checkShared refuses what a client chooses for engines that are not its own: each choice is
// one more engine of all who share it. What the profile offers stays.
func (o *Options) checkShared(wished, offered map[string]string) error {
	whose, shared := sharers[o.ShareLevel]
	if !shared {
		return nil
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(wished)) {
		shapes := inFingerprint[key] || key == EngineSubdomain.Key || key == EnginePoolSize.Key || key == EnginePoolName.Key
		if shapes && wished[key] != offered[key] {
			errs = append(errs, &OptionError{Key: key, Why: fmt.Sprintf("the engines here are those of %s (%s=%s), so no client decides which there are; "+
				"leave it out, choose %s=%s for an engine of your own, or %s", whose, EngineShareLevel.Key, o.ShareLevel, EngineShareLevel.Key, ShareUser, askAdmin)})
		}
	}
	return errors.Join(errs...)
}

// sharers are those who share an engine where it is not one user's. It is immutable.
var sharers = map[string]string{ShareGroup: "all users of a group", ShareServer: "all users"}

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
