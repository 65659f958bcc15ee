"""``vipe compile``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import error_line, vipe
from tests.model_factory import make_model
from tests.trt.install import installed

pytestmark = pytest.mark.usefixtures("engines")


@pytest.fixture
def path(tmp_path) -> Path:
    return make_model(tmp_path / "model.onnx")


def test_compile_list_and_clean(tmp_path, path, engines):
    with installed(tmp_path) as env:
        done = vipe("compile", path, "--batch", "1,4", "--precision", "fp16", **env)
        assert done.returncode == 0, done
        assert "test-model 1.2.3" in done.stdout
        assert "fp16, batch 1,4, tensorrt 10.3.0, Orin" in done.stdout
        assert f"in {engines}" in done.stdout
        listed = vipe("compile", "--list", **env).stdout
        assert listed.splitlines()[0] == done.stdout.splitlines()[0]
        assert listed.splitlines()[1] == f"1 in {engines}"
        other = make_model(tmp_path / "other.onnx", version="9")
        assert "removed 0 files" in vipe("compile", "--clean", other, **env).stdout
        assert "removed 2 files" in vipe("compile", "--clean", path, **env).stdout
        assert "0 in" in vipe("compile", "--list", **env).stdout


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "which model? MODEL.onnx is missing"),
        (["--list", "--clean"], "--list and --clean are two things"),
        (["MODEL", "--batch", "1,x"], "batch sizes look like 1,8,32; 'x' is no number"),
        (["MODEL", "--batch", "0"], "batch sizes must be from 1 to 4096"),
        (["MODEL", "--batch", "1,2,3,4,5,6,7,8,9"], "one to 8 batch sizes, not 9"),
        (["MODEL", "--dla", "0"], "the DLA computes in fp16 or int8, not in fp32"),
        (["MODEL", "--workspace", "0"], "the workspace must be from 1 to 1,048,576 MiB, not 0"),
        (["MODEL", "--workspace", "9999999999"], "the workspace must be from 1 to 1,048,576 MiB"),
        (["--list", "MODEL"], "--list takes no MODEL.onnx"),
        (["--list", "--batch", "1"], "--list takes no batch"),
        (["--clean", "--precision", "fp16"], "--clean takes no precision"),
        (["MODEL", "--compute-capability", ""], "a compute capability looks like 8.9, not ''"),
        (
            ["MODEL", "--compute-capability", "8.9", "--dla", "0", "--precision", "fp16"],
            "an engine for the DLA is built on the device, not ahead of time",
        ),
        (["MODEL", "--compute-capability", "89"], "a compute capability looks like 8.9, not '89'"),
        (
            ["MODEL", "--backend", "tensorrt", "--compute-capability", "8.9"],
            "classic TensorRT builds on the device only",
        ),
        (["MODEL", "--backend", "tensorrt"], "the Python package tensorrt is not installed"),
        (["MODEL"], "no TensorRT can run here (models use onnxruntime): tensorrt: "),
        (["none.onnx"], "none.onnx does not exist"),
    ],
)
def test_mistakes_are_one_line(path, words, line):
    assert line in error_line("compile", *(path if word == "MODEL" else word for word in words))
