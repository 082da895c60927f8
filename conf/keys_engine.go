// SPDX-License-Identifier: Apache-2.0

package conf

import "time"

// Families of settings: the rest of the key is free.
const (
	// EngineEnvPrefix begins kyuubi.engineEnv.<VARIABLE>.
	EngineEnvPrefix = "kyuubi.engineEnv."
	// EnginePythonPrefix begins kyuubi.engine.spark.python.<minor>.
	EnginePythonPrefix = "kyuubi.engine.spark.python."
)

// The share levels of kyuubi.engine.share.level. Validate refuses the last.
const (
	ShareConnection  = "CONNECTION"
	ShareUser        = "USER"
	ShareGroup       = "GROUP"
	ShareServer      = "SERVER"
	ShareServerLocal = "SERVER_LOCAL"
)

// EngineTypeConnect is the one engine type of this gateway.
const EngineTypeConnect = "SPARK_CONNECT"

// What engines are.
var (
	// EngineType is kyuubi.engine.type.
	EngineType = Entry[string]{Meta{Key: "kyuubi.engine.type", Default: EngineTypeConnect, Since: "0.1.0", Scope: ScopeBoth,
		Doc: "Always `SPARK_CONNECT`. Kyuubi's default `SPARK_SQL` is read as that, so that its files load; other engines are not offered."}, engineTypeKind()}

	// EngineSubdomain is kyuubi.engine.share.level.subdomain.
	EngineSubdomain = Entry[string]{Meta{Key: "kyuubi.engine.share.level.subdomain", Since: "0.1.0", Scope: ScopeBoth, Deprecated: []string{"kyuubi.engine.share.level.sub.domain"},
		Doc: "Name of one of several engines of the same owner, lower-cased. Unset means `default`, or a name made from the launch options that the session asks for."}, subdomainKind()}

	// EnginePython is kyuubi.engine.spark.python.
	EnginePython = Entry[string]{Meta{Key: "kyuubi.engine.spark.python", Ours: true, Since: "0.1.0", Scope: ScopeBoth,
		Doc: "Python interpreter of the engines' workers, before `kyuubi.engineEnv.PYSPARK_PYTHON`. Unset leaves the choice to Spark. A profile sets the variable instead."}, pathKind()}

	// EngineMainResource is kyuubi.session.engine.spark.main.resource.
	EngineMainResource = Entry[string]{Meta{Key: "kyuubi.session.engine.spark.main.resource", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Jar of the engine plugin. Unset means the one that came with the gateway."}, pathKind()}
)

// The life of an engine.
var (
	// EngineInitTimeout is kyuubi.session.engine.initialize.timeout.
	EngineInitTimeout = Entry[time.Duration]{Meta{Key: "kyuubi.session.engine.initialize.timeout", Default: "PT3M", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Time from the start of spark-submit until the engine must have registered. Waiting in the gateway's own queue does not count."}, positiveKind()}

	// EngineLaunchLinger is kyuubi.session.engine.launch.linger.
	EngineLaunchLinger = Entry[time.Duration]{Meta{Key: "kyuubi.session.engine.launch.linger", Default: "PT2M", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "How long a launch goes on when nobody waits for it any more. Keep it longer than the pauses between a client's retries."}, durationKind()}

	// EngineIdleTimeout is kyuubi.session.engine.idle.timeout.
	EngineIdleTimeout = Entry[time.Duration]{Meta{Key: "kyuubi.session.engine.idle.timeout", Default: "PT30M", Since: "0.1.0", Scope: ScopeBoth,
		Doc: "An engine without an open session for so long stops. Zero or less means never."}, durationKind()}

	// EngineCheckInterval is kyuubi.session.engine.check.interval.
	EngineCheckInterval = Entry[time.Duration]{Meta{Key: "kyuubi.session.engine.check.interval", Default: "PT1M", Since: "0.1.0", Scope: ScopeBoth,
		Doc: "Longest pause between two looks of an engine at its own activity."}, positiveKind()}

	// EngineMaxInitialWait is kyuubi.session.engine.spark.max.initial.wait.
	EngineMaxInitialWait = Entry[time.Duration]{Meta{Key: "kyuubi.session.engine.spark.max.initial.wait", Default: "PT1M", Since: "0.1.0", Scope: ScopeBoth,
		Doc: "An engine to which no session ever came stops after so long. Zero or less means never."}, durationKind()}

	// EngineRelay is kyuubi.engine.spark.connect.relay.
	EngineRelay = Entry[bool]{Meta{Key: "kyuubi.engine.spark.connect.relay", Default: "true", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Whether engines can be reached from gateways on other machines, by a TLS port of their driver (`spark.driver.bindAddress`) whose certificate only gateways know and which takes no call without the keys of the engine. Used with `kyuubi.ha.addresses`; gateways on the machine of an engine go without."}, boolKind()}

	// EngineMaxLifetime is kyuubi.session.engine.spark.max.lifetime.
	EngineMaxLifetime = Entry[time.Duration]{Meta{Key: "kyuubi.session.engine.spark.max.lifetime", Default: "PT0S", Since: "0.1.0", Scope: ScopeBoth,
		Doc: "An engine older than this takes no new session and stops with its last one. Zero or less means never."}, durationKind()}

	// EngineMaxHeap is kyuubi.session.engine.spark.max.heap.percent.
	EngineMaxHeap = Entry[int]{Meta{Key: "kyuubi.session.engine.spark.max.heap.percent", Default: "95", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "An engine whose heap is fuller than this after three collections in a row takes no new session and stops with its last one. 0 means never."}, intKind(0, 100)}

	// EngineErrorMaxSize is kyuubi.session.engine.startup.error.max.size, in characters.
	EngineErrorMaxSize = Entry[int]{Meta{Key: "kyuubi.session.engine.startup.error.max.size", Default: "8192", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Most characters of an engine's log in the error of a failed launch."}, intKind(200, 1<<20)}

	// EngineMaxLogLines is kyuubi.session.engine.startup.maxLogLines.
	EngineMaxLogLines = Entry[int]{Meta{Key: "kyuubi.session.engine.startup.maxLogLines", Default: "10", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Lines of the log's end in that error when the log names no reason."}, intKind(1, 10000)}

	// EngineDestroyTimeout is kyuubi.session.engine.startup.destroy.timeout.
	EngineDestroyTimeout = Entry[time.Duration]{Meta{Key: "kyuubi.session.engine.startup.destroy.timeout", Default: "PT5S", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Time between the polite signal and the final one when a process has to go."}, positiveKind()}

	// EngineLogTimeout is kyuubi.session.engine.log.timeout.
	EngineLogTimeout = Entry[time.Duration]{Meta{Key: "kyuubi.session.engine.log.timeout", Default: "PT24H", Since: "0.1.0", Scope: ScopeServer,
		Doc: "How long the folder of an ended engine, with its log, is kept."}, durationKind()}
)

func engineTypeKind() kind[string] {
	words := enumKind(EngineTypeConnect, "SPARK_SQL")
	return kind[string]{words.name, func(s string) (string, error) {
		if _, err := words.parse(s); err != nil {
			return "", err
		}
		return EngineTypeConnect, nil
	}}
}
