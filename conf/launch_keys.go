// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"strings"
	"time"
)

// launchKey is a Spark setting that a client may choose for its engine.
type launchKey struct {
	key  string
	doc  string // what it takes, for people
	kind canonical
}

// launchKeys are all of them. Everything else that Spark reads at its start is
// refused from clients: a key is here only when no value that passes its check
// can name a file, a class, a host, an identity or another process.
var launchKeys = []launchKey{
	{"spark.driver.memory", "size", memory(512, MaxDriverMemory)},
	{"spark.driver.cores", "count", count(1, MaxDriverCores)},
	{"spark.driver.memoryOverhead", "size", memory(0, MaxDriverMemory)},
	{"spark.driver.memoryOverheadFactor", "0 to 1", ratio(0, 1)},
	{"spark.driver.maxResultSize", "size (a bare number counts bytes), 0 for no limit", bytesSize(0, MaxDriverMemory)},
	{"spark.executor.memory", "size", memory(512, MaxExecutorMemory)},
	{"spark.executor.cores", "count", count(1, MaxExecutorCores)},
	{"spark.executor.instances", "count", count(1, MaxExecutors)},
	{"spark.executor.memoryOverhead", "size", memory(0, MaxExecutorMemory)},
	{"spark.executor.memoryOverheadFactor", "0 to 1", ratio(0, 1)},
	{"spark.executor.pyspark.memory", "size", memory(0, MaxExecutorMemory)},
	{"spark.python.worker.memory", "size", memory(1, MaxExecutorMemory)},
	{"spark.python.worker.reuse", "boolean", yesNo()},
	{"spark.memory.fraction", "0.05 to 0.95", ratio(0.05, 0.95)},
	{"spark.memory.storageFraction", "0 to 0.95", ratio(0, 0.95)},
	{"spark.memory.offHeap.enabled", "boolean", yesNo()},
	{"spark.memory.offHeap.size", "size (a bare number counts bytes)", bytesSize(mib, MaxExecutorMemory)},
	{"spark.dynamicAllocation.enabled", "boolean", yesNo()},
	{"spark.dynamicAllocation.minExecutors", "count", count(0, MaxExecutors)},
	{"spark.dynamicAllocation.maxExecutors", "count", count(1, MaxExecutors)},
	{"spark.dynamicAllocation.initialExecutors", "count", count(0, MaxExecutors)},
	{"spark.dynamicAllocation.executorAllocationRatio", "0.01 to 1", ratio(0.01, 1)},
	{"spark.dynamicAllocation.executorIdleTimeout", "time, up to a day", sparkTimeUpTo(day, time.Second)},
	{"spark.dynamicAllocation.cachedExecutorIdleTimeout", "time, up to a day", sparkTimeUpTo(day, time.Second)},
	{"spark.dynamicAllocation.shuffleTracking.enabled", "boolean", yesNo()},
	{"spark.default.parallelism", "count", countUpTo(1, 100000)},
	{"spark.task.cpus", "count", count(1, MaxExecutorCores)},
	{"spark.task.maxFailures", "1 to 100", countUpTo(1, 100)},
	{"spark.speculation", "boolean", yesNo()},
	{"spark.speculation.multiplier", "1 to 100", ratio(1, 100)},
	{"spark.speculation.quantile", "0 to 1", ratio(0, 1)},
	{"spark.locality.wait", "time, up to a minute", sparkTimeUpTo(time.Minute, time.Millisecond)},
	{"spark.scheduler.mode", "`FIFO` or `FAIR`", word("FIFO", "FAIR")},
	{"spark.serializer", "one of Spark's two", word("org.apache.spark.serializer.JavaSerializer", "org.apache.spark.serializer.KryoSerializer")},
	{"spark.kryoserializer.buffer.max", "size under 2g", memoryUpTo(1, 2047)},
	{"spark.reducer.maxSizeInFlight", "size up to 1g", memoryUpTo(1, 1024)},
	{"spark.rdd.compress", "boolean", yesNo()},
	{"spark.shuffle.compress", "boolean", yesNo()},
	{"spark.shuffle.spill.compress", "boolean", yesNo()},
	{"spark.io.compression.codec", "`lz4`, `lzf`, `snappy` or `zstd`", word("lz4", "lzf", "snappy", "zstd")},
}

// choiceKeys are the settings of the gateway that a client may choose. Those
// with inLaunch are settings of the engine, so they count into its subdomain.
var choiceKeys = []struct {
	launchKey
	inLaunch bool
}{
	{launchKey{SessionName.Key, "up to 256 characters", label()}, false},
	{launchKey{SessionProfile.Key, "names", profileNames()}, false},
	{launchKey{EngineType.Key, "`SPARK_CONNECT`", entryWord(EngineType)}, false},
	{launchKey{EngineShareLevel.Key, "`CONNECTION`, `USER`, `GROUP` or `SERVER`, at which no more share than at the server's", shareLevel()}, false},
	{launchKey{EngineSubdomain.Key, "letters, digits and hyphens", clientSubdomainOf(EngineSubdomain)}, false},
	{launchKey{EnginePoolSize.Key, "count; more than `kyuubi.engine.pool.size.threshold` means that many", poolSize()}, false},
	{launchKey{EnginePoolName.Key, "letters, digits and hyphens", clientSubdomainOf(EnginePoolName)}, false},
	{launchKey{EnginePoolPolicy.Key, "`RANDOM`, `POLLING` or `LEAST_SESSIONS`", entryWord(EnginePoolPolicy)}, false},
	{launchKey{SessionIdleTimeout.Key, "duration", idleTimeout()}, true},
	{launchKey{EngineIdleTimeout.Key, "duration", idleTimeout()}, true},
}

// allowed finds a key that a client may choose by its lower-case form, and
// inFingerprint tells which of them make an engine another one.
var (
	allowed       = indexAllowed()
	inFingerprint = indexFingerprint()
)

func indexAllowed() map[string]launchKey {
	index := map[string]launchKey{}
	for _, k := range launchKeys {
		index[strings.ToLower(k.key)] = k
	}
	for _, k := range choiceKeys {
		index[strings.ToLower(k.key)] = k.launchKey
	}
	return index
}

func indexFingerprint() map[string]bool {
	index := map[string]bool{}
	for _, k := range launchKeys {
		index[k.key] = true
	}
	for _, k := range choiceKeys {
		index[k.key] = k.inLaunch
	}
	return index
}
