"""``vipe model``."""

from __future__ import annotations

from pathlib import Path

from vipe_core.cli.common import Parser
from vipe_core.model_file.card import card


def run(argv: list[str]) -> int:
    """Show what a model file says about itself: its card.

    The whole file is checked first: checksum, metadata, inputs and outputs.
    """
    parser = Parser("model", run.__doc__, "model show models/vipe.onnx")
    parser.add_argument("action", choices=("show",), help="what to do")
    parser.add_argument("file", metavar="FILE.onnx", type=Path, help="model file")
    args = parser.parse_args(argv)
    print(card(args.file), end="")
    return 0
