"""examples/follow_person.py as a user runs it, and what every script says of mistakes."""

from __future__ import annotations

import math
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import Point, Pose, PoseWithCovariance, Twist
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from vipe_msgs.msg import Bodies3D, Body3D

from tests.ros.examples import FRONT, command, example, robot
from tests.ros.harness import LIMIT_S, Peer, Process, header


def at(x: float, z: float, std: float = 0.0, track_id: str = "1") -> Body3D:
    """A person whose hips are ``x`` metres to the right and ``z`` ahead of the camera."""
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = np.eye(3) * std**2
    pose = Pose(position=Point(x=float(x), y=0.2, z=float(z)))
    placed = PoseWithCovariance(pose=pose, covariance=covariance.ravel())
    return Body3D(track_id=track_id, placement="height", pose=placed)


def nowhere(track_id: str = "1") -> Body3D:
    """A person who is seen and not placed."""
    pose = Pose(position=Point(x=math.nan, y=math.nan, z=math.nan))
    unknown = PoseWithCovariance(pose=pose, covariance=np.full(36, math.nan))
    return Body3D(track_id=track_id, pose=unknown)


STRAIGHT_ON = (0.5, 0.0)  # forward, turn: what the person ``at(0, 5)`` gets


@dataclass
class Follower:
    """A follow_person that drives when it should."""

    peer: Peer
    process: Process
    name: str
    publish: Callable[[Bodies3D], None]
    twists: list[Twist]

    def see(self, *people: Body3D) -> None:
        self.publish(Bodies3D(header=header(0, "camera"), bodies=list(people)))

    def drive(self) -> int:
        """Straight on, behind person 1. How many speeds had come then."""

        def driving() -> bool:
            self.see(at(0, 5))
            return speeds(self.twists[-1:]) == [STRAIGHT_ON]

        self.peer.until(driving, "driving")
        return len(self.twists)

    def ask(self, *people: Body3D) -> tuple[float, float]:
        """Forward and turn, said of these people while driving straight on; never what the
        watchdog says when this machine takes too long."""
        for _ in range(10):
            count, lost = self.drive(), self.process.said("lost person")
            self.see(*people)
            answer = self.peer.until(lambda n=count: others(self.twists[n:]), "other speeds")[0]
            if self.process.said("lost person") == lost:
                return answer
        raise AssertionError("the watchdog was always faster")

    def set(self, name: str, value: float) -> None:
        parameter = Parameter(name=name, value=ParameterValue(type=3, double_value=value))
        request = SetParameters.Request(parameters=[parameter])
        (result,) = self.peer.call(SetParameters, f"{self.name}/set_parameters", request).results
        assert result.successful, result


def speeds(twists: list[Twist]) -> list[tuple[float, float]]:
    """Forward and turn; a base that only rolls is given nothing else."""
    for twist in twists:
        assert not any((twist.linear.y, twist.linear.z, twist.angular.x, twist.angular.y))
    return [(twist.linear.x, twist.angular.z) for twist in twists]


def others(twists: list[Twist]) -> list[tuple[float, float]]:
    return [speed for speed in speeds(twists) if speed != STRAIGHT_ON]


def follow(peer: Peer, space: str, **parameters: Any) -> Follower:
    twists = peer.listen(Twist, f"/{space}/cmd_vel")
    process = example(peer, "follow_person", space=space, **parameters)
    publish = peer.talk(Bodies3D, f"/{space}/bodies_3d")
    peer.until(lambda: twists, "speeds of nobody in view")
    assert set(speeds(twists)) == {(0, 0)}
    return Follower(peer, process, f"/{space}/follow_person", publish, twists)


@pytest.fixture(scope="module")
def follower(peer: Peer) -> Follower:
    return follow(peer, "follow", distance=1.5, turn_gain=1.5, forward_gain=0.8, max_std=1.0)


def test_turns_towards_the_person(follower: Follower) -> None:
    forward, turn = follower.ask(at(-0.4, 2))
    assert turn == pytest.approx(1.5 * math.atan2(0.4, 2))
    assert forward == pytest.approx(0.8 * (math.hypot(0.4, 2) - 1.5) * math.cos(math.atan2(0.4, 2)))
    assert follower.ask(at(0.4, 2)) == pytest.approx((forward, -turn))


def test_speeds_are_limited(follower: Follower) -> None:
    assert follower.ask(at(-9, 3)) == (pytest.approx(0.5), 1.0)
    assert follower.ask(at(9, 3)) == (pytest.approx(0.5), -1.0)


def test_near_person(follower: Follower) -> None:
    """It backs off only where it may drive without seeing."""
    assert follower.ask(at(0, 0.5)) == (0, 0)
    follower.set("max_backward", 0.2)
    assert follower.ask(at(0, 0.5)) == (-0.2, 0)
    follower.set("max_backward", 0.0)
    assert follower.ask(at(0, 1.5)) == (0, 0)


