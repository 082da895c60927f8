#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds everything and runs every test that this machine can run. What it
# skips is listed at the end with the reason. A full run (ROUNDHOUSE_LONG=1)
# fails if it skipped anything, unless ROUNDHOUSE_ALLOW_SKIPS=1.
set -euo pipefail
# shellcheck source=bin/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

logs=build/test
mkdir -p "$logs"
rm -f "$logs"/*
skipped=$logs/skipped.txt
failed=()
[ "${ROUNDHOUSE_LONG:-}" = 1 ] && long=1 || long=

skip() { say "$*" >>"$skipped"; }

# report SUITE: shows a suite's output as it comes, keeps it in build/test.
report() { build/testreport -name "$1" -output "$logs/$1.log" -skips "$skipped"; }

# units runs all but the integration tests, with the race detector where there
# is a C compiler for it.
units() {
  local race=(-race)
  if ! command -v "${CC:-cc}" >/dev/null 2>&1 && ! command -v gcc >/dev/null 2>&1; then
    race=()
    skip "race detector: it needs a C compiler (apt-get install gcc)"
  fi
  # The conformance tests against real Spark run later, without the detector.
  # shellcheck disable=SC2086 # package names have no spaces
  SPARK_HOME='' go test -json -timeout 15m ${race[@]+"${race[@]}"} $unit_packages | report units
}

# plugin runs the JUnit tests; code 3 means that they cannot run here.
plugin() {
  local code=0
  engine/plugin/test.sh "$spark" "$root/.local/junit" >"$logs/plugin.log" 2>&1 || code=$?
  case $code in
    0) say "ok    plugin (JUnit)" ;;
    3) skip "plugin: $(tail -n 1 "$logs/plugin.log")" ;;
    *) tail -n 60 "$logs/plugin.log"; say "FAIL  plugin (JUnit), all of it in $logs/plugin.log"; return 1 ;;
  esac
}

# The integration tests drive the built gateway with real clients and real Spark.
# Their results are never taken from the cache, which knows nothing of the built
# files. Those that compare times have the machine for themselves.
timed='/integration-tests/(ha|hazk|jwt|ldap|limits|people|scenarios|tokens|transport)$'
# The suites that take longest begin first.
first='/integration-tests/(clients|soak)$'
integration() { # NAME PARALLEL PACKAGE...
  SPARK_HOME=$spark go test -json -count=1 -p "$2" -timeout "${ROUNDHOUSE_TEST_TIMEOUT:-90m}" "${@:3}" | report "$1"
}

# fuzz gives every fuzz target a million new inputs, one target at a time and
# with what the machine has left; its seeds and earlier finds are ordinary unit
# tests. An input that fails is kept below testdata.
fuzz() {
  local targets file name dir log code=0
  targets=$(grep -rE --include='*_test.go' --exclude-dir='.?*' --exclude-dir=build '^func Fuzz' . |
    sed -E 's/^([^:]+):func (Fuzz[A-Za-z0-9_]*).*/\1:\2/') || true
  [ -n "$targets" ] || { say "FAIL  fuzz: no target was found"; return 1; }
  while IFS=: read -r file name; do
    dir=$(dirname "${file#./}")
    log=$logs/fuzz-${dir//\//-}-$name.log
    if nice -n 19 go test -run '^$' -fuzz "^$name\$" -fuzztime 1000000x -timeout 60m "./$dir" >"$log" 2>&1 </dev/null; then
      say "ok    $dir $name: $(grep -o 'execs: [0-9]*' "$log" | tail -n 1)"
    else
      tail -n 30 "$log"
      say "FAIL  $dir $name, all of it in $log"
      code=1
    fi
  done <<<"$targets"
  return $code
}

suite() { "$@" || failed+=("$1"); }

# background SUITE runs beside what follows, until await SUITE; one at a time. It
# is a process group of its own, which ends with this script at the latest.
beside=
background() {
  set -m
  "$1" </dev/null &
  beside=$!
  set +m
}
await() {
  wait "$beside" || failed+=("$1")
  beside=
}
trap '[ -z "$beside" ] || kill -- "-$beside" 2>/dev/null || true' EXIT

step "Building"
bin/lib/preflight.sh
bin/lib/spark.sh
spark=$(spark_home)
bin/lib/clients.sh || skip "the clients of other PySpark versions: they could not be installed, see above"
bin/lib/tools.sh || skip "h2spec: it could not be installed, see above"
# Tests of single packages that want a client find it here.
export PYSPARK_PYTHON_43=$root/.local/venv/bin/python PYSPARK_PYTHON_40=$root/.local/venv-4.0/bin/python
mkdir -p build
go build -o build/gateway ./cmd/gateway
go build -o build/testreport ./internal/testreport
bin/lib/plugin.sh
integration_packages=$(go list ./engine/enginetest/... ./integration-tests/...)
unit_packages=$(go list ./... | grep -v -e /integration-tests -e /engine/enginetest)

step "Unit tests (race detector) and the plugin's JUnit tests, side by side"
background plugin
suite units
await plugin

step "Integration tests with real Spark${long:+, full counts, and a million inputs for each fuzz target}, side by side"
[ -z "$long" ] || background fuzz # the tests mostly wait
# shellcheck disable=SC2046 # package names have no spaces
suite integration side-by-side 2 $(grep -E "$first" <<<"$integration_packages") $(grep -vE "$timed|$first" <<<"$integration_packages")
[ -z "$long" ] || await fuzz
step "Integration tests with real Spark${long:+, full counts}, that compare times"
# shellcheck disable=SC2046
suite integration one-by-one 1 $(grep -E "$timed" <<<"$integration_packages")

if [ -s "$skipped" ]; then
  step "Skipped on this machine"
  sort -u "$skipped" | sed 's/^/  - /'
  if [ -n "$long" ] && [ "${ROUNDHOUSE_ALLOW_SKIPS:-}" != 1 ]; then
    say "A full run skips nothing, unless ROUNDHOUSE_ALLOW_SKIPS=1 says that it may."
    failed+=(skips)
  fi
fi
if [ "${#failed[@]}" -ne 0 ]; then
  step "FAILED: ${failed[*]} (all output is in $logs)"
  exit 1
fi
if [ -s "$skipped" ]; then
  step "All tests passed, but for the skipped ones above"
else
  step "All tests passed"
fi
