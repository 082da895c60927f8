#!/bin/sh
# SPDX-License-Identifier: Apache-2.0

# Compiles a program of this folder against the Spark Connect client of a Spark installation and runs it.
#
# usage: run.sh <SPARK_HOME> <directory for the class file> [program] [argument...]
#
# Without a program's name in front of sc://... it is JvmClient. The shaded client comes
# first on the class path, and spark-sql and spark-connect (the server) stay out, so that
# the builder is that of the client.

set -eu

if [ "$#" -lt 3 ]; then
  echo "usage: run.sh <SPARK_HOME> <class directory> [program] [argument...]" >&2
  exit 2
fi
spark_home=$1
classes=$2
shift 2
program=JvmClient
case $1 in
  sc://*) ;;
  *)
    program=$1
    shift
    ;;
esac

here=$(cd "$(dirname "$0")" && pwd)
client=$(ls "$spark_home"/jars/connect-repl/spark-connect-client-jvm_*.jar 2>/dev/null || true)
if [ -z "$client" ]; then
  echo "run.sh: $spark_home/jars/connect-repl has no Spark Connect client; is it a Spark 4 installation?" >&2
  exit 1
fi
class_path=$classes:$client
for jar in "$spark_home"/jars/*.jar; do
  case ${jar##*/} in
    spark-sql_* | spark-connect_*) ;;
    *) class_path=$class_path:$jar ;;
  esac
done

mkdir -p "$classes"
if [ ! -f "$classes/$program.class" ] || [ "$here/$program.java" -nt "$classes/$program.class" ]; then
  javac -d "$classes" -cp "$class_path" "$here/$program.java"
fi
exec java --add-opens=java.base/java.nio=ALL-UNNAMED -cp "$class_path" "$program" "$@"
