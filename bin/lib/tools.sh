#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the tools of the tests into .local/bin.
set -euo pipefail
# shellcheck source=bin/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

h2spec=github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible # the last one with a module version
[ -x "$root/.local/bin/h2spec" ] || GOBIN=$root/.local/bin go install "$h2spec"
