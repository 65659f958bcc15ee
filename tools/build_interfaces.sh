#!/usr/bin/env bash
# Build the interface packages of others that the tests need, two at a time, into a virtual environment.
#
#   tools/build_interfaces.sh VENV
#
# tests/interfaces has their fields. A robot installs the real packages instead.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
find "$root/tests/interfaces" -mindepth 1 -maxdepth 1 -type d -print0 |
  xargs -0 -n 1 -P 2 "$root/tools/build_msgs.sh" "$1"
