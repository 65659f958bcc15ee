"""action_node is taught while it runs: a real process, services across processes, a real disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from vipe_msgs.srv import Forget, Teach

from tests.model_factory import make_model
from tests.ros.classroom import NODE, Classroom, segments, squat, still, wave
from tests.ros.harness import Peer, check_services, check_topics, standing
from vipe_core import keypoint_file
from vipe_core.actions import examples_file
from vipe_core.keypoint_file import KeypointFile

RECORD, START, STOP, CANCEL = (
    Teach.Request.RECORD,
    Teach.Request.START,
    Teach.Request.STOP,
    Teach.Request.CANCEL,
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("taught") / "folder" / "examples.npz"


@pytest.fixture(scope="module")
def room(peer: Peer, model_path: Path, file: Path) -> Classroom:
    return Classroom(peer, model_path, examples_file=str(file))


def test_knows_nothing_at_first(room: Classroom, file: Path) -> None:
    (said,) = room.show(still())
    assert {(a.label, a.under_way, a.progress) for a in said} == {("unknown", "", 0.0)}
    assert [list(a.labels) for a in said] == [["unknown"]] * len(said)
    listing = room.listing()
    assert listing.success
    assert not listing.labels
    assert (listing.fingerprint, listing.file) == (room.model.fingerprint, str(file))
    assert not file.exists()
    check_topics(room.peer, "action_node", but=("/bodies_2d/tracked",))
    check_services(room.peer, "action_node")


def test_start_and_stop(room: Classroom) -> None:
    answer = room.learn("wave", wave())
    assert answer.success, answer.message
    assert "learned 'wave'" in answer.message
    assert answer.examples == 1
    assert answer.duration == pytest.approx(29 / 30, abs=1e-4)
    assert not room.looks()
    (said,) = room.show(np.concatenate([still(20), wave(), still(20), squat(), still()]))
    assert segments(said) == ["wave"]
    under_way = [action.progress for action in said if action.under_way == "wave"]
    assert max(under_way) > 0.8
    status = room.peer.status(NODE, lambda s: s.values["examples"] == "1")
    assert status.values["labels"] == "wave"


def test_record_answers_when_it_is_learned(room: Classroom) -> None:
    answer = room.teach(RECORD, label="stand", seconds=0.5)
    assert answer.success, answer.message
    assert answer.duration == pytest.approx(0.5, abs=0.04)
    assert answer.examples == 1


def test_one_more_example(room: Classroom) -> None:
    answer = room.learn("wave", wave(40), another=True)
    assert answer.success, answer.message
    assert answer.examples == 2
    listing = room.listing()
    assert list(listing.labels) == ["wave", "stand", "wave"]
    assert all(source.startswith("/action_node 20") for source in listing.sources)
    assert len(listing.thresholds) == 3
    assert all(threshold > 0 for threshold in listing.thresholds)
    assert all(duration > 0.4 for duration in listing.durations)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"command": RECORD, "label": "wave", "seconds": 1.0}, "'wave' is taught already"),
        ({"command": START, "label": "wave"}, "set `another` to add one more"),
        ({"command": RECORD, "label": "", "seconds": 1.0}, "label '' cannot be taught"),
        ({"command": START, "label": "unknown"}, "label 'unknown' cannot be taught"),
        ({"command": RECORD, "label": "hop", "seconds": 0.2}, "0.3 to 120 are needed"),
        ({"command": RECORD, "label": "hop", "seconds": float("nan")}, "0.3 to 120 are needed"),
        ({"command": RECORD, "label": "hop", "seconds": 1.0, "track_id": "x"}, "but 1"),
        ({"command": START, "label": "hop", "track_id": "x"}, "person x is not in view, but 1"),
        ({"command": STOP}, "no lesson is running"),
        ({"command": CANCEL}, "no lesson is running"),
        ({"command": 9}, "there is no command 9"),
    ],
)
def test_requests_that_are_refused(room: Classroom, request_: dict[str, Any], words: str) -> None:
    answer = room.teach(**request_)
    assert not answer.success
    assert words in answer.message
    assert "\n" not in answer.message
    assert not room.looks()


@pytest.mark.parametrize("command", [RECORD, START])
def test_several_people_and_nobody_named(room: Classroom, command: int) -> None:
    two = standing(), standing(shift=200)
    answer = room.teach(command, *two, ids="AB", label="hop", seconds=1.0)
    assert not answer.success
    assert "2 people are in view" in answer.message
    assert "A, B" in answer.message


def test_one_of_two_people_is_taught(room: Classroom) -> None:
    start = {"label": "squat", "track_id": "B"}
    two = standing(), standing(shift=200)
    assert room.teach(START, *two, ids="AB", **start).success
    room.show(wave(), squat() + np.array([200, 0]), ids="AB")
    assert room.teach(STOP, *two, ids="AB").success
    (said,) = room.show(np.concatenate([still(20), squat(), still()]))
    assert set(segments(said)) == {"stand", "squat"}


def test_nobody_in_view(room: Classroom) -> None:
    room.image()
    room.heard_last()
    answer = room.ask(Teach, "teach", Teach.Request(label="hop", seconds=1.0))
    assert (answer.success, answer.message) == (False, "nobody is in view")
    # A lesson without an end may begin with an empty stage.
    assert room.ask(Teach, "teach", Teach.Request(command=START, label="hop")).success
    room.image()
    room.heard_last()
    answer = room.ask(Teach, "teach", Teach.Request(command=STOP))
    assert not answer.success
    assert "nobody in view" in answer.message


def test_too_short(room: Classroom) -> None:
    assert room.ask(Teach, "teach", Teach.Request(command=START, label="hop")).success
    room.show(still(5))
    answer = room.ask(Teach, "teach", Teach.Request(command=STOP))
    assert not answer.success
    assert "at least 0.3 s needed" in answer.message


def test_one_lesson_at_a_time(room: Classroom) -> None:
    recording = room.record(60.0, label="hop")
    for command in (START, RECORD):
        answer = room.teach(command, label="jump", seconds=1.0)
        assert not answer.success
        assert "a lesson of 'hop' is running" in answer.message
    answer = room.teach(STOP)
    assert not answer.success
    assert "RECORD ends by itself" in answer.message
    assert room.teach(CANCEL).success
    room.peer.until(recording.done, "answer of the lesson")
    assert not recording.result().success
    assert "cancelled" in recording.result().message


def test_lessons_without_keypoints(room: Classroom, file: Path) -> None:
    """Nobody sends any: images still wait for theirs when a lesson ends, and are not of the next
    one."""
    for label in ("a", "b", "c"):
        request = Teach.Request(command=RECORD, label=label, seconds=0.5)
        room.index += 300  # ten seconds later
        start_s = 1000 + room.index / 30
        room.embeddings_only(standing())
        room.heard_last()
        _, future = room.begin(Teach, "teach", request)
        room.peer.until(lambda f=future: room.embeddings_only(standing()) or f.done(), "answer")
        assert future.result().success, future.result().message
        (kept,) = examples_file.read(file).of(label)
        assert kept.track.stamp[0] > start_s
        assert room.ask(Forget, "forget", Forget.Request(label=label)).success


def test_images_that_stop(room: Classroom) -> None:
    recording = room.record(60.0, label="hop")
    room.peer.until(recording.done, "answer of the lesson")
    assert not recording.result().success
    assert "no image from" in recording.result().message


def test_pause_in_the_middle_of_a_lesson(room: Classroom) -> None:
    recording = room.record(60.0, label="hop")
    assert room.peer.change_state(NODE, Transition.TRANSITION_DEACTIVATE)
    room.peer.until(recording.done, "answer of the lesson")
    assert not recording.result().success
    assert "deactivated" in recording.result().message
    answer = room.peer.call(Teach, f"{NODE}/teach", Teach.Request(label="hop", seconds=1.0))
    assert not answer.success
    assert "action_node is inactive: activate it first" in answer.message
    assert room.peer.change_state(NODE, Transition.TRANSITION_ACTIVATE)
    room.peer.until(room.answers, "an answer after the pause")


def test_forget(room: Classroom) -> None:
    def forget(label: str, example: int = -1) -> Any:
        return room.ask(Forget, "forget", Forget.Request(label=label, example=example))

    refused = forget("hop")
    assert not refused.success
    assert "'hop' was never taught; taught: wave, stand, squat" in refused.message
    refused = forget("wave", 2)
    assert not refused.success
    assert "no number 2" in refused.message
    left = forget("wave", 0)
    assert (left.success, left.examples) == (True, 1)
    assert list(room.listing().labels) == ["stand", "wave", "squat"]
    assert forget("stand").success
    assert list(room.listing().labels) == ["wave", "squat"]


def test_what_others_do_to_the_file_is_heard(room: Classroom, file: Path) -> None:
    start = examples_file.read(file)
    another = replace(start.of("squat")[0], label="sit")
    examples_file.write(file, replace(start, examples=(another, *start.examples)))
    refused = room.ask(Forget, "forget", Forget.Request(label="squat", example=0))
    assert not refused.success
    assert "changed by somebody else" in refused.message
    assert list(room.listing().labels) == ["sit", "wave", "squat"]
    answer = room.ask(Forget, "forget", Forget.Request(label="sit", example=0))
    assert (answer.success, answer.examples) == (True, 0)
    assert examples_file.read(file).labels == start.labels


def test_what_is_taught_survives(room: Classroom) -> None:
    before = room.listing()
    room.restart()
    after = room.listing()
    assert (after.labels, after.sources) == (before.labels, before.sources)
    np.testing.assert_allclose(after.thresholds, before.thresholds, rtol=1e-5)
    (said,) = room.show(np.concatenate([still(20), wave(40), still()]))
    assert segments(said) == ["wave"]


def test_keypoints_are_kept_for_another_model(room: Classroom, file: Path) -> None:
    taught = examples_file.read(file)
    for example in taught.examples:
        assert example.keypoints is not None
        assert example.keypoints.skeleton == "body13"
    wave_ = taught.of("wave")[0]
    np.testing.assert_allclose(wave_.keypoints.points, wave(40), atol=1e-4)
    np.testing.assert_allclose(room.model(wave(40)).mean, wave_.track.mean, atol=1e-4)


def test_file_that_was_cut(room: Classroom, file: Path) -> None:
    known = list(room.listing().labels)
    assert room.learn("hop", squat() + wave() - still(30)).success  # what was before is kept
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert room.reconfigured()
    assert list(room.listing().labels) == known
    said = [line for line in room.process.output.splitlines() if "damaged examples" in line]
    assert len(said) == 1
    assert str(file) in said[0]
    room.peer.status(NODE, lambda s: s.count("errors: damaged examples file") == 1)


def test_file_of_another_model(room: Classroom, file: Path, tmp_path: Path) -> None:
    other = make_model(tmp_path / "other.onnx", mirror=True, name="other")
    assert not room.reconfigured(model=other)
    status = room.peer.status(NODE, lambda s: s.level == b"\x02")
    assert f"vipe teach {file} --embed-again" in status.message
    assert room.model.fingerprint in status.message
    assert room.peer.state(NODE) == "unconfigured"
    assert room.reconfigured(model=room.model.path)


def test_place_that_cannot_be_written(room: Classroom, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert room.reconfigured(examples_file=tmp_path / "file" / "e.npz")
    answer = room.learn("wave", wave())
    assert not answer.success
    assert "e.npz" in answer.message
    assert not room.listing().labels


def test_folder_stays_as_it_is(room: Classroom, tmp_path: Path) -> None:
    points = wave()
    content = KeypointFile(points, np.ones(points.shape[:2]), "body13", fps=30, label="wave")
    keypoint_file.write(tmp_path / "wave.npz", content)
    assert room.reconfigured(examples_dir=tmp_path, examples_file="")
    assert list(room.listing().labels) == ["wave"]
    assert not room.teach(START, label="wave").success
    assert room.learn("wave", wave(40), another=True).success
    assert room.learn("squat", squat()).success
    answer = room.ask(Forget, "forget", Forget.Request(label="wave"))
    assert not answer.success
    assert "examples_dir" in answer.message
    answer = room.ask(Forget, "forget", Forget.Request(label="wave", example=1))
    assert (answer.success, answer.examples) == (True, 1)
    assert list(room.listing().labels) == ["wave", "squat"]
    kept = room.peer.folder / "ros_home" / "vipe" / "examples.npz"  # where none is named
    assert examples_file.read(kept).labels == ("squat",)
    assert list(tmp_path.iterdir()) == [tmp_path / "wave.npz"]


def test_told_to_stop_in_the_middle_of_a_lesson(room: Classroom) -> None:
    before = room.process.output
    recording = room.record(60.0, label="hop")
    assert room.process.stop() == 0
    assert not recording.done()
    assert room.process.output == before
