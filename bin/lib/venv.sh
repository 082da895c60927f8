#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes a Python environment with the given packages, unless it is there.
# usage: venv.sh <folder> <requirement>...
set -euo pipefail
# shellcheck source=bin/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

folder=$1
shift
stamp=$folder/.installed
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$*" ]; then
  exit 0
fi
step "Installing $* into ${folder#"$root"/}"
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --disable-pip-version-check --root-user-action=ignore "$@"
printf '%s' "$*" >"$stamp"
