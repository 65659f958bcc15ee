"""action_node follows a person along a reference: a taught action, or a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from vipe_msgs.msg import Following
from vipe_msgs.srv import Follow

from tests.ros.classroom import NODE, Classroom, squat, still, wave
from tests.ros.examples import MODEL, seen_from
from tests.ros.harness import Peer, header, standing
from tests.ros.test_examples_teach import arm_raised
from vipe_core import keypoint_file
from vipe_core.keypoint_file import KeypointFile


def side(joints: np.ndarray) -> np.ndarray:
    """(T, 13, 2) pixels of 3D joints from a camera that stands aside."""
    return np.stack([seen_from(frame, 60) for frame in joints])


def front(joints: np.ndarray) -> np.ndarray:
    """The same from the front."""
    return np.stack([seen_from(frame, 0) for frame in joints])


@pytest.fixture(scope="module")
def said(peer: Peer) -> list[Following]:
    return peer.listen(Following, "following")


@pytest.fixture(scope="module")
def room(peer: Peer, said: list[Following]) -> Classroom:
    room = Classroom(peer, MODEL)
    answer = room.learn("raise", front(arm_raised(60)))
    assert answer.success, answer.message
    return room


def follow(room: Classroom, *poses: np.ndarray, ids: str = "1", **request: Any) -> Any:
    """The answer, while these people are in view."""
    room.image(*poses, ids=ids)
    room.heard_last()
    return room.ask(Follow, "follow", Follow.Request(**request))


def test_along_a_taught_action(room: Classroom, said: list[Following]) -> None:
    """Seen from another side, at two thirds of the speed."""
    points = side(arm_raised(90))
    answer = follow(room, points[0], reference="raise")
    assert answer.success, answer.message
    assert answer.duration == pytest.approx(59 / 30, abs=1e-3)
    first = room.index + 1
    room.show(np.concatenate([points, points[-1:].repeat(20, axis=0)]))
    room.peer.until(lambda: said and said[-1].finished, "the end of the reference")
    assert [m.header for m in said] == [header(first + i) for i in range(len(said))]
    assert {(m.track_id, m.reference) for m in said} == {("1", "raise")}
    assert [m.finished for m in said] == [False] * (len(said) - 1) + [True]
    middle = said[45]
    assert middle.progress == pytest.approx(0.5, abs=0.2)
    assert middle.reference_time == pytest.approx(middle.progress * answer.duration, abs=0.01)
    assert middle.speed == pytest.approx(2 / 3, abs=0.35)
    assert 70 < len(said) < 110
    count = len(said)
    room.show(points[:5])
    assert len(said) == count  # nothing follows the end


def test_along_a_recording(room: Classroom, said: list[Following], tmp_path: Path) -> None:
    points = front(arm_raised(45))
    content = KeypointFile(points, np.ones(points.shape[:2]), "body13", fps=30)
    keypoint_file.write(tmp_path / "raise.npz", content)
    said.clear()
    answer = follow(room, points[0], reference=str(tmp_path / "raise.npz"))
    assert answer.success, answer.message
    room.show(np.concatenate([points, points[-1:].repeat(20, axis=0)]))
    room.peer.until(lambda: said and said[-1].finished, "the end of the reference")
    assert said[0].reference == str(tmp_path / "raise.npz")


def test_one_of_two_until_told_to_stop(room: Classroom, said: list[Following]) -> None:
    two = standing(), standing(shift=200)
    refused = follow(room, *two, ids="AB", reference="raise")
    assert not refused.success
    assert "track_id is one of A, B" in refused.message
    said.clear()
    assert follow(room, *two, ids="AB", reference="raise", track_id="B").success
    room.show(still(), still() + np.array([200, 0]), ids="AB")
    room.peer.until(lambda: len(said) == 15, "words about B")
    assert {m.track_id for m in said} == {"B"}
    assert follow(room, reference="").success
    room.show(still(), still() + np.array([200, 0]), ids="AB")
    assert len(said) == 15
    status = room.peer.status(NODE, lambda s: s.values["following"] == "nobody")
    assert "latency follow p99 (ms)" in status.values


def test_person_who_leaves(room: Classroom, said: list[Following]) -> None:
    assert follow(room, standing(), reference="raise").success
    room.show(wave(), ids="9")  # somebody else, for longer than a person may be unseen
    room.peer.until(
        lambda: room.process.said("follows person 1 no more: out of view"), "word in the log"
    )
    said.clear()
    room.show(squat())
    assert not said


@pytest.mark.parametrize(
    ("poses", "reference", "words"),
    [
        ((), "raise", "nobody is in view"),
        ((standing(),), "hop", "'hop' is neither taught (taught: raise) nor a recording"),
        ((standing(),), "/dev/null", "/dev/null"),
    ],
)
def test_requests_that_are_refused(
    room: Classroom, poses: tuple, reference: str, words: str
) -> None:
    answer = follow(room, *poses, reference=reference)
    assert not answer.success
    assert words in answer.message
    assert "\n" not in answer.message


@pytest.mark.parametrize(
    "wrong", [{"reference": "hop"}, {"reference": "/dev/null"}, {"reference": "raise", "id": "x"}]
)
def test_wrong_request_changes_nothing(
    room: Classroom, said: list[Following], wrong: dict[str, str]
) -> None:
    assert follow(room, standing(), reference="raise").success
    request = {"reference": wrong["reference"], "track_id": wrong.get("id", "")}
    assert not follow(room, standing(), **request).success
    said.clear()
    room.show(still(5))
    room.peer.until(lambda: len(said) == 5, "words about who is followed still")
    assert {m.reference for m in said} == {"raise"}


def test_pause(room: Classroom, said: list[Following]) -> None:
    assert follow(room, standing(), reference="raise").success
    assert room.peer.change_state(NODE, Transition.TRANSITION_DEACTIVATE)
    assert room.peer.change_state(NODE, Transition.TRANSITION_ACTIVATE)
    room.peer.until(room.answers, "an answer after the pause")
    said.clear()
    room.show(still())
    assert not said
