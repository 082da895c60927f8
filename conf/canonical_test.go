// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// canonicalTable has, for every allowed key, values with their canonical form
// and values that are refused.
var canonicalTable = map[string]struct {
	good map[string]string
	bad  []string
}{
	"spark.driver.memory":                               {map[string]string{"2g": "2048m", "2G": "2048m", "512": "512m", "32768m": "32768m"}, []string{"1.5g", "511m", "33g", "-1g", "2 g", "2gg", "1p", "9999999999999999999g", "524289k", "0"}},
	"spark.driver.cores":                                {map[string]string{"1": "1", "016": "16"}, []string{"0", "17", "two", "1.0"}},
	"spark.driver.memoryOverhead":                       {map[string]string{"1g": "1024m", "0": "0m"}, []string{"33g", "x"}},
	"spark.driver.memoryOverheadFactor":                 {map[string]string{"0.10": "0.1", "1": "1"}, []string{"1.1", "-0.1", "NaN", "Inf", "1e-1", "0x1p-2", ""}},
	"spark.driver.maxResultSize":                        {map[string]string{"1g": "1073741824b", "0": "0b", "100": "100b"}, []string{"33g", "x"}},
	"spark.executor.memory":                             {map[string]string{"4gb": "4096m"}, []string{"65g", "100m"}},
	"spark.executor.cores":                              {map[string]string{"4": "4"}, []string{"17", "0"}},
	"spark.executor.instances":                          {map[string]string{"1": "1", "100": "100"}, []string{"0", "101", "-1"}},
	"spark.executor.memoryOverhead":                     {map[string]string{"384m": "384m"}, []string{"65g"}},
	"spark.executor.memoryOverheadFactor":               {map[string]string{"0.4": "0.4"}, []string{"2"}},
	"spark.executor.pyspark.memory":                     {map[string]string{"1g": "1024m"}, []string{"65g"}},
	"spark.python.worker.memory":                        {map[string]string{"512m": "512m"}, []string{"0", "65g"}},
	"spark.python.worker.reuse":                         {map[string]string{"False": "false"}, []string{"no"}},
	"spark.memory.fraction":                             {map[string]string{"0.6": "0.6"}, []string{"0", "1"}},
	"spark.memory.storageFraction":                      {map[string]string{"0.50": "0.5"}, []string{"1"}},
	"spark.memory.offHeap.enabled":                      {map[string]string{"true": "true"}, []string{"1"}},
	"spark.memory.offHeap.size":                         {map[string]string{"1024k": "1048576b"}, []string{"65g", "1k", "0"}},
	"spark.dynamicAllocation.enabled":                   {map[string]string{"TRUE": "true"}, []string{""}},
	"spark.dynamicAllocation.minExecutors":              {map[string]string{"0": "0"}, []string{"101"}},
	"spark.dynamicAllocation.maxExecutors":              {map[string]string{"100": "100"}, []string{"0", "101", "infinity", "2147483647"}},
	"spark.dynamicAllocation.initialExecutors":          {map[string]string{"3": "3"}, []string{"101"}},
	"spark.dynamicAllocation.executorAllocationRatio":   {map[string]string{"0.5": "0.5"}, []string{"0"}},
	"spark.dynamicAllocation.executorIdleTimeout":       {map[string]string{"60": "60000ms", "1min": "60000ms", "1m": "60000ms"}, []string{"2d", "x", "-1", "9999999999999d"}},
	"spark.dynamicAllocation.cachedExecutorIdleTimeout": {map[string]string{"1d": "86400000ms"}, []string{"25h"}},
	"spark.dynamicAllocation.shuffleTracking.enabled":   {map[string]string{"true": "true"}, []string{"x"}},
	"spark.default.parallelism":                         {map[string]string{"200": "200"}, []string{"0", "100001"}},
	"spark.task.cpus":                                   {map[string]string{"2": "2"}, []string{"17"}},
	"spark.task.maxFailures":                            {map[string]string{"8": "8"}, []string{"0", "101"}},
	"spark.speculation":                                 {map[string]string{"true": "true"}, []string{"t"}},
	"spark.speculation.multiplier":                      {map[string]string{"1.50": "1.5"}, []string{"0.5"}},
	"spark.speculation.quantile":                        {map[string]string{"0.75": "0.75"}, []string{"1.5"}},
	"spark.locality.wait":                               {map[string]string{"3s": "3000ms", "3000": "3000ms"}, []string{"2min"}},
	"spark.scheduler.mode":                              {map[string]string{"fair": "FAIR"}, []string{"RANDOM"}},
	"spark.serializer":                                  {map[string]string{"org.apache.spark.serializer.KryoSerializer": "org.apache.spark.serializer.KryoSerializer"}, []string{"evil.Serializer", ""}},
	"spark.kryoserializer.buffer.max":                   {map[string]string{"64": "64m"}, []string{"2g", "0"}},
	"spark.reducer.maxSizeInFlight":                     {map[string]string{"48m": "48m"}, []string{"2g"}},
	"spark.rdd.compress":                                {map[string]string{"true": "true"}, []string{"x"}},
	"spark.shuffle.compress":                            {map[string]string{"true": "true"}, []string{"x"}},
	"spark.shuffle.spill.compress":                      {map[string]string{"true": "true"}, []string{"x"}},
	"spark.io.compression.codec":                        {map[string]string{"ZSTD": "zstd"}, []string{"org.apache.spark.io.ZStdCompressionCodec", "gzip"}},
	SessionName.Key:                                     {map[string]string{" my é session ": "my é session", "": ""}, []string{"a\nb", string(make([]rune, 2))}},
	SessionProfile.Key:                                  {map[string]string{" a , b-c.d ": "a,b-c.d"}, []string{"", "a b", "../a"}},
	EngineType.Key:                                      {map[string]string{"spark_sql": "SPARK_CONNECT"}, []string{"TRINO"}},
	EngineShareLevel.Key:                                {map[string]string{"user": "USER", "Connection": "CONNECTION"}, []string{"GROUP", "SERVER", "SERVER_LOCAL", "x", ""}},
	EnginePoolSize.Key:                                  {map[string]string{"4": "4", "-1": "-1", "999": "999"}, []string{"", "two", "99999999"}},
	EnginePoolName.Key:                                  {map[string]string{"ETL": "etl"}, []string{"", "a_b", "x-o-0123456789ab"}},
	EnginePoolPolicy.Key:                                {map[string]string{"polling": "POLLING", "least_sessions": "LEAST_SESSIONS"}, []string{"", "BEST"}},
	EngineSubdomain.Key:                                 {map[string]string{"My-Team1": "my-team1", "o-notahash": "o-notahash"}, []string{"", "a/b", "a_b", "..", "o-0123456789ab", "O-0123456789AB"}},
	SessionIdleTimeout.Key:                              {map[string]string{"PT60M": "PT1H", "3600000": "PT1H", "1h": "PT1H"}, []string{"0", "-1", "PT0.5S", "P2D", "never"}},
	EngineIdleTimeout.Key:                               {map[string]string{"24h": "P1D"}, []string{"PT-5M", "25h"}},
}

