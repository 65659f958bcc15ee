"""Windows of frames out of a stream of moments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.model_factory import make_model
from vipe_core import runtime
from vipe_core.bodies import Bodies2D, Estimates
from vipe_core.estimate import estimate
from vipe_core.recordings import Moment
from vipe_core.recordings.windowed import Still, in_windows
from vipe_core.runtime import Model

COUNT = 80


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return runtime.load(make_model(tmp_path_factory.mktemp("m") / "m.onnx", frames=7))


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    """(T, 3, 13, 2): three people, the second and third now and then away."""
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 500, (COUNT, 3, 13, 2)).astype(np.float32)
    points[20:30, 1] = np.nan
    points[rng.random(COUNT) < 0.4, 2] = np.nan
    return points


@pytest.fixture(scope="module")
def stamps() -> np.ndarray:
    """(T,) seconds, with small steps and a long pause."""
    steps = np.random.default_rng(1).uniform(0.005, 0.2, COUNT)
    steps[50] = 3.0
    return np.cumsum(steps)


def stream(points: np.ndarray, stamps: np.ndarray) -> Iterator[Moment]:
    for people, stamp_s in zip(points, stamps, strict=True):
        there = np.isfinite(people).all(axis=(1, 2))
        names = tuple(f"p{i}" for i in np.flatnonzero(there))
        yield Moment(float(stamp_s), names, Estimates(), Bodies2D.from_arrays(people[there]))


def test_windows_are_those_of_the_whole_clip(
    model: Model, points: np.ndarray, stamps: np.ndarray
) -> None:
    visibility = np.isfinite(points[..., 0]).astype(np.float32)
    expected, missing = estimate(model, points, visibility, "body13", stamps=stamps)
    found = list(in_windows(stream(points, stamps), model))
    assert [moment.stamp_s for moment in found] == stamps.tolist()
    for frame, moment in enumerate(found):
        there = ~missing[frame]
        for head in ("mean", "variance", "joints"):
            values, wanted = getattr(moment.estimates, head), getattr(expected, head)[frame][there]
            np.testing.assert_allclose(values, wanted, rtol=1e-4, atol=1e-5)


def test_a_moment_comes_as_soon_as_its_window_is_there(
    model: Model, points: np.ndarray, stamps: np.ndarray
) -> None:
    read: list[float] = []

    def watched() -> Iterator[Moment]:
        for moment in stream(points, stamps):
            read.append(moment.stamp_s)
            yield moment

    for moment in in_windows(watched(), model):
        assert read[-2] < moment.stamp_s + 0.3 or read[-1] == stamps[-1]


def test_single_frames_go_through(tmp_path: Path, points: np.ndarray, stamps: np.ndarray) -> None:
    single = runtime.load(make_model(tmp_path / "single.onnx"))
    moments = list(stream(points, stamps))
    assert list(in_windows(moments, single)) == moments


def test_a_still_person_is_a_window_of_the_same(model: Model, points: np.ndarray) -> None:
    people = points[:10, 0]
    visibility = np.ones(people.shape[:-1], np.float32)
    still = Still(model)(people, visibility)
    window = np.repeat(people[:, None], 7, axis=1)
    np.testing.assert_array_equal(still.mean, model(window).mean)
