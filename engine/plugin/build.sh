#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Builds the engine plugin with javac and jar against the jars of a Spark.
# usage: build.sh <SPARK_HOME> <out.jar>
set -eu

if [ $# -ne 2 ]; then
  echo "usage: $0 <SPARK_HOME> <out.jar>" >&2
  exit 2
fi
spark_home=$1
out=$2
here=$(cd "$(dirname "$0")" && pwd)

if [ ! -d "$spark_home/jars" ]; then
  echo "$0: $spark_home is no Spark: it has no folder 'jars'." >&2
  exit 2
fi
if ! command -v javac >/dev/null || ! command -v jar >/dev/null; then
  echo "$0: javac and jar are needed: install a JDK, 17 or newer (apt-get install openjdk-17-jdk-headless)." >&2
  exit 2
fi

classes=$(mktemp -d)
trap 'rm -rf "$classes"' EXIT
find "$here/src/main/java" -name '*.java' | LC_ALL=C sort >"$classes/sources"
# -proc:none: annotation processors among Spark's jars have nothing to do here.
# -classfile: Scala's own annotations are not on the class path.
javac --release 17 -encoding UTF-8 -g -proc:none -Xlint:all,-classfile,-path,-processing,-serial,-try \
  -cp "$spark_home/jars/*" -d "$classes/out" "@$classes/sources"

mkdir -p "$(dirname "$out")"
# A constant date makes equal sources give equal jars.
(cd "$classes/out" && find . -name '*.class' | sed 's|^\./||' | LC_ALL=C sort >"$classes/entries")
(cd "$classes/out" && jar --create --file "$classes/plugin.jar" --no-manifest --date=2024-01-01T00:00:00Z "@$classes/entries")
mv "$classes/plugin.jar" "$out"
