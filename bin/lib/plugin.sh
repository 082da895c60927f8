#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds build/roundhouse-engine.jar when one of its sources is newer.
set -euo pipefail
# shellcheck source=bin/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

jar=$root/build/roundhouse-engine.jar
spark=$(spark_home) || die "there is no Spark to build the plugin against: set SPARK_HOME or run \`make spark\`."
if [ -f "$jar" ] && [ -z "$(find "$root/engine/plugin/src/main" "$root/engine/plugin/build.sh" -newer "$jar" -print)" ]; then
  exit 0
fi
exec "$root/engine/plugin/build.sh" "$spark" "$jar"
