#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Builds the engine plugin and runs its JUnit tests. JUnit's console launcher comes from Maven
# Central once and stays in the cache folder.
# usage: test.sh <SPARK_HOME> <cache dir>
# exit codes: 0 passed, 1 failed, 2 wrong usage, 3 skipped because Maven or JUnit is not to be had
set -eu

if [ $# -ne 2 ]; then
  echo "usage: $0 <SPARK_HOME> <cache dir>" >&2
  exit 2
fi
spark_home=$1
mkdir -p "$2"
cache=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
version=1.13.4
artifact=junit-platform-console-standalone
junit="$cache/$artifact-$version.jar"

if [ ! -f "$junit" ]; then
  if ! command -v mvn >/dev/null; then
    echo "skipped: the plugin's JUnit tests need Maven once, to fetch JUnit (apt-get install maven)." >&2
    exit 3
  fi
  if ! (cd "$cache" && mvn -q -B dependency:copy \
    "-Dartifact=org.junit.platform:$artifact:$version" "-DoutputDirectory=$cache" >"$cache/mvn.log" 2>&1); then
    echo "skipped: Maven could not fetch JUnit; its last words:" >&2
    tail -n 3 "$cache/mvn.log" >&2
    exit 3
  fi
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$here/build.sh" "$spark_home" "$work/plugin.jar"
find "$here/src/test/java" -name '*.java' | LC_ALL=C sort >"$work/sources"
javac --release 17 -encoding UTF-8 -g -proc:none \
  -cp "$work/plugin.jar:$junit:$spark_home/jars/*" -d "$work/classes" "@$work/sources"

# The console launcher takes no wildcard in its class path.
jars=$(find "$spark_home/jars" -maxdepth 1 -name '*.jar' | LC_ALL=C sort | tr '\n' ':')
java -jar "$junit" execute --disable-banner --disable-ansi-colors --details=summary \
  --class-path "$work/classes:$work/plugin.jar:$jars" --scan-class-path "$work/classes"
