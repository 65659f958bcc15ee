#!/usr/bin/env bash
# Every shipped configuration trains for a few steps and what comes out can be exported and run.
# Needs the motion files: VIPE_DATA names their folder. Writes out/train-smoke/.
set -euo pipefail
cd "$(dirname "$0")/.."
vipe=.venv/bin/vipe
out=out/train-smoke
steps=${STEPS:-30}
rm -rf "$out"
for name in vipe pr_vipe v_vipe; do
  echo "== $name, $steps steps"
  "$vipe" train "$name" "steps=$steps" --out "$out/$name"
  "$vipe" export "$out/$name/best.safetensors" "$out/$name.onnx" --poses 0
done
echo "train-smoke: fine"
