"""``vipe evaluate`` as a user calls it: rows, files, resuming after a kill, errors."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.bodies import random_people, write_motion_file
from tests.cli import VIPE, error_line, vipe
from tests.model_factory import make_model
from vipe_core import runtime
from vipe_core.cli import main
from vipe_core.errors import VipeError
from vipe_training.cli import evaluate
from vipe_training.datasets.cache import sha256
from vipe_training.evaluate import provenance
from vipe_training.evaluate.contestants import contestants
from vipe_training.evaluate.parts import Parts
from vipe_training.evaluate.report import record
from vipe_training.evaluate.samples.source import Source


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    made = {
        "both": make_model(folder / "both.onnx"),
        "other": make_model(folder / "other.onnx", embedding_size=8),
        "pose": make_model(folder / "pose.onnx", task="pose", name="lifter"),
        "embedding": make_model(folder / "embedding.onnx", task="embedding", name="embedder"),
        "window": make_model(folder / "window.onnx", frames=3, name="window"),
        "coco": make_model(folder / "coco.onnx", skeleton_2d="coco17"),
    }
    return {name: str(path) for name, path in made.items()}


def loaded(models, *names):
    return [runtime.load(models[name]) for name in names]


class TestContestants:
    def test_rows_are_what_the_models_can_do(self, models):
        both, pose, embedding = contestants(loaded(models, "both", "pose", "embedding"))
        assert both.name == "test-model"
        assert both.fingerprint == both.model.fingerprint
        assert both.coder is not None
        assert both.lift is not None
        assert pose.coder is not None  # ranked by what it lifts
        assert embedding.lift is None

    def test_windows(self, models):
        (window,) = contestants(loaded(models, "window"))
        assert (window.frames, window.frame_step) == (3, 0.1)

    def test_two_of_one_name_are_told_apart(self, models):
        rows = contestants(loaded(models, "both", "other", "pose"))
        names = [row.name for row in rows]
        assert len(set(names)) == 3
        assert names[0].startswith("test-model 1.2.3 (")
        assert names[2] == "lifter"

    def test_baselines(self, models):
        rows = contestants(loaded(models, "embedding", "both"), ["keypoints", "lifting"])
        assert rows[2].name == "aligned 2D keypoints"
        assert rows[2].model is None
        assert rows[3].name == "test-model, lifted + Procrustes"
        assert rows[3].fingerprint != rows[1].fingerprint
        points = np.random.default_rng(0).normal(300, 80, (4, 13, 2))
        seen = np.ones((4, 13))
        for row in rows:
            code = row.coder.code(points, seen)
            assert row.coder.rank(code, code, 1).ravel().tolist() == [0, 1, 2, 3]

    @pytest.mark.parametrize(
        ("names", "baselines", "message"),
        [
            (["both", "both"], [], "given twice"),
            (["both"], ["keypoints", "keypoints"], "keypoints is given twice"),
            (["both"], ["nothing"], "unknown baseline 'nothing'; known: keypoints, lifting"),
            (["embedding"], ["lifting"], "needs a model that lifts"),
            (["coco"], [], "takes coco17 keypoints"),
        ],
    )
    def test_mistakes(self, models, names, baselines, message):
        with pytest.raises(VipeError, match=message):
            contestants(loaded(models, *names), baselines)


class TestProvenance:
    def test_hash_of_a_file_and_of_a_cache(self, data, tmp_path):
        name = "mocap/cmu_mocap_test.npz"
        assert provenance.data_hashes([name]) == {name: sha256(data / name)}
        cache = tmp_path / "cache"
        cache.mkdir()
        (cache / "index.json").write_text("{}")
        assert provenance.data_hashes([str(cache)]) == {str(cache): sha256(cache / "index.json")}

    def test_no_such_data(self, data, tmp_path):
        for name, message in ((str(tmp_path), "is no data cache"), ("x.npz", "no motion file")):
            with pytest.raises(VipeError, match=message):
                provenance.data_hashes([name])

    def test_files_that_options_name(self, tmp_path):
        file = tmp_path / "keys.txt"
        file.write_text("S1")
        options = {"frame_keys": [file, tmp_path / "none"], "folder": tmp_path, "cost": "excess"}
        assert provenance.option_hashes(options) == {f"--frame-keys {file}": sha256(file)}

    def test_the_model_is_named_by_its_whole_hash(self, models):
        (said,) = provenance.model_hashes(loaded(models, "both")).values()
        assert said == f"test-model 1.2.3, SHA-256 {sha256(loaded(models, 'both')[0].path)}"


def test_parts_are_taken_for_the_same_inputs_only(tmp_path):
    def value(inputs, **own):
        return Parts(tmp_path, inputs).part("p", lambda: len(list(tmp_path.iterdir())), **own)

    (tmp_path / "there").touch()
    assert value({"seed": 0}, model="a") == 1
    assert value({"seed": 0}, model="a") == 1
    assert value({"seed": 1}, model="a") == 2
    assert value({"seed": 0}, model="b") == 3


@pytest.mark.parametrize("content", [b"", b"[1, 2"])
def test_a_damaged_part_is_computed_again(content, tmp_path):
    assert Parts(tmp_path).part("p", lambda: [1]) == [1]
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    assert Parts(tmp_path).part("p", lambda: [2]) == [2]
    assert Parts(tmp_path).part("p", lambda: [3]) == [2]


def test_help_lists_all_suites_at_once():
    # No heavy module may be imported for it.
    code = (
        "import sys; from vipe_core.cli import main; main(['evaluate', '--help']);"
        "assert not {'torch', 'matplotlib', 'jinja2'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    for name in evaluate.SUITES:
        assert any(line.startswith(f"  {name} ") for line in lines)
    assert "example:" in done.stdout


def test_a_suite_that_is_not_there_is_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(evaluate, "_FOLDER", tmp_path)
    with pytest.raises(VipeError, match="the suite retrieval is not in this installation"):
        evaluate.run(["retrieval"])
    with pytest.raises(SystemExit):
        evaluate.run(["--help"])
    assert capsys.readouterr().out.count("(not in this installation)") == len(evaluate.SUITES)


def words_of(models, out, *more, models_of=("both",)) -> list[str]:
    given = [models[name] for name in models_of]
    words = ["evaluate", "properties", "--model", *given, "--poses", 20, "--out", out, *more]
    return [str(word) for word in words]


def test_a_run_writes_everything(models, data_folder, tmp_path):
    words = words_of(models, tmp_path / "out", "--seed", 5)
    done = vipe(*words, VIPE_DATA=str(data_folder))
    assert done.returncode == 0, done.stderr
    assert "| test-model |" in done.stdout
    assert f"report: {tmp_path / 'out' / 'report.html'}" in done.stdout
    content = json.loads((tmp_path / "out" / "results.json").read_text())
    run = content["run"]
    assert run["command"].startswith("vipe evaluate properties --model")
    assert run["command"].endswith("--seed 5")
    assert (run["seed"], run["poses"], run["suite"]) == (5, 20, "properties")
    name = "mocap/cmu_mocap_test.npz"
    assert run["data"] == {name: sha256(data_folder / name)}
    assert sha256(Path(models["both"])) in run["models"]["test-model"]
    assert content["findings"]["summary"]["test-model"]
    assert list((tmp_path / "out").glob("plot-*.png"))
    assert "| test-model |" in (tmp_path / "out" / "results.md").read_text()
    page = tmp_path / "out" / "report.html"
    before = page.read_bytes()
    page.unlink()
    assert main(["evaluate", "properties", "--out", str(tmp_path / "out"), "--render-only"]) == 0
    assert page.read_bytes() == before
    for more in (["--render-only"], ["--model", models["both"], "--poses", "20"]):
        said = error_line("evaluate", "lifting", "--out", tmp_path / "out", *more)
        assert "holds results of properties: take another --out for lifting" in said


def test_frames_that_are_not_finite_are_counted(tmp_path, monkeypatch):
    monkeypatch.setenv("VIPE_DATA", str(tmp_path))
    write_motion_file(tmp_path / "m.npz", 30)
    with np.load(tmp_path / "m.npz") as file:
        content = dict(file)
    before = Source(("m.npz",)).left_out()
    usable = np.flatnonzero(content["frame_ok"])
    content["pose"][usable[5], 3] = np.nan
    np.savez(tmp_path / "m.npz", **content)
    (line,) = Source(("m.npz",)).left_out()
    assert line not in before
    assert int(line.split()[0]) == 1 + (int(before[0].split()[0]) if before else 0)
    assert "not finite" in line


def killed_after_a_part(words, out) -> None:
    """Start the command and kill it, with SIGKILL, when its first part is there."""
    process = subprocess.Popen(
        [str(VIPE), *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not list((out / "parts").glob("*.json")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_a_killed_run_goes_on_and_ends_with_the_same_findings(models, data, tmp_path):
    several = ["both", "other", "embedding", "pose"]
    out = tmp_path / "out"
    words = words_of(models, out, models_of=several)
    killed_after_a_part(words, out)
    assert not (out / "results.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in (out / "parts").glob("*.json")}
    assert 0 < len(kept) < 20
    assert main(words) == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # not computed again
    assert len(list((out / "parts").glob("*.json"))) == 20
    assert main(words_of(models, tmp_path / "whole", models_of=several)) == 0
    findings = [record.load(folder)[0] for folder in (out, tmp_path / "whole")]
    assert findings[0] == findings[1]


def test_other_inputs_are_other_parts_and_more_rows_are_not(models, data, tmp_path, monkeypatch):
    def parts(*more, models_of=("both",)) -> int:
        assert main(words_of(models, tmp_path, *more, models_of=models_of)) == 0
        return len(list((tmp_path / "parts").glob("*.json")))

    assert parts() == 5
    assert parts(models_of=("both", "other")) == 10
    assert parts("--seed", 1) == 15
    assert parts("--clusters", 2) == 20
    other = tmp_path / "other_data"
    shutil.copytree(data, other)
    # Other content under the same name.
    shutil.copy(other / "mocap/cmu_mocap_val.npz", other / "mocap/cmu_mocap_test.npz")
    monkeypatch.setenv("VIPE_DATA", str(other))
    assert parts() == 25
    assert parts() == 25


def write_broken_people(path: Path) -> Path:
    people = random_people(20)
    people[:, 3] = np.nan
    named = {"clip_start": np.array([0, 20]), "subject": np.array(["a"])}
    np.savez(path, pose=people, frame_ok=np.ones(20, bool), **named)
    return path


def test_mistakes_are_one_line_and_status_2(models, data, tmp_path, capsys):
    broken = write_broken_people(tmp_path / "mocap.npz")
    (tmp_path / "file").write_text("")
    (tmp_path / "with" / "results.json").mkdir(parents=True)
    suite, out = ["evaluate", "properties"], ["--out", tmp_path / "out"]
    model = [*suite, "--model", models["both"], *out]
    for words, message in (
        (["evaluate", "nothing"], "unknown suite 'nothing'; known: retrieval, partial"),
        ([*suite, *out, "--model", tmp_path / "none.onnx"], "none.onnx"),
        ([*model, "--people", "zoe"], "nobody is called zoe"),
        ([*model, "--data", "none.npz"], "no motion file"),
        ([*model, "--data", broken], "not one usable frame"),
        ([*model, "--poses", 1], "--poses must be at least 2"),
        ([*model, "--seed", -1], "--seed must not be negative"),
        ([*model, "--out", tmp_path / "file"], "is not a folder"),
        ([*model, "--out", tmp_path / "with"], "Is a directory"),
        ([*model, "--baselines", "luck"], "unknown baseline 'luck'"),
        ([*suite, *out, "--render-only"], "no results in"),
        (["evaluate", "retrieval", *model[2:], "--frame-keys", "k"], "--frame-keys needs --proto"),
        (["evaluate", "lifting", *model[2:], "--video", "v"], "need --protocol multiview"),
        (["evaluate", "actions", *model[2:], "--people", "e"], "actions goes by --set"),
        ([*suite, *out, "--what"], "unrecognized arguments: --what"),
    ):
        assert main([str(word) for word in words]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        (line,) = said.err.splitlines()
        assert message in line
    assert not (tmp_path / "out" / "results.json").exists()
    assert "no data folder" in error_line("evaluate", "properties", VIPE_DATA="nowhere")


def test_interrupted_says_that_parts_are_kept(models, data, tmp_path, monkeypatch, capsys):
    from vipe_training.evaluate.suites import properties

    def interrupted(task):
        raise KeyboardInterrupt

    monkeypatch.setattr(properties, "run", interrupted)
    assert main(words_of(models, tmp_path)) == 130
    assert "finished parts are kept" in capsys.readouterr().err