def test_uncertain_position_slows_it_down(follower: Follower) -> None:
    certain = np.array(follower.ask(at(-1, 2)))
    for std in (0.25, 0.5):
        assert follower.ask(at(-1, 2, std)) == pytest.approx(certain * (1 - std))
    assert follower.ask(at(-1, 2, 1.1)) == (0, 0)
    assert follower.ask(at(-1, 2, 7.0)) == (0, 0)


def test_uncertain_range_slows_no_turn(follower: Follower) -> None:
    """One camera knows the bearing better than the range."""
    forward, turn = follower.ask(at(-1, 2))
    person, sight = at(-1, 2), np.array([-1, 0, 2]) / math.sqrt(5)
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = 0.5**2 * np.outer(sight, sight)
    person.pose.covariance = covariance.ravel()
    assert follower.ask(person) == pytest.approx((0.5 * forward, turn), abs=1e-6)


@pytest.mark.parametrize("where", [nowhere(), at(-1, -2), at(-1, math.inf), at(-1, 2, math.nan)])
def test_stops_at_once_for_who_is_not_placed(follower: Follower, where: Body3D) -> None:
    assert follower.ask(where) == (0, 0)


def test_stops_when_messages_stop(follower: Follower) -> None:
    count, lost = follower.drive(), follower.process.said("lost person 1")
    follower.peer.until(lambda: others(follower.twists[count:]), "a stop")
    assert follower.process.said("lost person 1") == lost + 1
    assert others(follower.twists[count:])[0] == (0, 0)


def test_stays_with_the_nearest(follower: Follower) -> None:
    """Until lost; then it takes the next one, and never whom it is not told to follow."""
    peer, said = follower.peer, follower.process.said

    def shown(people: list[Body3D], line: str, times: int = 1) -> None:
        peer.until(lambda: follower.see(*people) or said(line) >= times, line)

    def turns(angle: float, *people: Body3D) -> None:
        count = len(follower.twists)
        follower.see(*people)
        wanted = pytest.approx(1.5 * angle)
        peer.until(lambda: wanted in [t for _, t in speeds(follower.twists[count:])], "this turn")

    left, right = at(-1, 3, track_id="L"), at(1, 2, track_id="R")
    follower.drive()
    shown([nowhere("N"), left, right], "following person R")
    turns(math.atan2(-0.5, 2), at(-0.5, 1, track_id="L"), at(0.5, 2, track_id="R"))
    shown([left], "lost person R")
    shown([left], "following person L")
    turns(math.atan2(0.5, 3), at(-0.5, 3, track_id="L"), at(0.5, 1, track_id="R"))
    peer.set_text(follower.name, "track_id", "R")
    shown([left, right], "following person R", times=2)
    shown([left], "lost person R", times=2)
    assert said("following person L") == 1
    peer.set_text(follower.name, "track_id", "")
    shown([left], "following person L", times=2)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_stands_still_at_its_end(peer: Peer, kind: signal.Signals) -> None:
    follower = follow(peer, f"end_{kind.name}", track_id=1)
    count = follower.drive()
    assert follower.process.stop(kind) == 0
    peer.until(lambda: others(follower.twists[count:]), "a last stop")
    assert speeds(follower.twists)[-1] == (0, 0)
    assert "Traceback" not in follower.process.output


def test_person_to_the_left_of_the_image_turns_the_robot_left(peer: Peer) -> None:
    """keypoints -> vipe_node -> follow_person."""
    show, follower = robot(peer, "robot"), follow(peer, "robot")

    def turns(shift: float, sign: int) -> bool:
        show(np.add(FRONT, (shift, 0)))
        forward, turn = speeds(follower.twists)[-1]
        return forward > 0.2 and turn * sign > 0.1

    peer.until(lambda: turns(-200, 1), "a turn to the left")
    peer.until(lambda: turns(200, -1), "a turn to the right")


MISTAKES = (
    ("'distance' to '2' of type 'INTEGER'", "follow_person", (), {"distance": "2"}),
    ("max_turn out of range", "follow_person", (), {"max_turn": "9.0"}),
    ("give the action to react to", "react_to_action", (), {}),
    ("none.npz: No such file", "compare_with_stored_pose", ("--with", "none.npz"), {}),
    ("arguments --store --with is required", "compare_with_stored_pose", (), {}),
    ("cannot write /: Is a directory", "subscribe_embeddings", ("--save", "/"), {}),
)


def test_mistakes_are_said_in_one_line(peer: Peer) -> None:
    started = [  # all at once: most of their time is imports
        subprocess.Popen(
            command(name, *words, **parameters), env=os.environ | peer.environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _, name, words, parameters in MISTAKES
    ]  # fmt: skip
    for (error, name, *_), process in zip(MISTAKES, started, strict=True):
        said, complaint = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 2
        assert said == ""
        assert complaint.splitlines()[-1].startswith(name)
        assert error in complaint.splitlines()[-1]
        assert "Traceback" not in complaint
