"""``vipe model`` and ``vipe selftest``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli import error_line, vipe
from tests.model_factory import make_model
from tests.trt.install import installed

pytestmark = pytest.mark.usefixtures("engines")


@pytest.mark.parametrize("task", ["embedding", "pose", "embedding+pose"])
def test_the_card_says_what_the_file_says(tmp_path, task):
    path = make_model(tmp_path / "m.onnx", task)
    done = vipe("model", "show", path)
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        "# test-model 1.2.3",
        task,
        "format 2",
        "hit@1 | 12.5",
        "matrix products in fp32",
    ):
        assert words in done.stdout
    assert ("a = 1.5000" in done.stdout) == ("embedding" in task)
    assert ("`joints` (N, 17, 3)" in done.stdout) == ("pose" in task)


def test_a_card_of_windows(tmp_path):
    path = make_model(tmp_path / "m.onnx", frames=7)
    assert "frames 0.1 s apart" in vipe("model", "show", path).stdout


def test_no_card_of_a_damaged_file(tmp_path):
    path = make_model(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert "its checksum does not fit" in error_line("model", "show", path)
    assert "invalid choice" in error_line("model", "hide", path)


def test_selftest_without_a_gpu(tmp_path):
    out = tmp_path / "report" / "selftest.md"
    path = make_model(tmp_path / "m.onnx")
    done = vipe("selftest", "--model", path, "--out", out, "--seconds", 0.02)
    assert done.returncode == 0, done
    text = out.read_text()
    assert text in done.stdout
    rows = {
        line.split(" | ")[0].strip("| "): line for line in text.splitlines() if "| fp32" in line
    }
    assert "| ok |" in rows["onnxruntime-cpu"]
    assert "| - |" in rows["tensorrt"]
    assert rows["onnxruntime-cpu"].count(" / ") == 3  # median and p99 of each batch size
    for words in (
        "## Machine",
        "GPU: none",
        "numpy",
        "# test-model 1.2.3",
        "* tensorrt: the",
    ):
        assert words in text


def hide_rtx(env: dict[str, str]) -> None:
    """The real one would meet a GPU that is not there."""
    package = Path(env["PYTHONPATH"].split(os.pathsep)[0]) / "tensorrt_rtx"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('not on this machine')")


def test_selftest_builds_checks_and_times_engines(tmp_path):
    out = tmp_path / "selftest.md"
    path = make_model(tmp_path / "m.onnx")
    with installed(tmp_path, gpu="Orin NX") as env:
        hide_rtx(env)
        words = ("selftest", "--model", path, "--out", out, "--seconds", 0.02)
        done = vipe(*words, **env)
        assert done.returncode == 0, done
    text = out.read_text()
    assert text.count("| tensorrt | fp32 | ok | ") == text.count("| tensorrt | fp16 | ok | ") == 1
    assert "Orin NX" in text
    assert "batch 1,8,32, tensorrt 10.3.0, Orin NX: 0.0 MB" in text


def test_selftest_fails_where_an_installed_library_does(tmp_path):
    path = make_model(tmp_path / "m.onnx")
    with installed(tmp_path, faults=("build",)) as env:
        out = tmp_path / "selftest.md"
        done = vipe("selftest", "--model", path, "--out", out, "--seconds", 0.02, **env)
    assert done.returncode == 1
    assert "| tensorrt | fp32 | FAIL |" in out.read_text()
    assert "* tensorrt: TensorRT cannot build the engine: " in out.read_text()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--seconds", "0"], "argument --seconds: over 0 and at most 600"),
        (["--model", "none.onnx"], "model none.onnx does not exist"),
        (["--out", "/"], "cannot write /: Is a directory"),
    ],
)
def test_mistakes_are_one_line(words, line):
    assert line in error_line("selftest", *words)
