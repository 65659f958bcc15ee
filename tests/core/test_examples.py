"""The scripts of examples/, as a user runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vipe_core import assets, keypoint_file

pytest.importorskip("cv2")
EXAMPLES = Path(__file__).parents[2] / "examples"


def run(*words) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, check=False
    )


def test_teach_from_video(tmp_path):
    assets.fetch()
    video, out = assets.path("demo.mp4"), tmp_path / "open.npz"
    span = ("--label", "jack_open", "--start", "0.2", "--end", "0.8")
    result = run(EXAMPLES / "teach_from_video.py", video, out, *span)
    assert result.returncode == 0, result.stderr
    clip = keypoint_file.read(out)
    assert (clip.label, clip.skeleton, clip.fps) == ("jack_open", "blazepose33", 30)
    assert len(clip.points) == 19
    assert np.isfinite(clip.points).all()


def test_teach_from_no_video(tmp_path):
    words = (EXAMPLES / "teach_from_video.py", tmp_path / "none.mp4", tmp_path / "out.npz")
    result = run(*words, "--label", "x")
    assert result.returncode == 2
    assert "cannot be opened" in result.stderr
    assert "Traceback" not in result.stderr
