"""Starting the scripts of examples/, and people to show them."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo
from vipe_msgs.msg import Bodies2D

from tests import bodies
from tests.ros.harness import ROOT, Peer, Process, body, header
from vipe_core import skeletons
from vipe_core.geometry import Camera, project

EXAMPLES = ROOT / "examples"
MODEL = ROOT / "models" / "vipe.onnx"


def command(name: str, *words: object, space: str = "", **parameters: object) -> list[str]:
    """The command line of a script, in a namespace of its own."""
    given = [word for key, value in parameters.items() for word in ("-p", f"{key}:={value}")]
    renamed = ["-r", f"__ns:=/{space or name}"]
    script = str(EXAMPLES / f"{name}.py")
    return [sys.executable, script, *map(str, words), "--ros-args", *renamed, *given]


def example(peer: Peer, name: str, *words: object, **given: Any) -> Process:
    return peer.spawn(command(name, *words, **given))


def seen_from(joints: np.ndarray, degrees: float) -> np.ndarray:
    """(13, 2) pixels of a person (17, 3) in a camera that stands ``degrees`` to the side."""
    turn, middle = math.radians(degrees), joints.mean(axis=0)
    place = middle + 4 * np.array([math.sin(turn), 0.1, math.cos(turn)])
    camera = Camera.look_at(place, middle, np.array([0, 1, 0]), focal=600, size=(640, 480))
    return skeletons.convert(project(joints, camera), "joints17", "body13")


RAISED, OTHER = bodies.standing(), bodies.random_people(5, seed=1)[3]  # left arm up; another pose
FRONT, SIDE, ELSE = seen_from(RAISED, 0), seen_from(RAISED, 50), seen_from(OTHER, 0)


def robot(peer: Peer, space: str) -> Callable[..., None]:
    """A vipe_node that knows its camera; a function that shows it people (13, 2)."""
    words = ("-r", f"__ns:=/{space}")
    peer.start("vipe_node", *words, model=str(MODEL), input_reliability="reliable")
    intrinsics = [600.0, 0.0, 320.0, 0.0, 600.0, 240.0, 0.0, 0.0, 1.0]
    say_camera = peer.talk(CameraInfo, f"/{space}/camera_info")
    say_people = peer.talk(Bodies2D, f"/{space}/bodies_2d")
    headers = map(header, range(10**6))

    def show(*people: np.ndarray) -> None:
        now = next(headers)
        say_camera(CameraInfo(header=now, width=640, height=480, k=intrinsics))
        found = [body(points, str(i)) for i, points in enumerate(people, start=1)]
        say_people(Bodies2D(header=now, skeleton="body13", bodies=found))

    return show
