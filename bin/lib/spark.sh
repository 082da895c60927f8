#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs PySpark with its Spark below .local, unless SPARK_HOME names a Spark.
set -euo pipefail
# shellcheck source=bin/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [ -n "${SPARK_HOME:-}" ]; then
  [ -d "$SPARK_HOME/jars" ] || die "SPARK_HOME=$SPARK_HOME is no Spark: it has no folder jars."
  exit 0
fi
"$root/bin/lib/preflight.sh"
exec "$root/bin/lib/venv.sh" "$root/.local/venv" "${spark_requirements[@]}"
