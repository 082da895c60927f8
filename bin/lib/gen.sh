#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Generates the Go stubs of Spark Connect and of the service for tokens. The compiler comes with a Python
# package; the Go plugins have the versions of go.mod and of this file.
set -euo pipefail
# shellcheck source=bin/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

"$root/bin/lib/preflight.sh"
bin/lib/venv.sh "$root/.local/tools" grpcio-tools==1.85.1
mkdir -p .local/bin
go build -o .local/bin/protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go
GOBIN=$root/.local/bin go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2

# generate <package of the stubs> <file>...: the files name no Go package of ours;
# each is mapped on the command line.
generate() {
  local target=roundhouse/proto/gen/$1 options=(--go_opt=module=roundhouse --go-grpc_opt=module=roundhouse) file
  shift
  for file in "$@"; do
    options+=("--go_opt=M${file#proto/}=$target" "--go-grpc_opt=M${file#proto/}=$target")
  done
  PATH=$root/.local/bin:$PATH .local/tools/bin/python -m grpc_tools.protoc -I proto \
    --go_out=. --go-grpc_out=. "${options[@]}" "$@"
  say "proto/gen is generated from $# files: ${target#roundhouse/}."
}
generate spark/connect proto/spark/connect/*.proto
generate kyuubi/auth proto/kyuubi/*.proto
