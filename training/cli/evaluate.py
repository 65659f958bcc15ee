"""Measure a model."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from vipe_core import model_file, runtime
from vipe_training.evaluate.suite import evaluate_baseline, evaluate_model, markdown

_EPILOG = """example:
  VIPE_DATA=~/mocap vipe evaluate retrieval --model models/vipe.onnx --out out/retrieval.json

cameras: chest4 = four at chest level; novel8 = eight from anywhere; +n = detector noise of
2 % of the torso; partial = ten targeted occlusions of the query on chest4.
"""


def run(argv: list[str]) -> int:
    """Measure a model: cross-view retrieval and lifting."""
    parser = argparse.ArgumentParser(
        prog="vipe evaluate",
        description="Measure a model on motion capture rendered through random cameras.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("suite", choices=["retrieval"])
    parser.add_argument("--model", type=Path, help="model file (default: the shipped one)")
    parser.add_argument("--data", default="mocap/cmu_mocap_test.npz", help="motion file")
    parser.add_argument("--poses", type=int, default=2000, help="poses after de-duplication")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--baseline", action="store_true", help="also aligned 2D keypoints (slow)")
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    arguments = parser.parse_args(argv)
    model = runtime.load(arguments.model or model_file.default_path())
    tables = [evaluate_model(model, arguments.data, arguments.poses, arguments.seed)]
    if arguments.baseline:
        tables.append(evaluate_baseline(arguments.data, arguments.poses, arguments.seed))
    print("\n\n".join(markdown(table) for table in tables))
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        numbers = [{"fingerprint": model.fingerprint, **tables[0].to_dict()}]
        numbers += [table.to_dict() for table in tables[1:]]
        arguments.out.write_text(json.dumps(numbers, indent=1) + "\n")
    return 0
