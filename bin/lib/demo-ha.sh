#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Shows what two gateways are good for: a ZooKeeper from Spark's jars, two gateways, a
# PySpark program in the middle of a query, and one gateway killed. All of it is on
# loopback and in a folder of its own, and is gone at the end.
set -euo pipefail
# shellcheck source=bin/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

# The demo uses its own Spark, settings and folders, not those of the shell.
unset SPARK_HOME SPARK_CONF_DIR SPARK_REMOTE PYSPARK_PYTHON PYSPARK_DRIVER_PYTHON
unset KYUUBI_HOME KYUUBI_CONF_DIR KYUUBI_LOG_DIR KYUUBI_PID_DIR KYUUBI_WORK_DIR_ROOT
python=.local/venv/bin/python
home=$(mktemp -d)
pids=() # of what this script started: ZooKeeper, the gateways, the program

bold='' red='' green='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
fi
tell() { printf '\n%s==> %s%s\n' "$bold" "$*" "$plain"; }

# on NUMBER COMMAND...: a command of one gateway.
on() { GATEWAY_HOME=$home/gateway-$1 bin/gateway "${@:2}"; }

# finish ends what this script started, also after a failure or Ctrl-C.
finish() {
  local code=$? i
  trap - EXIT INT TERM
  tell "Cleaning up"
  for i in 2 1; do
    on "$i" stop --engines >>"$home/stop.log" 2>&1 || true # one of them was killed
  done
  if [ "${#pids[@]}" -gt 0 ]; then
    kill "${pids[@]}" 2>/dev/null || true
    wait "${pids[@]}" 2>/dev/null || true
  fi
  if [ "$code" -eq 0 ]; then
    rm -rf "$home"
    say "Nothing is left."
  else
    say "${red}It failed.${plain} The logs are in $home."
  fi
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# until_true SECONDS WHAT COMMAND...: waits for a command to succeed.
until_true() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || die "$what in vain"
    sleep 0.1
  done
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }

start_zookeeper() {
  mkdir -p "$home/zookeeper"
  cat >"$home/zookeeper/zoo.cfg" <<END
tickTime=500
dataDir=$home/zookeeper
clientPort=$zk_port
clientPortAddress=127.0.0.1
admin.enableServer=false
END
  java -cp "$spark/jars/*" org.apache.zookeeper.server.quorum.QuorumPeerMain "$home/zookeeper/zoo.cfg" \
    >"$home/zookeeper/log" 2>&1 &
  pids+=($!)
  until_true 30 "waiting for ZooKeeper" listens "$zk_port"
}

# start_gateway NUMBER PORT REST_PORT
start_gateway() {
  mkdir -p "$home/gateway-$1/conf"
  cat >"$home/gateway-$1/conf/kyuubi-defaults.conf" <<END
kyuubi.ha.addresses=127.0.0.1:$zk_port
kyuubi.server.cluster.secret.file=$home/cluster.secret
kyuubi.frontend.spark.connect.enabled=true
kyuubi.frontend.spark.connect.bind.host=127.0.0.1
kyuubi.frontend.spark.connect.bind.port=$2
kyuubi.frontend.rest.bind.host=127.0.0.1
kyuubi.frontend.rest.bind.port=$3
spark.master=local[2]
spark.driver.memory=700m
spark.ui.enabled=false
END
  on "$1" run >"$home/gateway-$1/log" 2>&1 &
  pids+=($!)
  until_true 30 "waiting for gateway $1" grep -q ' serves\.$' "$home/gateway-$1/log"
}

# follow shows what the program says, and kills gateway 1 when a third of the rows is there.
killed=
follow() {
  local line victim=${pids[1]}
  while IFS= read -r line; do
    say "    program: $line"
    case $line in
      "180 rows"*)
        kill -9 "$victim"
        wait "$victim" 2>/dev/null || true
        unset 'pids[1]'
        killed=1
        say "${red}${bold}==> kill -9 $victim: gateway 1, which carries this query, is dead${plain}"
        ;;
    esac
  done
}

bin/lib/preflight.sh
bin/lib/venv.sh "$root/.local/venv" "${spark_requirements[@]}"
spark=$(local_spark)
mkdir -p build
go build -o build/gateway ./cmd/gateway
bin/lib/plugin.sh
read -r zk_port port_1 rest_1 port_2 rest_2 < <("$python" - <<'END'
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
print(*(s.getsockname()[1] for s in held))
END
)
(umask 077 && "$python" -c 'import secrets; print(secrets.token_hex(32))' >"$home/cluster.secret")

tell "Starting ZooKeeper (from Spark's jars) on 127.0.0.1:$zk_port"
start_zookeeper
tell "Starting two gateways, which share sessions and engines"
start_gateway 1 "$port_1" "$rest_1"
start_gateway 2 "$port_2" "$rest_2"
say "    gateway 1: process ${pids[1]}, sc://127.0.0.1:$port_1"
say "    gateway 2: process ${pids[2]}, sc://127.0.0.1:$port_2"
tell "A PySpark program runs one query (integration-tests/quickstart/ha.py); it uses gateway 1 and knows both"
say "    The first session waits for its Spark to start ..."
mkfifo "$home/said"
"$python" integration-tests/quickstart/ha.py "127.0.0.1:$port_1" "127.0.0.1:$port_2" >"$home/said" 2>"$home/program.log" &
program=$!
pids+=("$program")
follow <"$home/said"
wait "$program" || { tail -n 20 "$home/program.log"; die "the program failed"; }
[ -n "$killed" ] || die "gateway 1 was not killed: the program said nothing of 180 rows"
tell "${green}The program ended well without gateway 1.${plain}"
say "    What gateway 2 shows of the engine and the gateways:"
on 2 engines | sed 's/^/    /'
on 2 servers | sed 's/^/    /'
