"""Which recordings lie under some paths."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from vipe_core.errors import VipeError
from vipe_core.recordings import find

METADATA = "rosbag2_bagfile_information:\n  version: 9\n"


def npz(path: Path, *fields: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{field: np.zeros(1) for field in fields})
    return path


def touch(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A folder of everything, with what is no recording among it."""
    root = tmp_path / "archive"
    npz(root / "clips/wave.npz", "points", "visibility", "skeleton")
    npz(root / "clips/wave.embedding.npz", "mean", "variance")
    npz(root / "clips/theirs.npz", "weights")
    touch(root / "clips/broken.npz", "no archive")
    touch(root / "videos/Walk.MP4")
    touch(root / "videos/notes.txt")
    touch(root / "videos/.hidden.mp4")
    touch(root / "poses/stand.jpg")
    touch(root / "episodes/2026/metadata.yaml", METADATA)
    touch(root / "episodes/2026/2026_0.mcap")
    touch(root / "episodes/killed/killed_0.mcap")
    touch(root / "episodes/killed/killed_1.mcap")
    touch(root / "loose/one.mcap")
    touch(root / "loose/two.db3")
    touch(root / "settings/metadata.yaml", "other: thing\n")
    return root


FOUND = [
    "clips/wave.embedding.npz",
    "clips/wave.npz",
    "episodes/2026",
    "episodes/killed",
    "loose/one.mcap",
    "loose/two.db3",
    "poses/stand.jpg",
    "videos/Walk.MP4",
]


def test_all_below_a_folder_sorted_and_once(archive: Path) -> None:
    lines: list[str] = []
    found = find([archive, archive / "clips", archive / "clips/wave.npz"], lines.append)
    assert [path.relative_to(archive).as_posix() for path in found] == FOUND
    (line,) = lines
    assert "theirs.npz" in line
    assert "broken.npz" in line
    assert line.endswith("neither keypoint nor embedding file, passed over")


def test_loops_of_links_end(archive: Path) -> None:
    (archive / "clips/up").symlink_to(archive)
    (archive / "clips/again").symlink_to(archive / "videos")
    (archive / "clips/nowhere.mp4").symlink_to(archive / "gone")
    names = {path.name for path in find([archive])}
    assert names == {Path(name).name for name in FOUND}


def test_what_is_named_is_not_looked_into(archive: Path) -> None:
    assert find([archive / "clips/theirs.npz"]) == [archive / "clips/theirs.npz"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", r"recording .*nothing does not exist"),
        ("videos/notes.txt", r"notes\.txt: unknown ending '\.txt'; known: keypoint or"),
        ("settings", r"folder .*settings holds no recording; known: keypoint or"),
    ],
)
def test_what_is_refused(archive: Path, name: str, message: str) -> None:
    with pytest.raises(VipeError, match=message):
        find([archive / name])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(archive: Path) -> None:
    (archive / "clips").chmod(0)
    try:
        with pytest.raises(VipeError, match=r"folder .*clips cannot be read: Permission denied"):
            find([archive])
    finally:
        (archive / "clips").chmod(0o755)
