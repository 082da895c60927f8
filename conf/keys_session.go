// SPDX-License-Identifier: Apache-2.0

package conf

import "time"

// Sessions, and what their clients may ask for.
var (
	// SessionIdleTimeout is kyuubi.session.idle.timeout.
	SessionIdleTimeout = Entry[time.Duration]{Meta{Key: "kyuubi.session.idle.timeout", Default: "PT6H", Since: "0.1.0", Scope: ScopeBoth, Deprecated: []string{"kyuubi.session.timeout"},
		Doc: "A session without any call, running operation or streaming query for so long is closed. Zero or less means never."}, durationKind()}

	// SessionName is kyuubi.session.name.
	SessionName = Entry[string]{Meta{Key: "kyuubi.session.name", Since: "0.1.0", Scope: ScopeSession,
		Doc: "A label for the session, shown in lists."}, textKind()}

	// SessionProfile is kyuubi.session.conf.profile.
	SessionProfile = Entry[[]string]{Meta{Key: "kyuubi.session.conf.profile", Since: "0.1.0", Scope: ScopeBoth,
		Doc: "Names of profiles: each is a file `kyuubi-session-<name>.conf` in the configuration folder, written by the administrator and trusted like it. Of several, later ones win. A name without a file is an error."}, listKind()}

	// SessionIgnoreList is kyuubi.session.conf.ignore.list.
	SessionIgnoreList = Entry[[]string]{Meta{Key: "kyuubi.session.conf.ignore.list", Since: "0.1.0", Scope: ScopeBoth,
		Doc: "Options from clients that are dropped silently. An item that ends in `.*` stands for all that begin so."}, listKind()}

	// SessionRestrictList is kyuubi.session.conf.restrict.list.
	SessionRestrictList = Entry[[]string]{Meta{Key: "kyuubi.session.conf.restrict.list", Since: "0.1.0", Scope: ScopeBoth,
		Doc: "Options that refuse the session when a client sends them. Items as in the ignore list. Launch options outside the table below are refused with or without it."}, listKind()}

	// SessionLocalDirs is kyuubi.session.local.dir.allow.list.
	SessionLocalDirs = Entry[[]string]{Meta{Key: "kyuubi.session.local.dir.allow.list", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Folders that Kyuubi lets clients name files from. It is accepted and has nothing to do here: a client of this gateway cannot name files of its machine at all."}, listKind()}

	// MaxDriverMemory bounds spark.driver.memory and what is like it, in MiB.
	MaxDriverMemory = Entry[int64]{Meta{Key: "kyuubi.session.launch.max.driver.memory", Default: "32g", Ours: true, Since: "0.1.0", Scope: ScopeBoth,
		Doc: "Most driver memory (heap, and overhead apart) that a client may ask for. 0 means no limit."}, sizeKind()}

	// MaxDriverCores bounds spark.driver.cores.
	MaxDriverCores = Entry[int]{Meta{Key: "kyuubi.session.launch.max.driver.cores", Default: "16", Ours: true, Since: "0.1.0", Scope: ScopeBoth,
		Doc: "Most driver cores that a client may ask for. 0 means no limit."}, limitKind()}

	// MaxExecutorMemory bounds spark.executor.memory and what is like it, in MiB.
	MaxExecutorMemory = Entry[int64]{Meta{Key: "kyuubi.session.launch.max.executor.memory", Default: "64g", Ours: true, Since: "0.1.0", Scope: ScopeBoth,
		Doc: "Most memory per executor (heap, and each other kind apart) that a client may ask for. 0 means no limit."}, sizeKind()}

	// MaxExecutorCores bounds spark.executor.cores.
	MaxExecutorCores = Entry[int]{Meta{Key: "kyuubi.session.launch.max.executor.cores", Default: "16", Ours: true, Since: "0.1.0", Scope: ScopeBoth,
		Doc: "Most cores per executor that a client may ask for. 0 means no limit."}, limitKind()}

	// MaxExecutors bounds the number of executors.
	MaxExecutors = Entry[int]{Meta{Key: "kyuubi.session.launch.max.executors", Default: "100", Ours: true, Since: "0.1.0", Scope: ScopeBoth,
		Doc: "Most executors that a client may ask for; also the ceiling of a dynamic allocation that it turns on without one. 0 means no limit."}, limitKind()}

	// MaxIdleTimeout bounds the idle timeouts of clients.
	MaxIdleTimeout = Entry[time.Duration]{Meta{Key: "kyuubi.session.launch.max.idle.timeout", Default: "P1D", Ours: true, Since: "0.1.0", Scope: ScopeBoth,
		Doc: "Longest idle timeout that a client may ask for, for its session or its engine. Zero or less means no limit; `never` is for administrators either way."}, durationKind()}
)
