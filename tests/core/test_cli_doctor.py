"""``vipe doctor`` and ``vipe fetch``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli import error_line, vipe
from tests.model_factory import make_model
from vipe_core import assets
from vipe_core.cli import doctor

NOTHING = Path(__file__).parent / "no-such-folder"


def rows(text: str) -> dict[str, str]:
    """State by name of a printed table."""
    lines = [line.split() for line in text.splitlines() if "->" not in line]
    states = (doctor.OK, doctor.ABSENT, doctor.FAIL)
    at = [next(i for i, word in enumerate(words) if word in states) for words in lines]
    return {" ".join(words[:i]): words[i] for words, i in zip(lines, at, strict=True)}


def test_a_sound_installation(tmp_path):
    path = make_model(tmp_path / "model.onnx")
    done = vipe("doctor", VIPE_MODEL=str(path))
    assert done.returncode == 0, done.stdout
    assert done.stderr == ""
    table = rows(done.stdout)
    needed = ("python", "vipe", "numpy", "scipy", "tqdm", "onnxruntime", "model", "backend")
    assert {table[name] for name in (*needed, "1 at a time", "64 at a time")} == {"ok"}
    assert {"ai_edge_litert", "cv2", *assets.NAMES, "rclpy", "torch", "onnx"} <= set(table)
    assert "CPUExecutionProvider" in done.stdout
    assert "test-model 1.2.3, embedding+pose" in done.stdout
    assert "us median" in done.stdout


def test_rows_that_fail_come_with_advice(tmp_path):
    damaged = tmp_path / "assets" / assets.NAMES[0]
    damaged.parent.mkdir()
    damaged.write_bytes(b"half")
    (tmp_path / "model.onnx").write_bytes(b"hello")
    done = vipe("doctor", "--model", tmp_path / "model.onnx", VIPE_ASSETS=str(damaged.parent))
    assert done.returncode == 1
    table = rows(done.stdout)
    assert table["model"] == table[assets.NAMES[0]] == "FAIL"
    assert table[assets.NAMES[1]] == "-"
    lines = done.stdout.splitlines()
    for number, line in enumerate(lines):
        if " FAIL " in line or " -  " in line:
            assert "->" in lines[number + 1], line
    assert "-> run: vipe fetch" in done.stdout
    assert "-> set VIPE_MODEL or pass --model" in done.stdout


def test_the_middleware_is_asked_for_real():
    if doctor.find_spec("rclpy") is None:
        pytest.skip("no rclpy here")
    assert doctor._rmw() == doctor.Row("rmw", "ok", "rmw_fastrtps_cpp")


def test_a_middleware_that_does_not_load(monkeypatch):
    if doctor.find_spec("rclpy") is None:
        pytest.skip("no rclpy here")
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_pigeon")
    row = doctor._rmw()
    assert row.state == doctor.FAIL
    assert "rmw_pigeon" in row.detail


def test_a_package_that_is_absent_or_broken(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("raise RuntimeError('no GLIBC')")
    monkeypatch.syspath_prepend(str(tmp_path))
    absent = doctor._package("no_such_package", doctor.FAIL, "install it")
    assert absent == doctor.Row("no_such_package", "FAIL", "not found", "install it")
    broken = doctor._package("broken_package", doctor.ABSENT, "install it")
    assert broken.state == doctor.FAIL
    assert broken.detail == "does not load: RuntimeError: no GLIBC"


def test_an_old_python(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 8))
    assert next(doctor.software()).state == doctor.FAIL


def test_fetch_prints_the_paths(tmp_path):
    if not all((assets.folder() / name).exists() for name in assets.NAMES):
        pytest.skip("the assets are not here; fetching them is test_assets' concern")
    done = vipe("fetch")
    assert done.returncode == 0
    assert done.stdout.split() == [str(assets.folder() / name) for name in assets.NAMES]


def test_fetch_of_something_unknown():
    assert "unknown asset 'cat.mp4'; known: " in error_line("fetch", "cat.mp4")
