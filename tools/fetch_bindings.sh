#!/usr/bin/env bash
# Install the versions in requirements/tensorrt-bindings.txt side by side, for the tests.
#
#   tools/fetch_bindings.sh VENV
#
# Afterwards VENV/tensorrt/VERSION and VENV/cuda/VERSION can each be put on PYTHONPATH. None of
# them is on the path of VENV itself, where `import tensorrt` keeps failing.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
venv=$(cd "$1" && pwd)
list=$root/requirements/tensorrt-bindings.txt

install() { # FOLDER REQUIREMENT...: whole or not at all
  local folder=$1
  [ -d "$folder" ] && return
  shift
  rm -rf "$folder.part"
  "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --target "$folder.part" "$@"
  mv "$folder.part" "$folder"
}

pathfinder=$(grep '^cuda-pathfinder==' "$list")
while read -r requirement; do
  version=${requirement#*==}
  case $requirement in
    tensorrt*) install "$venv/tensorrt/$version" "$requirement" ;;
    cuda-bindings*) install "$venv/cuda/$version" "$requirement" "$pathfinder" ;;
  esac
done < <(grep -v '^ *\(#\|$\)' "$list")
