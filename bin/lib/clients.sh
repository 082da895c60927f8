#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the clients of the tests below .local: PySpark 4.3, which brings the
# Spark of the tests, and the client of
# PySpark 4.0, with a client of Kyuubi's that fetches tokens by itself.
set -euo pipefail
# shellcheck source=bin/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

"$root/bin/lib/venv.sh" "$root/.local/venv" "${spark_requirements[@]}"
exec "$root/bin/lib/venv.sh" "$root/.local/venv-4.0" pyspark-client==4.0.1 'pandas<3' kyuubi-spark-connect==1.0.2
