"""Pairs with the largest sum, against trying everything."""

from __future__ import annotations

import subprocess
import sys
from itertools import permutations

import numpy as np
import pytest

from vipe_core.tracking.assignment import pairs


def best(gain: np.ndarray) -> float:
    """Largest sum over all ways to pair the shorter side."""
    small = gain if gain.shape[0] <= gain.shape[1] else gain.T
    rows = range(small.shape[0])
    return max(
        sum(small[row, column] for row, column in zip(rows, order, strict=False))
        for order in permutations(range(small.shape[1]), small.shape[0])
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (2, 2), (3, 4), (4, 3)])
def test_the_sum_is_the_largest(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        gain = rng.uniform(0, 5, shape)
        rows, columns = pairs(gain)
        assert len(rows) == len(columns) == min(shape)
        assert len(set(rows)) == len(set(columns)) == min(shape)
        assert list(rows) == sorted(rows)
        assert gain[rows, columns].sum() == pytest.approx(best(gain))


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nobody(shape: tuple[int, int]) -> None:
    rows, columns = pairs(np.zeros(shape))
    assert len(rows) == len(columns) == 0


def test_one_person_needs_no_scipy() -> None:
    code = (
        "import sys, numpy as np\n"
        "from vipe_core.bodies import Bodies2D\n"
        "from vipe_core.tracking import Tracker\n"
        "people = Bodies2D.from_arrays(np.arange(26.0).reshape(1, 13, 2))\n"
        "tracker = Tracker()\n"
        "names = {tracker.update(people, t).track_ids for t in (0.0, 0.1, 0.2)}\n"
        "assert len(names) == 1, names\n"
        "print('scipy.optimize' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
