"""The import rule, and that the rule would be noticed when broken."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("check_imports", ROOT / "tools" / "check_imports.py")
check_imports = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(check_imports)


def test_imports_only_point_down():
    assert check_imports.violations() == []


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        ("vipe_core", "import torch.nn"),
        ("vipe_core", "def f():\n    from rclpy.node import Node"),
        ("vipe_core", "import importlib\nimportlib.import_module('torch')"),
        ("ros_ws/src/vipe_ros", "import vipe_training.losses"),
        ("training", "import numpy, rclpy"),
    ],
)
def test_an_import_that_points_up_is_named(tmp_path, folder, line):
    path = tmp_path / folder / "wrong.py"
    path.parent.mkdir(parents=True)
    path.write_text(line)
    (found,) = check_imports.violations(tmp_path)
    assert found.startswith(f"{folder}/wrong.py:")


def test_relative_and_similar_names_are_fine(tmp_path):
    path = tmp_path / "vipe_core" / "fine.py"
    path.parent.mkdir(parents=True)
    path.write_text("from . import torch\nimport torchless\nimport vipe_core.errors")
    assert check_imports.violations(tmp_path) == []


def test_core_loads_without_the_upper_floors():
    code = (
        "import sys, pkgutil, importlib, vipe_core\n"
        "for m in pkgutil.walk_packages(vipe_core.__path__, 'vipe_core.'):\n"
        "    importlib.import_module(m.name)\n"
        "print(sorted({'torch', 'rclpy', 'vipe_training', 'vipe_ros'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stdout
