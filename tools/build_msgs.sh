#!/usr/bin/env bash
# Build an interface package with plain cmake, straight into a virtual environment.
#
#   tools/build_msgs.sh VENV [PACKAGE_FOLDER [BUILD_FOLDER]]
#
# Afterwards `import vipe_msgs.msg` works for every python of VENV, nothing sourced.
# A robot builds the same folder with colcon instead.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
venv=$(cd "$1" && pwd)
source=${2:-$root/ros_ws/src/vipe_msgs}
build=${3:-$venv/build/$(basename "$source")}
log=$build.log

mkdir -p "$build"
export AMENT_PREFIX_PATH=$venv PATH=$venv/bin:$PATH
run() { "$@" >>"$log" 2>&1 || { tail -n 40 "$log" >&2; echo "build_msgs: $source failed, see $log" >&2; exit 1; }; }
: >"$log"
run cmake -S "$source" -B "$build" -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF \
  -DCMAKE_INSTALL_PREFIX="$venv" -DPython3_EXECUTABLE="$venv/bin/python" \
  -DCMAKE_PROJECT_INCLUDE="$root/tools/ros_wheels_fix.cmake"
run cmake --build "$build" --parallel "$(nproc)"
run cmake --install "$build"
