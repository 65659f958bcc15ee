"""Structured occlusion against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vipe_core.errors import VipeError
from vipe_core.skeletons import BODY13
from vipe_training.augment.cliques import draw_structured
from vipe_training.datasets.visibility import PATTERNS, pattern, write_table

ALL = np.ones(13, bool)
TORSO = BODY13.indices("left_shoulder", "right_shoulder", "left_hip", "right_hip")


def without(*joints: str) -> int:
    visible = ALL.copy()
    visible[BODY13.indices(*joints)] = False
    return int(pattern(visible))


@pytest.fixture
def table(tmp_path) -> str:
    """60 % see everything, 30 % not the left arm, 10 % not the left wrist."""
    counts = np.zeros(PATTERNS, np.int64)
    counts[without()] = 600_000
    counts[without("left_elbow", "left_wrist")] = 300_000
    counts[without("left_wrist")] = 100_000
    write_table(tmp_path / "table.npz", counts, "made up")
    return str(tmp_path / "table.npz")


def test_points_of_a_clique_go_together_as_counted(table, generator):
    visible = draw_structured(20_000, table, generator)
    elbow, wrist = visible[:, BODY13.indices("left_elbow", "left_wrist")].T
    assert (~elbow & ~wrist).float().mean().item() == pytest.approx(0.3, abs=0.015)
    assert (elbow & ~wrist).float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert not (~elbow & wrist).any()
    others = [j for j in range(13) if BODY13.joints[j] not in ("left_elbow", "left_wrist")]
    assert visible[:, others].float().mean() > 0.999


def test_lower_legs_follow_the_knees(tmp_path, generator):
    counts = np.zeros(PATTERNS, np.int64)
    counts[without("left_knee", "left_ankle")] = 500_000
    counts[without()] = 500_000
    write_table(tmp_path / "legs.npz", counts, "made up")
    visible = draw_structured(5_000, str(tmp_path / "legs.npz"), generator)
    knee, ankle = visible[:, BODY13.indices("left_knee", "left_ankle")].T
    # The knees are drawn with the upper legs, the ankles after them: never apart.
    assert (knee == ankle).float().mean() > 0.999
    assert knee.float().mean().item() == pytest.approx(0.5, abs=0.03)


def test_the_torso_is_always_visible_and_the_shipped_table_is_there(generator):
    visible = draw_structured(2_000, "", generator)
    assert visible[:, TORSO].all()
    assert 0.85 < visible.float().mean() < 0.99


def test_a_missing_table(generator):
    with pytest.raises(VipeError, match=r"nowhere\.npz"):
        draw_structured(1, "nowhere.npz", generator)
