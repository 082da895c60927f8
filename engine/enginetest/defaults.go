// SPDX-License-Identifier: Apache-2.0

package enginetest

// sqlDefaults are the settings that PySpark asks for and Spark 4.3's values of
// them. All of them can be changed in a session.
var sqlDefaults = map[string]string{
	"spark.connect.session.planCompression.defaultAlgorithm":          "ZSTD",
	"spark.connect.session.planCompression.threshold":                 "10485760",
	"spark.sql.ansi.enabled":                                          "true",
	"spark.sql.artifact.isolation.alwaysApplyClassloader":             "true",
	"spark.sql.artifact.isolation.enabled":                            "true",
	"spark.sql.connect.serverStacktrace.enabled":                      "true",
	"spark.sql.execution.arrow.maxRecordsPerBatch":                    "10000",
	"spark.sql.execution.arrow.pyspark.enabled":                       "true",
	"spark.sql.execution.arrow.pyspark.fallback.enabled":              "true",
	"spark.sql.execution.arrow.pyspark.selfDestruct.enabled":          "false",
	"spark.sql.execution.arrow.useLargeVarTypes":                      "false",
	"spark.sql.execution.pandas.convertToArrowArraySafely":            "true",
	"spark.sql.execution.pandas.inferPandasDictAsMap":                 "false",
	"spark.sql.execution.pandas.structHandlingMode":                   "legacy",
	"spark.sql.execution.pyspark.binaryAsBytes":                       "true",
	"spark.sql.execution.pythonUDF.arrow.enabled":                     "true",
	"spark.sql.execution.pythonUDTF.arrow.enabled":                    "true",
	"spark.sql.pyspark.inferNestedDictAsStruct.enabled":               "false",
	"spark.sql.pyspark.jvmStacktrace.enabled":                         "false",
	"spark.sql.pyspark.legacy.inferArrayTypeFromFirstElement.enabled": "false",
	"spark.sql.pyspark.legacy.inferMapTypeFromFirstPair.enabled":      "false",
	"spark.sql.repl.eagerEval.enabled":                                "false",
	"spark.sql.repl.eagerEval.maxNumRows":                             "20",
	"spark.sql.repl.eagerEval.truncate":                               "20",
	"spark.sql.session.localRelationBatchOfChunksSizeBytes":           "1073741824",
	"spark.sql.session.localRelationCacheThreshold":                   "1048576",
	"spark.sql.session.localRelationChunkSizeBytes":                   "16777216",
	"spark.sql.session.localRelationChunkSizeRows":                    "10000",
	"spark.sql.session.localRelationSizeLimit":                        "3221225472",
	"spark.sql.session.timeZone":                                      "Etc/UTC",
	"spark.sql.shuffle.partitions":                                    "200",
	"spark.sql.timestampType":                                         "TIMESTAMP_LTZ",
}
