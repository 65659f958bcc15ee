"""examples/teach_a_gesture.py with the running nodes: one camera sees it taught, another done."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from vipe_msgs.msg import Actions, Bodies2D, Embeddings

from tests import bodies
from tests.ros.classroom import embedded
from tests.ros.examples import MODEL, command, example
from tests.ros.harness import Peer, Process, body
from vipe_core import runtime, skeletons
from vipe_core.actions import examples_file
from vipe_core.geometry import Camera, project
from vipe_core.skeletons import JOINTS17

SPACE, SIZE = "school", (960, 720)
LOSSLESS = {"input_reliability": "reliable", "input_depth": 1000, "output_depth": 1000}


@dataclass(frozen=True)
class Play:
    """3D motion (T, 17, 3) in metres at ``fps``: what is taught, and what is seen afterwards,
    where the frames ``first`` to ``last`` of ``later`` are the same gesture, performed anew.
    ``view`` and ``other_view``: where the cameras stand, in degrees around the person."""

    fps: float
    taught: np.ndarray
    later: np.ndarray
    first: int
    last: int
    view: float
    other_view: float


def arm_raised(count: int) -> np.ndarray:
    """The left arm goes from hanging down to overhead and back."""
    angle = np.radians(-80 + 150 * np.sin(np.linspace(0, np.pi, count)))
    along = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    out = np.repeat(bodies.standing()[None], count, axis=0)
    for joint, length in (("left_elbow", 0.28), ("left_wrist", 0.53)):
        shoulder = out[:, JOINTS17.joints.index("left_shoulder")]
        out[:, JOINTS17.joints.index(joint)] = shoulder + length * along
    return out


def bow(count: int) -> np.ndarray:
    """All above the hips leans forward and comes back."""
    out = np.repeat(arm_raised(2)[:1], count, axis=0)
    angle = 0.5 * (1 - np.cos(np.linspace(0, 2 * np.pi, count)))
    legs = ("pelvis", "hip", "knee", "ankle")
    for joint, name in enumerate(JOINTS17.joints):
        if not name.endswith(legs):
            x, y, z = out[0, joint] - out[0, 0]
            turned = y * np.cos(angle) - z * np.sin(angle), y * np.sin(angle) + z * np.cos(angle)
            out[:, joint] = out[0, 0] + np.stack([np.full(count, x), *turned], axis=1)
    return out


def made_up() -> Play:
    still = arm_raised(2)[:1].repeat(10, axis=0)
    later = np.concatenate([bow(60), still, arm_raised(40), still, bow(50)])
    return Play(30.0, arm_raised(36), later, 70, 109, view=0, other_view=100)


def motion_capture() -> Play:
    """A roundhouse kick; later the next one of the same clip, after some climbing of a ladder and
    before some window washing."""
    path = Path(os.environ.get("VIPE_DATA", "nowhere")) / "mocap" / "cmu_mocap_test.npz"
    if not path.exists():
        pytest.skip("VIPE_DATA does not name the motion files")
    with np.load(path) as file:
        trials, starts = list(file["trial"]), file["clip_start"]
        joints = file["pose"].astype(np.float32) + file["pelvis"][:, None]
    clip = {trial: joints[starts[c] : starts[c + 1]] for c, trial in enumerate(trials)}
    kicks, ladder, windows = clip["135_07"], clip["14_33"], clip["14_12"]
    later = np.concatenate([ladder[60:140], kicks[110:200], windows[:80]])
    return Play(24.0, kicks[12:40], later, 80 + 32, 80 + 58, view=60, other_view=270)


def seen(joints: np.ndarray, degrees: float) -> np.ndarray:
    """(T, 13, 2) pixels in a camera that stands there and looks at the middle of it all."""
    turn, middle = np.radians(degrees), joints.reshape(-1, 3).mean(axis=0)
    place = middle + 4.5 * np.array([np.sin(turn), 0.15, np.cos(turn)])
    camera = Camera.look_at(place, middle, np.array([0, 1, 0]), focal=800, size=SIZE)
    return skeletons.convert(project(joints, camera), "joints17", "body13")


class Stage:
    """Keypoints for the nodes, with stamps of their own."""

    def __init__(self, peer: Peer) -> None:
        self.peer, self.now = peer, 1000.0
        self.actions: list[Actions] = peer.listen(Actions, f"{SPACE}/actions")
        self._publish = peer.talk(Bodies2D, f"{SPACE}/bodies_2d")

    def show(self, points: np.ndarray, step: float) -> float:
        """One image, ``step`` seconds after the one before; its stamp."""
        self.now += step
        message = Bodies2D(skeleton="body13", bodies=[body(points)])
        message.header.stamp = _time(self.now)
        self._publish(message)
        return self.now

    def play(self, points: np.ndarray, fps: float) -> list[float]:
        """Image after image, each when the answer to the one before has come; their stamps."""
        stamps = []
        for frame in points:
            stamps.append(self.show(frame, 1 / fps))
            stamp = _time(stamps[-1])
            self.peer.until(
                lambda stamp=stamp: self.actions and self.actions[-1].header.stamp == stamp,
                "actions",
            )
        return stamps


def _time(stamp_s: float) -> Time:
    whole, part = divmod(round(stamp_s * 1e9), 10**9)
    return Time(sec=whole, nanosec=part)


def _seconds(stamp: Time) -> float:
    return stamp.sec + 1e-9 * stamp.nanosec


@pytest.fixture(scope="module")
def stage(peer: Peer) -> Stage:
    words = ("-r", f"__ns:=/{SPACE}")
    peer.start("vipe_node", *words, model=str(MODEL), **LOSSLESS)
    peer.start("action_node", *words, model=str(MODEL), **LOSSLESS)
    stage = Stage(peer)
    peer.until(lambda: peer.node.count_publishers(f"/{SPACE}/actions"), "action_node")
    points = seen(bodies.standing()[None], 0)[0]
    peer.until(lambda: stage.show(points, 0.01) and stage.actions, "the nodes' first answer")
    return stage


def lesson_runs(stage: Stage) -> bool:
    return stage.peer.node.count_subscribers(f"/{SPACE}/bodies_2d/tracked") > 0


def taught(stage: Stage, play: Play, label: str) -> Process:
    """The script, once it has taught what the first camera saw."""
    points, seconds = seen(play.taught, play.view), (len(play.taught) - 1) / play.fps
    words = (label, "--seconds", round(seconds, 3), "--count-down", 0)
    script = example(stage.peer, "teach_a_gesture", *words, space=SPACE)
    # Somebody stands there until it begins, for next to no time by the images' stamps.
    stage.peer.until(
        lambda: stage.show(points[0], 0.001) and lesson_runs(stage), "lesson of the script"
    )
    stage.play(points, play.fps)
    stage.peer.until(
        lambda: stage.show(points[-1], 1 / play.fps) and script.said("waiting for"), "end of lesson"
    )
    assert script.said(f"learned {label!r}") == 1
    return script


@pytest.mark.parametrize("made", [made_up, motion_capture])
def test_taught_from_one_side_found_from_another(stage: Stage, made: Callable[[], Play]) -> None:
    play, label = made(), made.__name__
    script = taught(stage, play, label)
    file = stage.peer.folder / "ros_home" / "vipe" / "examples.npz"
    (kept,) = examples_file.read(file).of(label)
    assert kept.track.duration == pytest.approx((len(play.taught) - 1) / play.fps, abs=0.15)
    assert kept.keypoints is not None  # vipe_node was asked for them

    stage.now += 10  # somebody else, a while later
    stamps = stage.play(seen(play.later, play.other_view), play.fps)
    first, last = stamps[play.first], stamps[play.last]
    said = [m for m in stage.actions if _seconds(m.header.stamp) > stamps[0] - 1e-3]
    assert [len(message.actions) for message in said] == [1] * len(stamps)
    found = [m for m in said if m.actions[0].label != "unknown"]
    assert found
    for message in found:  # and unknown all the time before and after
        assert message.actions[0].label == label
        assert first < _seconds(message.header.stamp) < last + 0.6
    # It is told of before it has quite ended; at its best, start and end are those that were.
    best = max((message.actions[0] for message in found), key=lambda action: action.probability)
    assert _seconds(best.start) == pytest.approx(first, abs=0.35)
    assert _seconds(best.end) == pytest.approx(last, abs=0.35)

    stage.peer.until(lambda: script.said(f"{label} by person"), "word of the script")
    assert script.said(f"{label} by person") == 1
    told = re.search(r"from ([\d.]+) to ([\d.]+) s", script.output)
    assert told
    assert float(told[1]) == pytest.approx(first, abs=0.35)
    assert first < float(told[2]) < last + 0.35
    assert script.stop() == 0


def test_what_is_known_is_not_taught_again(stage: Stage) -> None:
    play = made_up()
    assert taught(stage, play, "again").stop() == 0
    script = example(stage.peer, "teach_a_gesture", "again", space=SPACE)
    stage.peer.until(lambda: script.said("is known already"), "word of the script")
    assert not script.said("now!")
    assert script.stop() == 0


def test_what_goes_wrong(peer: Peer) -> None:
    words = ("wave", "--patience", 0.2, "--node", "nobody")
    script = peer.spawn(command("teach_a_gesture", *words, space=SPACE))
    assert script.wait() == 2
    said = f"teach_a_gesture: no service /{SPACE}/nobody/list: is action_node running?\n"
    assert script.output == said
    peer.processes.remove(script)  # its status is not 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("wave", "--seconds", "-1"), "argument --seconds: -1: 0.3 to 120 are needed"),
        (("wave", "--seconds", "nan"), "argument --seconds: nan: 0.3 to 120 are needed"),
        (("wave", "--seconds", "200"), "argument --seconds: 200: 0.3 to 120 are needed"),
        (("wave", "--seconds", "long"), "argument --seconds: invalid duration value: 'long'"),
        (("",), "argument label: label '' cannot be taught"),
    ],
)
def test_options_that_are_refused(peer: Peer, words: tuple[str, ...], said: str) -> None:
    script = peer.spawn(command("teach_a_gesture", *words, space=SPACE))
    assert script.wait() == 2
    assert script.output.splitlines()[-1] == f"teach_a_gesture.py: error: {said}"
    assert not script.said("...")
    peer.processes.remove(script)  # its status is not 0


def test_action_node_that_dies_in_the_middle(fresh_peer: Peer) -> None:
    node = fresh_peer.start("action_node", "-r", f"__ns:=/{SPACE}", model=str(MODEL))
    show = fresh_peer.talk(Embeddings, f"{SPACE}/embeddings")
    words = ("wave", "--seconds", 1, "--count-down", 0, "--patience", 2)
    script = example(fresh_peer, "teach_a_gesture", *words, space=SPACE)
    somebody, model = bodies_seen(), runtime.load(MODEL)
    numbers = iter(range(1, 10**6))

    def lesson() -> int:
        show(embedded(model, next(numbers) // 30, somebody))
        return fresh_peer.node.count_subscribers(f"/{SPACE}/bodies_2d/tracked")

    fresh_peer.until(lesson, "a lesson")
    node.process.kill()
    node.process.wait()
    assert script.wait() == 1
    assert script.output.splitlines()[-1].startswith("teach_a_gesture: no answer of action_node")
    for ended in (node, script):
        fresh_peer.processes.remove(ended)  # their status is not 0


def bodies_seen() -> np.ndarray:
    return seen(bodies.standing()[None], 0)[0]


def test_refused(stage: Stage) -> None:
    words = ("nod", "--count-down", 0, "--track-id", "x")
    script = stage.peer.spawn(command("teach_a_gesture", *words, space=SPACE))
    points = seen(bodies.standing()[None], 0)[0]
    stage.peer.until(lambda: stage.show(points, 0.01) and script.process.poll() is not None, "end")
    assert script.wait() == 2
    assert script.output.splitlines()[-1].startswith("teach_a_gesture: person x is not in view")
    stage.peer.processes.remove(script)  # its status is not 0
