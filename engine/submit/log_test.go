// SPDX-License-Identifier: Apache-2.0

package submit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/internal/secret"
)

// logOf writes an engine's log and returns its folder.
func logOf(t *testing.T, text string) (Files, string) {
	t.Helper()
	files := Files{Root: t.TempDir(), ReasonSize: 4000, ReasonLines: 3}
	dir := filepath.Join(files.Root, "alice", "r")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "engine.log"), []byte(text), 0o600))
	return files, dir
}

const wrongMaster = `WARNING: Using incubator modules: jdk.incubator.vector
Exception in thread "main" org.apache.spark.SparkException: Could not parse Master URL: 'nonsense'
	at org.apache.spark.SparkContext$.org$apache$spark$SparkContext$$createTaskScheduler(SparkContext.scala:3270)
	at org.apache.spark.SparkContext.<init>(SparkContext.scala:600)
	at org.apache.spark.SparkContext$.getOrCreate(SparkContext.scala:2900)
	at org.apache.spark.sql.SparkSession$Builder.getOrCreate(SparkSession.scala:1099)
	at org.roundhouse.engine.ConnectEngine.main(ConnectEngine.java:30)
26/11/21 08:00:00 INFO ShutdownHookManager: Shutdown hook called
26/11/21 08:00:00 INFO ShutdownHookManager: Deleting directory /tmp/spark-1
`

const littleMemory = `26/11/21 08:00:00 INFO SparkContext: Running Spark version 4.3.0
26/11/21 08:00:01 ERROR SparkContext: Error initializing SparkContext.
org.apache.spark.SparkIllegalArgumentException: [INVALID_DRIVER_MEMORY] System memory 104857600 must be at least 471859200.
Please increase heap size using the --driver-memory option or "spark.driver.memory" in Spark configuration. SQLSTATE: F0000
	at org.apache.spark.memory.UnifiedMemoryManager$.getMaxMemory(UnifiedMemoryManager.scala:250)
26/11/21 08:00:01 INFO SparkContext: Successfully stopped SparkContext
`

const chained = `26/11/21 08:00:01 ERROR Utils: Uncaught exception in thread main
java.lang.RuntimeException: plugin failed
	at a.B.c(B.java:1)
	at a.B.d(B.java:2)
	at a.B.e(B.java:3)
	at a.B.f(B.java:4)
Caused by: java.nio.file.NoSuchFileException: /x/engine.key
	at sun.X.y(X.java:1)
	... 12 more
next line that belongs to nothing
`

func TestReason(t *testing.T) {
	tests := map[string]struct {
		log  string
		want []string
	}{
		"exception of the main thread": {wrongMaster, []string{
			`Exception in thread "main" org.apache.spark.SparkException: Could not parse Master URL: 'nonsense'`,
			"\tat org.apache.spark.SparkContext$.org$apache$spark$SparkContext$$createTaskScheduler(SparkContext.scala:3270)",
			"\tat org.apache.spark.SparkContext.<init>(SparkContext.scala:600)",
			"\tat org.apache.spark.SparkContext$.getOrCreate(SparkContext.scala:2900)",
		}},
		"message of two lines": {littleMemory, []string{
			"org.apache.spark.SparkIllegalArgumentException: [INVALID_DRIVER_MEMORY] System memory 104857600 must be at least 471859200.",
			`Please increase heap size using the --driver-memory option or "spark.driver.memory" in Spark configuration. SQLSTATE: F0000`,
			"\tat org.apache.spark.memory.UnifiedMemoryManager$.getMaxMemory(UnifiedMemoryManager.scala:250)",
		}},
		"causes are kept": {chained, []string{
			"java.lang.RuntimeException: plugin failed", "\tat a.B.c(B.java:1)", "\tat a.B.d(B.java:2)", "\tat a.B.e(B.java:3)",
			"Caused by: java.nio.file.NoSuchFileException: /x/engine.key", "\tat sun.X.y(X.java:1)", "\t... 12 more",
		}},
		"the main thread's comes before others": {chained + wrongMaster, []string{
			`Exception in thread "main" org.apache.spark.SparkException: Could not parse Master URL: 'nonsense'`,
			"\tat org.apache.spark.SparkContext$.org$apache$spark$SparkContext$$createTaskScheduler(SparkContext.scala:3270)",
			"\tat org.apache.spark.SparkContext.<init>(SparkContext.scala:600)",
			"\tat org.apache.spark.SparkContext$.getOrCreate(SparkContext.scala:2900)",
		}},
		"no exception": {"one\ntwo\nJAVA_HOME is not set\n", []string{"one", "two", "JAVA_HOME is not set"}},
		"heap refused by the JVM": {
			"a\nb\nInvalid maximum heap size: -Xmx1x\nError: Could not create the Java Virtual Machine.\nError: A fatal exception has occurred. Program will exit.\n",
			[]string{"Invalid maximum heap size: -Xmx1x", "Error: Could not create the Java Virtual Machine.", "Error: A fatal exception has occurred. Program will exit."},
		},
		"class missing": {
			"26/11/21 08:00:00 WARN Utils: Your hostname resolves to a loopback address\nError: Failed to load class org.roundhouse.engine.ConnectEngine.\n",
			[]string{"26/11/21 08:00:00 WARN Utils: Your hostname resolves to a loopback address", "Error: Failed to load class org.roundhouse.engine.ConnectEngine."},
		},
		"empty": {"", []string{""}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			files, dir := logOf(t, test.log)
			require.Equal(t, strings.Join(test.want, "\n"), files.Reason(dir, secret.Mask()))
		})
	}
}

func TestReasonIsBoundedMaskedAndPrintable(t *testing.T) {
	files, dir := logOf(t, "java.lang.Error: \x1b[31mred\x07 token sesame\xff "+strings.Repeat("x", 5000)+"\n")
	got := files.Reason(dir, secret.Mask("sesame"))
	require.Contains(t, got, "java.lang.Error: [31mred token ********� xxx")
	require.Contains(t, got, "more characters)")
	require.Less(t, len(got), 1100)

	files.ReasonSize = 20
	require.Equal(t, "java.lang.Error: [31", files.Reason(dir, secret.Mask("sesame"))[:20])
}

func TestKeysThatTheLimitCutsAreNotShown(t *testing.T) {
	key := strings.Repeat("k", 64)
	start := strings.Repeat("x", headLimit-20) + " " + key + "\n"
	files, dir := logOf(t, "java.lang.Error: a\n"+start)
	require.NotContains(t, files.read(dir, false, secret.Mask(key)), "kk")
	files, dir = logOf(t, "a\n"+key+" "+strings.Repeat("y", tailLimit-32)+"\nend\n")
	require.Equal(t, "end\n", files.read(dir, true, secret.Mask(key)))
}

func TestReasonOfNoLog(t *testing.T) {
	require.Empty(t, Files{Root: t.TempDir()}.Reason("/elsewhere/a/b", secret.Mask()))
}

func TestTail(t *testing.T) {
	var all strings.Builder
	for i := range 100000 {
		fmt.Fprintf(&all, "line %d with a key sesame\n", i)
	}
	files, dir := logOf(t, all.String())
	require.Equal(t, []string{"line 99998 with a key ***", "line 99999 with a key ***"},
		shorten(files.Tail(dir, 2, secret.Mask("sesame"))))
	require.Empty(t, files.Tail(dir, 0, secret.Mask()))
	require.Empty(t, files.Tail(dir+"x", 5, secret.Mask()))
}

func shorten(lines []string) []string {
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], secret.Hidden, "***")
	}
	return lines
}
