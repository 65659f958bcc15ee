"""Nodes that open a keypoint source and say what came out of it, for the tests of adapters.

    adapter_echo.py NAMESPACE=KEYPOINTS_TYPE ... --ros-args ...

Each node reads `bodies_2d` and `camera_info` of its namespace and publishes `out`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from vipe_msgs.msg import Bodies2D

from vipe_core import bodies
from vipe_ros import adapters, convert
from vipe_ros.node import BaseNode
from vipe_ros.parameters import InputParameters, parameter
from vipe_ros.process import run


@dataclass(frozen=True)
class EchoParameters(InputParameters):
    """What the echo has."""

    keypoints_type: str = parameter("auto", "Type of `bodies_2d`.")


class Echo(BaseNode):
    """Publishes people as they come out of a source."""

    parameters_type = EchoParameters
    settings: EchoParameters
    _source: adapters.Source | None = None
    _size: tuple[int, int] | None = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("echo", **kwargs)

    def configure(self) -> None:
        adapters.check(self.settings.keypoints_type)
        self._out = self.add_output(Bodies2D, "out", depth=1000)

    def activate(self) -> None:
        self.add_side_input(CameraInfo, "camera_info", self._on_camera_info)
        self._source = adapters.open_source(
            self, "bodies_2d", self.settings.keypoints_type, lambda: self._size, self._on_people
        )

    def on_deactivate(self, state: Any) -> Any:
        if self._source is not None:
            self._source.close()
        return super().on_deactivate(state)

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._size = (message.width, message.height)
        self.report.counts["camera_info"] += 1

    def _on_people(self, header: Header, people: bodies.Bodies2D) -> None:
        self.publish(self._out, convert.bodies_2d_message(header, people))


def echo(argument: str) -> Callable[[], Echo]:
    """How to make the node that an argument asks for."""
    namespace, _, kind = argument.partition("=")
    given = [Parameter("keypoints_type", value=kind)]
    return partial(Echo, namespace=namespace, parameter_overrides=given)


if __name__ == "__main__":
    wanted, _, ros = " ".join(sys.argv[1:]).partition("--ros-args")
    sys.exit(run(*map(echo, wanted.split()), args=["--ros-args", *ros.split()]))
