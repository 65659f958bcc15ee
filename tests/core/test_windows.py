"""Windows of frames: which frames, missing people in them, and the verbs with such a model."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cli import error_line, vipe
from tests.model_factory import make_metadata, make_model
from vipe_core import keypoint_file, runtime
from vipe_core.errors import VipeError
from vipe_core.estimate import estimate
from vipe_core.keypoint_file import KeypointFile
from vipe_core.windows import window_index


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("model") / "window.onnx", frames=7)


@pytest.fixture(scope="module")
def model(model_path) -> runtime.Model:
    return runtime.load(model_path)


def clip(frames: int = 20, people: int = 0) -> tuple[np.ndarray, np.ndarray]:
    lead = (frames, people) if people else (frames,)
    points = np.random.default_rng(0).normal(300, 80, (*lead, 13, 2)).astype(np.float32)
    return points, np.ones(points.shape[:-1], np.float32)


@pytest.mark.parametrize("fps", [12.0, 25.0, 30.0, 50.0])
@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_window_index_against_a_loop(fps, count):
    stamps = 100 + np.arange(count) / fps
    index = window_index(stamps, 7, 0.08)
    for i in range(count):
        for k in range(7):
            wanted = stamps[i] + (k - 3) * 0.08
            gaps = np.abs(stamps - wanted)
            assert gaps[index[i, k]] == pytest.approx(gaps.min(), abs=1e-9)
        assert index[i, 3] == i


def test_windows_at_50_and_25_frames_per_second_are_the_papers():
    at_50 = window_index(np.arange(60) / 50, 7, 0.08)
    at_25 = window_index(np.arange(60) / 25, 7, 0.08)
    assert at_50[30].tolist() == [18, 22, 26, 30, 34, 38, 42]
    assert at_25[30].tolist() == [24, 26, 28, 30, 32, 34, 36]
    assert at_25[0].tolist() == [0, 0, 0, 0, 2, 4, 6]
    assert at_25[-1].tolist() == [53, 55, 57, 59, 59, 59, 59]


def test_windows_follow_the_clock_over_a_gap():
    stamps = np.array([0.0, 0.1, 0.2, 1.0, 1.1])
    assert window_index(stamps, 3, 0.1)[3].tolist() == [3, 3, 4]
    assert window_index(stamps, 3, 0.3)[2].tolist() == [0, 2, 2]
    assert window_index(stamps[:0], 3, 0.1).shape == (0, 3)


def test_windows_that_make_no_sense():
    with pytest.raises(VipeError, match="odd number of frames, not 4"):
        window_index(np.arange(3.0), 4, 0.1)
    with pytest.raises(VipeError, match="more than 0 s apart, not 0"):
        window_index(np.arange(3.0), 3, 0.0)


def test_the_model_takes_windows_only(model):
    points, visibility = clip(7)
    found = model(points[None], visibility[None])
    assert found.mean.shape == (1, 16)
    assert model(points[None]).mean.shape == (1, 16)
    assert model(points[None][:0]).mean.shape == (0, 16)
    with pytest.raises(VipeError, match=r"test-model \(body13\) needs \(N, 7, 13, 2\)"):
        model(points)
    with pytest.raises(VipeError, match=r"visibility has shape .* expected \(1, 7, 13\)"):
        model(points[None], visibility)


@pytest.mark.parametrize("people", [0, 3])
def test_estimates_are_those_of_the_windows(model, people):
    points, visibility = clip(20, people)
    stamps = np.arange(20) / 20
    found, missing = estimate(model, points, visibility, "body13", stamps=stamps)
    assert found.mean.shape == (*points.shape[:-2], 16)
    assert not missing.any()
    index = window_index(stamps, 7, 0.1)
    for person in range(people or 1):
        own = points[:, person] if people else points
        mean = found.mean[:, person] if people else found.mean
        np.testing.assert_allclose(mean, model(own[index]).mean, atol=1e-6)


def test_a_missing_frame_is_invisible_in_its_neighbours_windows(model):
    points, visibility = clip(9)
    stamps = np.arange(9) / 10
    points[4] = np.nan
    visibility[4] = 0
    found, missing = estimate(model, points, visibility, "body13", stamps=stamps)
    assert np.flatnonzero(missing).tolist() == [4]
    assert np.isnan(found.mean[4]).all()
    index = window_index(stamps, 7, 0.1)[5]
    expected = model(points[index][None], visibility[index][None])
    np.testing.assert_allclose(found.mean[5], expected.mean[0], atol=1e-6)


def test_without_a_clock_there_are_no_windows(model):
    points, visibility = clip(5)
    with pytest.raises(VipeError, match=r"looks at 7 frames 0\.1 s apart: it needs a clip"):
        estimate(model, points, visibility, "body13")
    with pytest.raises(VipeError, match="4 stamps for 5 frames"):
        estimate(model, points, visibility, "body13", stamps=np.arange(4.0))


def test_verbs_with_a_model_of_windows(model_path, tmp_path):
    points, visibility = clip(12)
    keypoint_file.write(tmp_path / "clip.npz", KeypointFile(points, visibility, "body13", fps=20))
    done = vipe("embed", tmp_path / "clip.npz", tmp_path / "e.npz", "--model", model_path)
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "e.npz")["mean"].shape == (12, 16)
    done = vipe("lift", tmp_path / "clip.npz", tmp_path / "l.npz", "--model", model_path)
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "l.npz")["joints"].shape == (12, 17, 3)
    keypoint_file.write(tmp_path / "still.npz", KeypointFile(points, visibility, "body13"))
    line = error_line("lift", tmp_path / "still.npz", tmp_path / "x.npz", "--model", model_path)
    assert "neither fps nor stamp" in line
    assert "7 frames 0.1 s apart" in line


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"frames": 4, "frame_step": 0.1}, "frames must be an odd integer"),
        ({"frames": 7}, "frame_step is 0.0 but frames is 7"),
        ({"frame_step": 0.1}, "frame_step is 0.1 but frames is 1"),
        ({"frames": 7, "frame_step": -1.0}, "frame_step must be a number from 0"),
    ],
)
def test_metadata_that_makes_no_sense(fields, message):
    with pytest.raises(VipeError, match=message):
        make_metadata(**fields)


def test_a_graph_without_the_window_that_the_metadata_promises(tmp_path):
    from tests.model_factory import make_graph
    from vipe_core import model_file

    info = make_metadata(frames=7, frame_step=0.1)
    with pytest.raises(VipeError, match=r"metadata needs \(N, 7, 13, 2\)"):
        model_file.write(tmp_path / "m.onnx", make_graph(), info)
