#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds everything and runs every test that this machine can run. What it
# skips is listed at the end with the reason.
set -euo pipefail
# shellcheck source=bin/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

logs=build/test
mkdir -p "$logs"
rm -f "$logs"/*
skipped=$logs/skipped.txt
failed=()

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
timed='/integration-tests/(limits|scenarios|transport)$'
integration() { # NAME PARALLEL PACKAGE...
  SPARK_HOME=$spark go test -json -count=1 -p "$2" -timeout "${ROUNDHOUSE_TEST_TIMEOUT:-90m}" "${@:3}" | report "$1"
}

# fuzz gives every fuzz target a million new inputs; its seeds and earlier finds
# are ordinary unit tests. An input that fails is kept below testdata.
fuzz() {
  local file name code=0
  while IFS=: read -r file name; do
    if go test -run '^$' -fuzz "^$name\$" -fuzztime 1000000x "./$(dirname "$file")" >"$logs/fuzz-$name.log" 2>&1 </dev/null; then
      say "ok    $(dirname "$file") $name: $(grep -o 'execs: [0-9]*' "$logs/fuzz-$name.log" | tail -n 1)"
    else
      tail -n 30 "$logs/fuzz-$name.log"
      say "FAIL  $(dirname "$file") $name"
      code=1
    fi
  done < <(grep -rE --include='*_test.go' '^func Fuzz' auth cmd conf discovery engine internal server session |
    sed -E 's/^([^:]+):func (Fuzz[A-Za-z0-9]*).*/\1:\2/')
  return $code
}

suite() { "$@" || failed+=("$1"); }

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
plugin &
plugin_pid=$!
suite units
wait "$plugin_pid" || failed+=(plugin)

if [ -n "${ROUNDHOUSE_LONG:-}" ]; then
  step "Fuzzing, a million inputs for each target"
  suite fuzz
fi

step "Integration tests with real Spark${ROUNDHOUSE_LONG:+, full counts}, side by side"
# shellcheck disable=SC2046 # package names have no spaces
suite integration side-by-side 2 $(grep -vE "$timed" <<<"$integration_packages")
step "Integration tests with real Spark${ROUNDHOUSE_LONG:+, full counts}, that compare times"
# shellcheck disable=SC2046
suite integration one-by-one 1 $(grep -E "$timed" <<<"$integration_packages")

if [ -s "$skipped" ]; then
  step "Skipped on this machine"
  sort -u "$skipped" | sed 's/^/  - /'
fi
if [ "${#failed[@]}" -ne 0 ]; then
  step "FAILED: ${failed[*]} (all output is in $logs)"
  exit 1
fi
step "All tests passed"
