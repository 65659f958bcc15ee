"""keypoints_node, vipe_node and action_node in one process, under their own names.

They keep their topics: Fast DDS hands messages over inside the process. A parameter is
given to one of them by its name: ``--ros-args -p vipe_node:height:=1.8``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from vipe_ros.action_node import ActionNode
from vipe_ros.keypoints_node import KeypointsNode
from vipe_ros.process import run
from vipe_ros.vipe_node import VipeNode


def main(args: Sequence[str] | None = None) -> int:
    """The executable."""
    return run(KeypointsNode, VipeNode, ActionNode, args=args)


if __name__ == "__main__":
    sys.exit(main())
