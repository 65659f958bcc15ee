"""What action_node has been taught, a folder and a file put together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.ros.classroom import squat, wave
from vipe_core import runtime
from vipe_core.actions import Example, examples_file
from vipe_core.errors import VipeError
from vipe_core.track import Track
from vipe_ros.taught import Taught, default_file


@pytest.fixture(scope="module")
def model(model_path: Path) -> runtime.Model:
    return runtime.load(model_path)


def example(model: runtime.Model, label: str, points: np.ndarray) -> Example:
    found = model(points)
    stamp = 1.7e9 + np.arange(len(points)) / 30
    return Example(label, Track(stamp, *found.embedding()), source="here")


def warned(line: str) -> None:
    raise AssertionError(line)


def test_what_is_known_stays_the_same_object(model: runtime.Model, tmp_path: Path) -> None:
    """A recogniser keeps what it learned about those only."""
    taught = Taught.load("", str(tmp_path / "e.npz"), model, warned)
    for label, points in (("wave", wave()), ("squat", squat()), ("slow", wave(60))):
        before = taught.examples.examples
        taught = taught.with_example(example(model, label, points))
        assert all(a is b for a, b in zip(before, taught.examples.examples, strict=False))
    wave_, _, slow = taught.examples.examples
    assert taught.without("squat", -1).examples.examples == (wave_, slow)


def test_what_others_teach_to_the_same_file_comes_along(
    model: runtime.Model, tmp_path: Path
) -> None:
    one, two = (Taught.load("", str(tmp_path / "e.npz"), model, warned) for _ in range(2))
    one.with_example(example(model, "wave", wave()))
    both = two.with_example(example(model, "squat", squat()))
    assert both.examples.labels == ("wave", "squat")


def test_number_means_what_was_listed(model: runtime.Model, tmp_path: Path) -> None:
    """Another process forgets the first example: number 0 is another one then."""
    file = str(tmp_path / "e.npz")
    one = Taught.load("", file, model, warned)
    for count in (30, 40, 50):
        one = one.with_example(example(model, "wave", wave(count)))
    other = Taught.load("", file, model, warned).without("wave", 0)
    for number in (0, 1, 2):
        with pytest.raises(VipeError, match=r"e\.npz was changed by somebody else"):
            one.without("wave", number)
    assert len(examples_file.read(file)) == 2
    again = one.read_again()
    assert again.examples.examples == one.examples.examples[1:]
    assert again.read_again().learned is again.learned
    left = again.without("wave", 0)
    assert left.examples.examples == one.examples.examples[2:]
    assert [len(e.track) for e in examples_file.read(file).examples] == [50]
    assert [len(e.track) for e in other.read_again().examples.examples] == [50]


def test_file_changed_between_look_and_lock(model: runtime.Model, tmp_path: Path) -> None:
    file = str(tmp_path / "e.npz")
    one = Taught.load("", file, model, warned)
    for count in (30, 40):
        one = one.with_example(example(model, "wave", wave(count)))
    damaged = Path(file).read_bytes()
    Path(file).write_bytes(damaged[:-70])  # whoever reads it is warned: a moment to change it

    def change(_: str) -> None:
        if Path(file).stat().st_size < len(damaged):
            examples_file.write(file, replace(one.examples, examples=()))

    late = replace(one, learned=examples_file.read(file, "", str), warn=change)
    with pytest.raises(VipeError, match="was changed by somebody else"):
        late.without("wave", 0)


def test_label_that_another_process_taught_is_forgotten(
    model: runtime.Model, tmp_path: Path
) -> None:
    one, two = (Taught.load("", str(tmp_path / "e.npz"), model, warned) for _ in range(2))
    one.with_example(example(model, "wave", wave()))
    assert not len(two.without("wave", -1).examples)


@pytest.mark.parametrize(
    ("home", "expected"),
    [("/robot", "/robot/vipe/examples.npz"), ("", "~/.ros/vipe/examples.npz")],
)
def test_where_no_file_is_named(monkeypatch: pytest.MonkeyPatch, home: str, expected: str) -> None:
    monkeypatch.setenv("ROS_HOME", home)
    assert default_file() == Path(expected).expanduser()
