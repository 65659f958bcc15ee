#!/usr/bin/env bash
# Every shipped configuration trains for a few steps, and what comes out is exported and run.
# Needs the motion files: VIPE_DATA names their folder. Writes out/train-smoke/.
#   STEPS=30 tools/train_smoke.sh [CONFIG ...]
set -euo pipefail
cd "$(dirname "$0")/.."
out=out/train-smoke
few=("steps=${STEPS:-4}" "validate_every=${STEPS:-4}" validation_poses=60 batch.poses=24)
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  for config in training/configs/*.yaml; do names+=("$(basename "$config" .yaml)"); done
fi
# One thread each, and as many configurations at a time as there are cores (nproc heeds
# OMP_NUM_THREADS too).
cores=$(env -u OMP_NUM_THREADS nproc)
export OMP_NUM_THREADS=1
rm -rf "$out"
mkdir -p "$out"

smoke() {
  vipe=.venv/bin/vipe
  out=$1 name=$2
  shift 2
  log=$out/$name.log
  {
    "$vipe" train "$name" "$@" --out "$out/$name" &&
      "$vipe" export "$out/$name/best.safetensors" "$out/$name.onnx" --poses 0 &&
      .venv/bin/python tools/run_model.py "$out/$name.onnx" "$out/$name.npz"
  } >"$log" 2>&1 || { echo "== $name FAILED" && cat "$log" && return 1; }
  echo "== $name: $(tail -n 1 "$log")"
}
export -f smoke
printf '%s\n' "${names[@]}" |
  xargs -P "$cores" -I{} bash -c 'smoke "$@"' smoke "$out" {} threads=1 "${few[@]}"
echo "train-smoke: ${#names[@]} configurations, fine"
