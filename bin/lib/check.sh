#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What has to hold before every commit and takes little time.
set -euo pipefail
# shellcheck source=bin/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"
unset SPARK_HOME # no test of this script may find a Spark

step "gofmt"
unformatted=$(find . -name '*.go' -not -path './.local/*' -print0 | xargs -0 gofmt -l)
[ -z "$unformatted" ] || die "not formatted, run gofmt -w on:
$unformatted"

step "go vet"
go vet ./...

step "unit and policy tests"
# shellcheck disable=SC2046 # package names have no spaces
go test -short -timeout 5m $(go list ./... | grep -v /integration-tests)
