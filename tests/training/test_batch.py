"""Batches: windows of frames, and what a batch says about itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.bodies import random_people
from vipe_core.errors import VipeError
from vipe_training.augment.batch import BatchConfig, BatchSource, cumulative_shares, view_features
from vipe_training.augment.people import PeopleConfig
from vipe_training.augment.views import BODY13_IN_JOINTS17
from vipe_training.datasets import MotionSet, windows


def motion_set(fps: float = 24.0) -> MotionSet:
    """Two clips: frames 0-19 without 7, and frames 0-9."""
    frame = np.concatenate([np.delete(np.arange(20), 7), np.arange(10)])
    clip = np.repeat([0, 1], [19, 10])
    return MotionSet(
        random_people(29).astype(np.float32),
        np.array(["a"] * 19 + ["b"] * 10),
        clip,
        np.full(29, fps, np.float32),
        frame,
    )


def test_windows_are_what_a_loop_finds():
    motion = motion_set()
    expected = []
    for row in range(len(motion)):
        rows = []
        for k in (-1, 0, 1):  # 0.08 s at 24 fps are two frames
            wanted = (motion.clip == motion.clip[row]) & (motion.frame == motion.frame[row] + 2 * k)
            rows.extend(np.flatnonzero(wanted))
        if len(rows) == 3:
            expected.append(rows)
    np.testing.assert_array_equal(windows(motion, 3, 0.08), expected)


def test_windows_that_cannot_be():
    with pytest.raises(VipeError, match="odd number"):
        windows(motion_set(), 4, 0.08)
    with pytest.raises(VipeError, match="long enough for 7 frames"):
        windows(motion_set(), 7, 0.3)
    with pytest.raises(VipeError, match="frame rate"):
        windows(motion_set(np.nan), 3, 0.08)


@pytest.mark.parametrize("frames", [1, 3])
def test_shapes(frames, generator):
    source = BatchSource(motion_set(), BatchConfig(poses=8, frames=frames))
    batch = source.draw(generator)
    t = () if frames == 1 else (frames,)
    assert batch.features.shape == (8, 2, *t, 39)
    assert batch.visible.shape == (8, 2, *t, 13)
    assert batch.joints.shape == (8, *t, 17, 3)
    assert batch.points.shape == (8, 2, *t, 13, 2)
    assert batch.to_camera.shape == (8, 2, *t, 3, 3)
    assert batch.pose.shape == (8, 17, 3)
    torch.testing.assert_close(batch.features, view_features(batch.points, batch.visible))


def test_points_are_the_pose_in_the_camera(generator):
    source = BatchSource(motion_set(), BatchConfig(poses=8, people=PeopleConfig(mirror=0.5)))
    batch = source.draw(generator)
    seen = batch.joints[:, None] @ batch.to_camera.transpose(-1, -2)
    seen = seen[..., BODY13_IN_JOINTS17, :]
    # The default camera is two statures away, further only where a limb comes near.
    expected = seen[..., :2] / (seen[..., 2:] + 2)
    torch.testing.assert_close(batch.points, expected, atol=1e-5, rtol=1e-4)


def test_one_pose_is_enough_to_draw_from(generator):
    zero = np.zeros(1, int)
    one = MotionSet(random_people(1).astype(np.float32), np.array(["a"]), zero, zero + 24.0, zero)
    batch = BatchSource(one, BatchConfig(poses=4)).draw(generator)
    assert torch.isfinite(batch.features).all()


def test_rare_poses_are_drawn_more_often(generator):
    rare, common = torch.rand(2, 17, 3, generator=generator)
    joints = torch.stack([common] * 99 + [rare])
    shares = torch.diff(cumulative_shares(joints, 1.0), prepend=torch.zeros(1))
    # Weights 1 / 100 for each of the 99 alike, 1 / 2 for the one that is alone.
    assert shares[-1].item() == pytest.approx(0.5 / (0.5 + 0.99))
    even = torch.diff(cumulative_shares(joints, 0.0), prepend=torch.zeros(1))
    assert even[-1].item() == pytest.approx(0.01)


def test_draws_follow_the_shares(generator):
    motion = motion_set()
    source = BatchSource(motion, BatchConfig(poses=4000))
    source.shares = torch.tensor([0.0] * 10 + [0.25] * 10 + [1.0] * 9, dtype=torch.float64)
    joints = source.draw(generator).joints
    canonical = source.joints
    first = (joints[:, None] - canonical[[10, 20]]).abs().amax((-2, -1)).argmin(1)
    assert first.float().mean().item() == pytest.approx(0.75, abs=0.03)
