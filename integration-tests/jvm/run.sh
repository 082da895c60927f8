#!/bin/sh
# SPDX-License-Identifier: Apache-2.0

# Compiles JvmClient.java against the Spark Connect client of a Spark installation and runs it.
#
# usage: run.sh <SPARK_HOME> <directory for the class file> sc://host:port[/;key=value...] [key=value...]
#
# Only the shaded client and the jars that it needs are on the class path: with
# spark-sql and spark-connect (the server) there, the builder would be another one.

set -eu

if [ "$#" -lt 3 ]; then
  echo "usage: run.sh <SPARK_HOME> <class directory> sc://host:port [key=value...]" >&2
  exit 2
fi
spark_home=$1
classes=$2
shift 2

here=$(cd "$(dirname "$0")" && pwd)
class_path=$classes
for jar in "$spark_home"/jars/connect-repl/spark-connect-client-jvm_*.jar \
  "$spark_home"/jars/scala-library-*.jar "$spark_home"/jars/spark-common-utils*.jar \
  "$spark_home"/jars/slf4j-api-*.jar; do
  if [ ! -f "$jar" ]; then
    echo "run.sh: $jar is missing; is $spark_home a Spark 4 installation?" >&2
    exit 1
  fi
  class_path=$class_path:$jar
done

mkdir -p "$classes"
if [ ! -f "$classes/JvmClient.class" ] || [ "$here/JvmClient.java" -nt "$classes/JvmClient.class" ]; then
  javac -d "$classes" -cp "$class_path" "$here/JvmClient.java"
fi
exec java --add-opens=java.base/java.nio=ALL-UNNAMED -cp "$class_path" JvmClient "$@"
