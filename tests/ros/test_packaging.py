"""What a robot gets from `colcon build`, and what a laptop gets from `pip install`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import vipe_core

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.prefix) / "bin"
NODES = ("keypoints_node", "vipe_node", "action_node", "search_node", "video_node", "all_in_one")


def colcon(*arguments: str | Path, log: Path) -> str:
    """Run colcon where a robot's user does, with the defaults file that lies there."""
    environment = os.environ | {"AMENT_PREFIX_PATH": sys.prefix, "PATH": f"{BIN}:/usr/bin:/bin"}
    done = subprocess.run(
        [BIN / "colcon", "--log-base", log, *arguments],
        cwd=ROOT / "ros_ws",
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def into(base: Path) -> tuple[str | Path, ...]:
    return ("--build-base", base / "build", "--install-base", base / "install")


@pytest.fixture(scope="module")
def prefix(tmp_path_factory) -> Path:
    """Install folder of the package vipe, built by colcon; the messages are in the venv."""
    base = tmp_path_factory.mktemp("colcon")
    colcon("build", "--base-paths", "..", *into(base), log=base / "log")
    return base / "install" / "vipe"


def test_colcon_finds_both_packages(tmp_path):
    lines = colcon("list", log=tmp_path).splitlines()
    assert {line.split()[0] for line in lines} == {"vipe", "vipe_msgs"}


@pytest.mark.slow
def test_colcon_builds_the_workspace(tmp_path):
    fix = f"-DCMAKE_PROJECT_INCLUDE={ROOT / 'tools' / 'ros_wheels_fix.cmake'}"
    colcon("build", *into(tmp_path), "--cmake-args", fix, log=tmp_path / "log")
    (message,) = (tmp_path / "install/vipe_msgs").glob("lib/python*/site-packages/vipe_msgs/msg")
    assert (message / "_actions.py").is_file()
    assert (tmp_path / "install/vipe/lib/vipe/vipe_node").is_file()


def test_ros2_run_finds_the_executables(prefix):
    found = {path.name for path in (prefix / "lib" / "vipe").iterdir()}
    assert found == {"vipe", *NODES}


def test_share_holds_what_launch_files_refer_to(prefix):
    share = prefix / "share" / "vipe"
    assert (prefix / "share/ament_index/resource_index/packages/vipe").is_file()
    for folder in ("launch", "config", "config/detectors", "models"):
        pattern = "*.launch.py" if folder == "launch" else "*"
        here, there = (
            {path.name for path in (root / folder).glob(kind) if path.is_file()}
            for root, kind in ((ROOT, pattern), (share, "*"))
        )
        assert here == there
        assert here
    assert (share / "package.xml").is_file()


def test_all_floors_are_installed(prefix):
    (site,) = prefix.glob("lib/python*/site-packages")
    for package in ("vipe_core/cli", "vipe_ros", "vipe_training/configs"):
        assert any((site / package).iterdir())
    here = {p.relative_to(ROOT / "training") for p in (ROOT / "training").rglob("*.py")}
    installed = site / "vipe_training"
    assert (installed / "evaluate/report/page.html").is_file()
    assert {path.relative_to(installed) for path in installed.rglob("*.py")} == here


def test_one_version_everywhere():
    texts = [(ROOT / "package.xml").read_text()]
    texts.append((ROOT / "ros_ws/src/vipe_msgs/package.xml").read_text())
    versions = {re.search(r"<version>(.+)</version>", text).group(1) for text in texts}
    assert versions == {vipe_core.__version__}
    assert f"\n{vipe_core.__version__} (" in (ROOT / "CHANGELOG.rst").read_text()


def test_verbs_load():
    verbs = {entry.name: entry.load() for entry in entry_points(group="vipe.verbs")}
    wanted = {"embed", "lift", "search", "doctor", "fetch", "train", "evaluate", "export"}
    assert wanted <= set(verbs)
    assert all(callable(verb) for verb in verbs.values())
