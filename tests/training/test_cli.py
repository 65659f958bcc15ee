"""The trainer's verbs, as the user calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

FAST = ["model.width=64", "model.blocks=1", "batch.poses=16", "threads=1", "bfloat16=false"]


def vipe(*words, data=None, cwd=None) -> subprocess.CompletedProcess:
    environment = dict(os.environ, VIPE_DATA=str(data) if data else "nowhere")
    return subprocess.run(
        [sys.executable, "-m", "vipe_core.cli", *map(str, words)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=cwd,
        check=False,
    )


def test_train_export_evaluate(data_folder, tmp_path):
    steps = ["steps=6", "validate_every=3"]
    result = vipe("train", "vipe", *FAST, *steps, "--out", tmp_path / "run", data=data_folder)
    assert result.returncode == 0, result.stderr
    best = tmp_path / "run" / "best.safetensors"
    assert str(best) in result.stdout
    model = tmp_path / "models" / "vipe.onnx"
    for more, message in (
        (["--poses", 1], "--poses must be 0 or at least 2"),
        (["--data", "nope.npz"], "no motion file"),
    ):
        result = vipe("export", best, model, *more, data=data_folder)
        assert (result.returncode, message in result.stderr) == (2, True)
        assert not model.exists()
    result = vipe("export", best, model, "--poses", 40, data=data_folder)
    assert result.returncode == 0, result.stderr
    card = model.with_suffix(".md").read_text()
    for needed in ("novel8+n", "vipe train vipe", "seed 0", "mocap.cs.cmu.edu", "Licence"):
        assert needed in card
    out = tmp_path / "numbers"
    result = vipe(
        "evaluate", "retrieval", "--model", model, "--poses", 40, "--out", out, data=data_folder
    )
    assert result.returncode == 0, result.stderr
    content = json.loads((out / "results.json").read_text())
    assert content["run"]["poses"] == 40
    assert "novel8+n hit@1" in content["findings"]["summary"]["vipe"]
    assert "novel8+n" in result.stdout
    assert (out / "report.html").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "nothing"], "no configuration 'nothing'; known: epipolar"),
        (["train", "nothing.yaml"], "cannot read config nothing.yaml"),
        (["train", "vipe", "stepz=3"], "unknown setting 'stepz'"),
        (["train", "vipe"], "no data folder"),
        (["export", "none.safetensors", "m.onnx"], "no checkpoint none.safetensors"),
        (["evaluate", "retrieval", "--model", "none.onnx"], "none.onnx"),
        (["evaluate", "nothing"], "unknown suite 'nothing'"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(words, message, tmp_path):
    result = vipe(*words, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("verb", ["train", "export", "evaluate"])
def test_help_has_an_example(verb):
    result = vipe(verb, "--help")
    assert result.returncode == 0
    assert "example:" in result.stdout
