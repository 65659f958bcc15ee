"""Make the model file."""

from __future__ import annotations

import argparse
from pathlib import Path

from vipe_core import runtime
from vipe_training.card import card
from vipe_training.evaluate.suite import evaluate_model
from vipe_training.export import export, load_trained

_EPILOG = """example:
  VIPE_DATA=~/mocap vipe export runs/vipe/best.safetensors models/vipe.onnx
"""


def run(argv: list[str]) -> int:
    """Make the model file for the robot out of a checkpoint."""
    parser = argparse.ArgumentParser(
        prog="vipe export",
        description="Write a checkpoint as one ONNX file, measure it, and write its card.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", type=Path, help="best.safetensors of a run")
    parser.add_argument("out", type=Path, help="model file, such as models/vipe.onnx")
    parser.add_argument("--model-version", default="0.1.0", help="default: %(default)s")
    parser.add_argument("--data", default="mocap/cmu_mocap_test.npz", help="motion file to measure")
    parser.add_argument("--poses", type=int, default=2000, help="0: do not measure, no card")
    arguments = parser.parse_args(argv)
    trained = load_trained(arguments.checkpoint)
    path = export(trained, arguments.out, arguments.model_version, trained.scores)
    print(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB")
    if arguments.poses:
        results = evaluate_model(runtime.load(path), arguments.data, arguments.poses, seed=0)
        # The same graph once more, now with its own figures inside.
        export(trained, arguments.out, arguments.model_version, results.flat())
        text = card(trained, runtime.load(path), results)
        path.with_suffix(".md").write_text(text)
        print(text)
    return 0
