"""The suite of swaps: its streams, its counts, and its tables on made-up files."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bodies import standing
from tests.model_factory import make_model
from tests.training.scenes import task
from vipe_core import runtime
from vipe_core.errors import VipeError
from vipe_core.geometry import project
from vipe_core.skeletons import BLAZEPOSE33, BODY13
from vipe_core.swaps import SwapFilter
from vipe_training.datasets import load_motion
from vipe_training.evaluate import protocol
from vipe_training.evaluate.contestants import contestants
from vipe_training.evaluate.metrics import swaps
from vipe_training.evaluate.samples import multiview, swap_streams
from vipe_training.evaluate.samples.swap_streams import Stream
from vipe_training.evaluate.suites import swaps as suite
from vipe_training.evaluate.task import Contestant

MIRROR = list(BODY13.mirror)
B13 = list(protocol.BODY13_IN_17)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return runtime.load(make_model(tmp_path_factory.mktemp("model") / "m.onnx"))


def walking(frames: int) -> np.ndarray:
    """(F, 17, 3) metres, pelvis at 0: a person who swings arms and legs."""
    swing = 0.3 * np.sin(2 * np.pi * np.arange(frames) / 30)
    joints = np.repeat(standing()[None], frames, axis=0)
    names = {"left_ankle": 1, "right_ankle": -1, "left_wrist": -1, "right_wrist": 1}
    for name, sign in names.items():
        joints[:, protocol.JOINTS17.index(name), 2] += sign * swing
    return joints - joints[:, :1]


def motion_file(path, frames=90, fps=30.0):
    np.savez(
        path,
        pose=walking(frames).astype(np.float16),
        frame_ok=np.ones(frames, bool),
        clip_start=np.array([0, frames]),
        subject=np.array(["a"]),
        fps=np.array([fps], np.float32),
    )
    return path


def video_file(path, swapped: np.ndarray, **changes):
    """Two cameras, 60 Hz; "full" swaps the sides in the first one where ``swapped`` (F,)."""
    people = walking(len(swapped))[:, protocol.BODY13_IN_17]
    cameras = [protocol.View(20, 5).camera(), protocol.View(170, 10).camera()]
    points = np.stack([project(people, camera) for camera in cameras])
    points[0] = np.where(swapped[:, None, None], points[0][:, MIRROR], points[0])
    kp33 = np.zeros((2, len(swapped), 33, 4), np.float32)
    kp33[:, :, BLAZEPOSE33.indices(*BODY13.joints), :2] = points
    kp33[..., 3] = 1
    fields = {
        **{"K": np.stack([c.matrix for c in cameras]), "points3d": people, "kp33_full": kp33},
        "R": np.stack([c.rotation for c in cameras]),
        "T": np.stack([c.translation for c in cameras]),
        "fps": np.float32(60),
        **changes,
    }
    np.savez(path, **{k: v for k, v in fields.items() if v is not None})
    return path


class TestStreams:
    def test_runs_begin_and_last_as_said(self):
        rng = np.random.default_rng(0)
        runs = np.stack([swap_streams.swap_runs(240, 30, rng) for _ in range(1000)])
        begins = runs[:, 1:] & ~runs[:, :-1]
        ends = ~runs[:, 1:] & runs[:, :-1]
        assert runs[:, 0].mean() == pytest.approx(0.08, abs=0.025)
        assert 30 * begins.sum() / (~runs[:, :-1]).sum() == pytest.approx(0.3, rel=0.1)
        assert runs[:, :-1].sum() / 30 / ends.sum() == pytest.approx(0.35, rel=0.1)

    def test_a_turn_is_half_a_turn_about_the_vertical_within_a_second(self):
        still = np.repeat(np.eye(3)[None], 90, axis=0)
        axes = swap_streams.turned(still, 30, np.random.default_rng(0))
        np.testing.assert_allclose(axes @ np.swapaxes(axes, 1, 2), still, atol=1e-9)
        np.testing.assert_allclose(axes[0], np.eye(3), atol=1e-9)
        np.testing.assert_allclose(axes[-1], np.diag([-1, 1, -1]), atol=1e-9)
        moving = np.abs(np.diff(axes, axis=0)).max(axis=(1, 2)) > 1e-9
        assert 14 <= moving.sum() <= 31

    def test_rendered_streams_are_swapped_as_they_say_and_else_the_same(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("VIPE_DATA", str(tmp_path))
        motion_file(tmp_path / "m.npz", frames=300)
        motion = load_motion(["m.npz"])
        seeds = range(4)
        streams = [s for seed in seeds for s in swap_streams.rendered(motion, 2, seed)]
        again = [s for seed in seeds for s in swap_streams.rendered(motion, 2, seed)]
        limbs = [j for j, name in enumerate(BODY13.joints) if name.startswith("left")]
        kept, changed = [], []
        assert len(streams) == 8
        assert any(stream.swapped.any() for stream in streams)
        assert {stream.turns for stream in streams} == {True, False}
        for stream, same in zip(streams, again, strict=True):
            np.testing.assert_array_equal(stream.points, same.points)
            assert len(stream.swapped) == 240  # eight seconds
            # Sides change places from frame to frame where a swap begins or ends.
            across = stream.points[:, limbs] - stream.points[:, np.array(MIRROR)[limbs]]
            agree = (across[1:] * across[:-1]).sum(axis=(1, 2)) > 0
            edges = stream.swapped[1:] != stream.swapped[:-1]
            kept += agree[~edges].tolist()
            changed += agree[edges].tolist()
        assert np.mean(kept) > 0.97
        assert np.mean(changed) < 0.1
        none = swap_streams.rendered(motion, 2, 0, swaps=False)
        assert not any(stream.swapped.any() for stream in none)

    def test_no_clip_is_long_enough(self, tmp_path, monkeypatch):
        monkeypatch.setenv("VIPE_DATA", str(tmp_path))
        motion_file(tmp_path / "m.npz", frames=20)
        with pytest.raises(VipeError, match=r"clips of at least 1 s"):
            swap_streams.rendered(load_motion(["m.npz"]), 1, 0)

    def test_a_swap_in_a_video_is_told_by_the_projections(self, tmp_path):
        swapped = np.isin(np.arange(20), [3, 4, 9])
        video = multiview.read_video(video_file(tmp_path / "v.npz", swapped))
        first, second = swap_streams.filmed(video, "full")
        np.testing.assert_array_equal(first.swapped, swapped)
        assert not second.swapped.any()
        assert first.fps == 60

    def test_lower_rates_share_out_the_frames(self):
        stream = Stream(
            np.arange(26 * 10).reshape(10, 13, 2), np.ones((10, 13)), np.arange(10) % 3 == 0, 60
        )
        parts = stream.every(4)
        assert [len(part.swapped) for part in parts] == [3, 3, 2, 2]
        assert all(part.fps == 15 for part in parts)
        np.testing.assert_array_equal(parts[1].points, stream.points[[1, 5, 9]])
        np.testing.assert_array_equal(parts[1].swapped, stream.swapped[[1, 5, 9]])


def test_counts_against_a_loop():
    rng = np.random.default_rng(0)
    streams, made = [], []
    for k in range(20):
        swapped = rng.random(30) < 0.4
        swapped[: k % 4] = True
        streams.append(
            Stream(np.zeros((30, 13, 2)), np.ones((30, 13)), swapped, 30, turns=k % 2 == 0)
        )
        made.append(rng.random(30) < 0.5)
    wanted = dict.fromkeys(vars(swaps.Score()), 0)
    for stream, exchanged in zip(streams, made, strict=True):
        since_first = True
        for wrong, done in zip(stream.swapped, exchanged, strict=True):
            since_first &= wrong
            wanted["swapped"] += wrong
            wanted["caught"] += wrong and done
            wanted["first"] += since_first
            wanted["first_caught"] += since_first and done
            wanted["good"] += not wrong
            wanted["broken"] += done and not wrong
            wanted["turning"] += stream.turns and not wrong
            wanted["turning_broken"] += stream.turns and done and not wrong
    found = swaps.score(streams, made)
    assert vars(found) == wanted
    assert found.recall == pytest.approx(100 * wanted["caught"] / wanted["swapped"])
    made_in_all = wanted["caught"] + wanted["broken"]
    assert found.precision == pytest.approx(100 * wanted["caught"] / made_in_all)
    assert np.isnan(swaps.Score().recall)
    assert np.isnan(swaps.Score().precision)


def test_streams_of_several_rates_and_lengths_side_by_side_are_as_one_by_one(model):
    rng = np.random.default_rng(0)
    people = 100 * walking(60)[:, protocol.BODY13_IN_17, :2].astype(np.float32)
    streams = []
    for fps, frames in ((30.0, 60), (15.0, 40), (30.0, 45)):
        swapped = np.zeros(frames, bool)
        swapped[35:38] = True
        points = people[:frames] + rng.normal(0, 1, (frames, 13, 2)).astype(np.float32)
        points = np.where(swapped[:, None, None], points[:, MIRROR], points)
        streams.append(Stream(points, np.ones((frames, 13), np.float32), swapped, fps))
    together, poses = swaps.repair(model, streams, SwapFilter())
    for k, stream in enumerate(streams):
        (alone,), (pose,) = swaps.repair(model, [stream], SwapFilter())
        np.testing.assert_array_equal(together[k], alone)
        np.testing.assert_allclose(poses[k], pose, atol=1e-5)
        right = np.where(stream.swapped[:, None, None], stream.points[:, MIRROR], stream.points)
        exact = model(right, stream.visibility).pose()[0]
        done = alone == stream.swapped
        assert done[35:38].all()
        np.testing.assert_allclose(pose[done], exact[done], atol=1e-5)


def test_the_suite_on_rendered_motion(tmp_path, monkeypatch, model):
    monkeypatch.setenv("VIPE_DATA", str(tmp_path))
    motion_file(tmp_path / "m.npz", frames=100)
    rivals = [*contestants([model], ["keypoints"])]
    findings = suite.run(task(rivals, "m.npz", seeds=2))
    assert findings.skipped == ["aligned 2D keypoints is no model file"]
    (table,) = findings.tables
    assert list(table.rows) == ["both", "time only", "model only"]
    motion = load_motion(["m.npz"])
    shares = []
    for seed in (0, 1):
        streams = swap_streams.rendered(motion, 2, seed)
        made = swaps.repair(model, streams, suite.CUES["time only"])[0]
        shares.append(swaps.score(streams, made).recall)
    assert table.rows["time only"][0] == f"{np.mean(shares):.2f} ± {np.std(shares):.2f}"
    said = findings.summary[rivals[0].name]
    assert said["swaps repaired %, time only"] == pytest.approx(np.mean(shares), abs=0.01)


def test_the_suite_on_a_video(tmp_path, model):
    swapped = (np.arange(150) >= 120) & (np.arange(150) < 130)
    path = video_file(tmp_path / "v.npz", swapped)
    (rival,) = contestants([model])
    findings = suite.run(task([rival], "-", video=path))
    (table,) = findings.tables
    assert findings.title == "Swaps in v.npz"
    assert table.title == f"{rival.name}, full"
    assert len(table.rows) == 9
    row = table.rows["60 fps, time only"]
    assert row[:6] == ["10", "10", "0", "0", "290", "0"]
    # What is repaired in full has the errors of exact labels.
    video = multiview.read_video(path)
    exact = [
        1000 * swaps.aligned(video.truth, model(p, np.ones(p.shape[:2])).pose()[0][:, B13])
        for p in video.points[multiview.EXACT]
    ]
    assert row[7] == pytest.approx(np.mean(exact), abs=0.06)
    assert row[9] == pytest.approx(exact[0][swapped].mean(), abs=0.06)
    assert row[6] != row[7]


class TestRefusals:
    def test_nobody_to_measure(self):
        with pytest.raises(VipeError, match=r"nothing to measure: mute is no model file"):
            suite.run(task([Contestant("mute", "mute")], "-"))

    def test_a_model_of_windows(self, tmp_path):
        model = runtime.load(make_model(tmp_path / "w.onnx", frames=3))
        with pytest.raises(VipeError, match=r"takes windows"):
            suite.run(task(contestants([model]), "-"))

    def test_no_seed(self, tmp_path, monkeypatch, model):
        monkeypatch.setenv("VIPE_DATA", str(tmp_path))
        motion_file(tmp_path / "m.npz")
        with pytest.raises(VipeError, match=r"--seeds must be at least 1, not 0"):
            suite.run(task(contestants([model]), "m.npz", seeds=0))

    def test_a_video_without_detections(self, tmp_path, model):
        path = video_file(tmp_path / "v.npz", np.zeros(5, bool), kp33_full=None)
        with pytest.raises(VipeError, match=r"has no detections kp33_NAME"):
            suite.run(task(contestants([model]), "-", video=path))