func TestCanonicalValues(t *testing.T) {
	limits, err := New(nil)
	require.NoError(t, err)
	require.Len(t, canonicalTable, len(allowed), "every allowed key has its rows")
	for key, rows := range canonicalTable {
		for text, want := range rows.good {
			got, err := checkValue(key, text, limits)
			require.NoError(t, err, "%s=%s", key, text)
			require.Equal(t, want, got, "%s=%s", key, text)
			again, err := checkValue(key, got, limits)
			require.NoError(t, err)
			require.Equal(t, got, again, "canonical forms stay")
		}
		for _, text := range rows.bad {
			_, err := checkValue(key, text, limits)
			var bad *OptionError
			require.ErrorAs(t, err, &bad, "%s=%q", key, text)
			require.True(t, bad.Invalid)
			require.Equal(t, key, bad.Key)
		}
	}
}

func TestMaximaAreOfTheUser(t *testing.T) {
	r := resolver(t, "kyuubi.session.launch.max.driver.memory=2g\n___ann___.kyuubi.session.launch.max.driver.memory=0\nkyuubi.session.launch.max.idle.timeout=0\n", nil)
	_, err := r.Resolve("bob", pairs("spark.driver.memory", "3g"))
	require.EqualError(t, err, `option spark.driver.memory: "3g" is more than the 2048m that kyuubi.session.launch.max.driver.memory allows; ask for less or ask the administrator`)
	_, err = r.Resolve("ann", pairs("spark.driver.memory", "3g", "kyuubi.session.idle.timeout", "P30D"))
	require.NoError(t, err)
}
