#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# From a fresh checkout to a query through the gateway. KEEP=1 leaves the
# gateway running; PORT and REST_PORT choose other ports.
set -euo pipefail
# shellcheck source=bin/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

port=${PORT:-15002}
rest_port=${REST_PORT:-10099}
python=.local/venv/bin/python
gateway=bin/gateway
started=

# The quickstart uses its own Spark, settings and folders, not those of the shell.
unset SPARK_HOME SPARK_CONF_DIR SPARK_REMOTE PYSPARK_PYTHON PYSPARK_DRIVER_PYTHON
unset KYUUBI_HOME KYUUBI_CONF_DIR KYUUBI_LOG_DIR KYUUBI_PID_DIR KYUUBI_WORK_DIR_ROOT
export GATEWAY_HOME=$root ROUNDHOUSE_QUICKSTART=1

# finish stops what this script started, also after a failure or Ctrl-C.
finish() {
  local code=$?
  trap - EXIT INT TERM
  if [ -n "$started" ] && { [ "$code" -ne 0 ] || [ "${KEEP:-}" != 1 ]; }; then
    step "Stopping"
    "$gateway" stop --engines || code=1
  fi
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# taken PORT: somebody listens there.
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

check_ports() {
  local p
  for p in "$port" "$rest_port"; do
    if taken "$p"; then
      die "port $p is taken by another program. Choose others: make quickstart PORT=15012 REST_PORT=10109"
    fi
  done
}

bin/lib/preflight.sh
bin/lib/venv.sh "$root/.local/venv" "${spark_requirements[@]}"
step "Building the gateway and the engine plugin"
mkdir -p build
go build -o build/gateway ./cmd/gateway
bin/lib/plugin.sh

if status=$("$gateway" status 2>&1); then
  step "A gateway of this checkout runs already"
  say "$status"
  port=$(sed -n 's|.*sc://.*:\([0-9]*\)$|\1|p' <<<"$status")
  rest_port=$(sed -n 's|.*http://.*:\([0-9]*\)$|\1|p' <<<"$status")
  if [ "${PORT:-$port}" != "$port" ] || [ "${REST_PORT:-$rest_port}" != "$rest_port" ]; then
    die "that gateway has other ports than PORT and REST_PORT say, and a checkout runs one gateway at a time. Stop it (bin/gateway stop --engines), or leave the ports out to use it."
  fi
else
  check_ports
  step "Starting the gateway"
  started=1
  rest=http://127.0.0.1:$rest_port
  "$gateway" start \
    --conf "kyuubi.frontend.spark.connect.bind.port=$port" --conf "kyuubi.frontend.rest.bind.port=$rest_port"
fi
remote=sc://127.0.0.1:$port
rest=http://127.0.0.1:$rest_port

step "A PySpark program through it (integration-tests/quickstart/hello.py)"
SPARK_REMOTE=$remote "$python" integration-tests/quickstart/hello.py "$rest"

step "It works."
say "  Logs      logs/ (gateway)   work/<user>/<engine>/engine.log (Spark)"
say "  Settings  conf/kyuubi-defaults.conf   docs/settings.md lists all of them"
if [ "${KEEP:-}" = 1 ] || [ -z "$started" ]; then
  say "Now with a program of your own:"
  say "  SPARK_REMOTE=$remote"
  say "  e.g.      SPARK_REMOTE=$remote $python your_program.py"
  say "  REST      $rest/api/v1/admin/engine?all=true   $rest/metrics"
  say "  Stop it   bin/gateway stop --engines"
else
  say "The gateway is stopped again now. To keep one for programs of your own:  make quickstart KEEP=1   or   bin/gateway start"
fi
