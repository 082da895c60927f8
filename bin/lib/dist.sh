#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes dist/roundhouse-<version>-linux-<arch>.tar.gz: all that an edge node
# without internet needs beside Java and a Spark. Equal sources and tools give
# equal bytes. usage: dist.sh [<output folder>]; GOARCH chooses the processor.
set -euo pipefail
# shellcheck source=bin/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

output=${1:-$root/dist}
arch=$(go env GOARCH)
version=$(sed -n 's/^const Number = "\(.*\)"$/\1/p' internal/version/version.go)
[ -n "$version" ] || die "internal/version names no version"
name=roundhouse-$version-linux-$arch
# The dates of all files: that of the commit, or a constant one without git.
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 1704067200)}
tar --version 2>/dev/null | grep -q GNU || die "GNU tar is needed (on macOS: brew install gnu-tar)"
[ -f build/roundhouse-engine.jar ] || die "build/roundhouse-engine.jar is not there; run make plugin first"

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
top=$stage/$name
mkdir -p "$top"/{bin,lib,conf,systemd,licenses}

step "Building the static program for linux/$arch"
CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath -ldflags '-s -w' -o "$top/bin/roundhouse-gateway" ./cmd/gateway

cp bin/gateway "$top/bin/"
cp build/roundhouse-engine.jar "$top/lib/"
cp conf/kyuubi-defaults.conf conf/kyuubi-env.sh.template "$top/conf/"
cp -R docs "$top/"
cp bin/dist/*.service "$top/systemd/"
cp README.md CHANGELOG.md LICENSE NOTICE "$top/"

# The licences of what is linked into the program.
modules=$(go version -m "$top/bin/roundhouse-gateway" | awk '$1 == "dep" { print $2 "@" $3 }')
for module in $modules; do
  folder=$(go list -m -f '{{.Dir}}' "${module%@*}")
  mkdir -p "$top/licenses/$module"
  find "$folder" -maxdepth 1 -type f \( -iname 'LICEN[CS]E*' -o -iname 'NOTICE*' -o -iname 'COPYING*' -o -iname 'PATENTS*' \) \
    -exec cp {} "$top/licenses/$module/" \;
  [ -n "$(ls "$top/licenses/$module")" ] || die "the module $module has no licence file"
done
cp "$(go env GOROOT)/LICENSE" "$top/licenses/LICENSE.go"

(cd "$top" && find . -type f ! -name SHA256SUMS | LC_ALL=C sort | sed 's|^\./||' | tr '\n' '\0' | xargs -0 sha256sum >"$stage/sums")
mv "$stage/sums" "$top/SHA256SUMS"

mkdir -p "$output"
tar --format=ustar --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
  -C "$stage" -cf - "$name" | gzip -9n >"$output/$name.tar.gz"
(cd "$output" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
say "$output/$name.tar.gz ($(du -h "$output/$name.tar.gz" | cut -f1))"
