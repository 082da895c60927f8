# SPDX-License-Identifier: Apache-2.0
#
# What the scripts of this folder share. To be sourced by bash.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

# The Spark that a checkout installs for itself; it does not know pandas 3 yet.
spark_requirements=('pyspark[connect]==4.3.0' 'pandas<3')

say() { printf '%s\n' "$*"; }
step() { printf '\n==> %s\n' "$*"; }
die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# at_least VERSION MINIMUM: both are numbers with dots.
at_least() {
  local have want i
  IFS=. read -r -a have <<<"$1"
  IFS=. read -r -a want <<<"$2"
  for i in "${!want[@]}"; do
    if ((10#${have[i]:-0} != 10#${want[i]})); then
      ((10#${have[i]:-0} > 10#${want[i]}))
      return
    fi
  done
}

# local_spark prints the Spark that was installed below .local, or fails.
local_spark() {
  local found
  for found in "$root"/.local/venv/lib/python3*/site-packages/pyspark; do
    [ -d "$found/jars" ] && printf '%s\n' "$found" && return
  done
  return 1
}

# spark_home prints SPARK_HOME, else the local Spark, or fails.
spark_home() {
  if [ -n "${SPARK_HOME:-}" ]; then
    printf '%s\n' "$SPARK_HOME"
  else
    local_spark
  fi
}
