#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Looks for what the build and the tests need, and names what installs it.
set -euo pipefail
# shellcheck source=bin/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

missing=0

# lack WHAT APT DNF BREW: says what is missing and the line for this machine,
# or all lines where the machine has none of the three.
lack() {
  missing=1
  say "- $1"
  local manager any=
  for manager in apt-get dnf brew; do
    command -v "$manager" >/dev/null 2>&1 || continue
    any=1
    install_line "$manager" "$2" "$3" "$4"
  done
  [ -n "$any" ] && return
  for manager in apt-get dnf brew; do
    install_line "$manager" "$2" "$3" "$4"
  done
}

install_line() {
  case $1 in
    apt-get) say "    sudo apt-get install -y $2" ;;
    dnf) say "    sudo dnf install -y $3" ;;
    brew) say "    brew install $4" ;;
  esac
}

# first_number TEXT: the first number with dots in a text.
first_number() {
  [[ $1 =~ [0-9]+(\.[0-9]+)* ]] && printf '%s' "${BASH_REMATCH[0]}"
}

check_go() {
  local want have
  want=$(sed -n 's/^go //p' "$root/go.mod")
  have=$(first_number "$(GOTOOLCHAIN=local go version 2>/dev/null)") || have=
  if [ -z "$have" ]; then
    lack "Go $want or newer is missing" "golang-go   # where that is older: sudo snap install go --classic" golang go
  elif ! at_least "$have" "$want"; then
    lack "Go $want or newer is needed, this one is $have" "golang-go   # where that is older: sudo snap install go --classic" golang go
  fi
}

# java_version prints the version of the JDK in use. Its release file tells it
# without starting a virtual machine.
java_version() {
  local home=${JAVA_HOME:-} javac
  if [ -n "$home" ]; then
    javac=$home/bin/javac
  else
    javac=$(command -v javac) || return
    home=$(dirname "$(dirname "$(readlink -f "$javac")")")
  fi
  [ -x "$javac" ] || return
  first_number "$(sed -n 's/^JAVA_VERSION=//p' "$home/release" 2>/dev/null)" ||
    first_number "$("$javac" -version 2>&1)"
}

check_java() {
  local have where=${JAVA_HOME:+ (JAVA_HOME=$JAVA_HOME)}
  have=$(java_version) || have=
  if [ -z "$have" ]; then
    lack "A JDK, 17 or newer, is missing$where; a JRE has no javac" openjdk-17-jdk-headless java-17-openjdk-devel openjdk@17
  elif ! at_least "$have" 17; then
    lack "A JDK, 17 or newer, is needed, this one is $have$where" openjdk-17-jdk-headless java-17-openjdk-devel openjdk@17
  fi
}

check_python() {
  local have venv
  read -r have venv < <(python3 -c '
import importlib.util as u, sys
print("%d.%d" % sys.version_info[:2], all(map(u.find_spec, ("venv", "ensurepip"))))' 2>/dev/null) || have=
  if [ -z "$have" ]; then
    lack "Python 3.10 or newer is missing" "python3 python3-venv" python3 python@3.13
  elif ! at_least "$have" 3.10; then
    lack "Python 3.10 or newer is needed, python3 is $have" "python3 python3-venv" python3.12 python@3.13
  elif [ "$venv" != True ]; then
    lack "Python's venv module is missing" python3-venv python3 python@3.13
  fi
}

check_go
check_java
check_python
if [ "$missing" -ne 0 ]; then
  say "Install what is listed above, then try again."
  exit 1
fi
