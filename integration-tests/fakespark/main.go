// SPDX-License-Identifier: Apache-2.0

// Command fakespark plays bin/spark-submit of a SPARK_HOME without Spark: it
// is a driver with the engine plugin as engine/DESIGN.md describes it, except
// that its Connect service is enginetest.Engine. It starts in milliseconds and
// needs some ten megabytes, so the real gateway binary can be tested with many
// engines. Properties that begin with spark.fake. make it misbehave; see
// settings.go.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stderr))
}
