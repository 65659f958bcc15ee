"""What action_node has been taught, a folder and a file put together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.ros.classroom import squat, wave
from vipe_core import runtime
from vipe_core.actions import Example
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


@pytest.mark.parametrize(
    ("home", "expected"),
    [("/robot", "/robot/vipe/examples.npz"), ("", "~/.ros/vipe/examples.npz")],
)
def test_where_no_file_is_named(monkeypatch: pytest.MonkeyPatch, home: str, expected: str) -> None:
    monkeypatch.setenv("ROS_HOME", home)
    assert default_file() == Path(expected).expanduser()
