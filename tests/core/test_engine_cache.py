"""The engine cache: nothing half-written is loaded, whatever happens to a build."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli import VIPE, error_line, vipe
from tests.model_factory import make_model
from tests.trt.install import installed
from tests.waiting import wait_for
from vipe_core import runtime
from vipe_core.errors import VipeError
from vipe_core.runtime.trt import build
from vipe_core.runtime.trt.cache import EngineCache, Entry
from vipe_core.runtime.trt.options import Options

pytestmark = pytest.mark.usefixtures("engines")


@pytest.fixture
def path(tmp_path) -> Path:
    return make_model(tmp_path / "model.onnx")


def built(path: Path, **options) -> Entry:
    return build.ensure(path, "tensorrt", Options(**{"batch": (1,), **options}), EngineCache())


def only(folder: Path, suffix: str) -> Path:
    (found,) = folder.glob(f"*{suffix}")
    return found


def test_an_engine_is_built_once(tmp_path, path):
    lines: list[str] = []
    with installed(tmp_path):
        first = built(path)
        again = build.ensure(path, "tensorrt", Options((1,)), EngineCache(), lines.append)
        assert (again, lines) == (first, [])
        forced = build.ensure(path, "tensorrt", Options((1,)), EngineCache(), lines.append, True)
    assert forced.target == first.target
    assert lines == ["building test-model for tensorrt 10.3.0, Orin, fp32"]


def test_what_is_known_of_an_engine(tmp_path, path, engines):
    with installed(tmp_path, version="10.16.1.11", gpu="Thor", capability=(11, 0), cuda="13.2.0"):
        entry = built(path, batch=(8, 1), precision="fp16")
    told = json.loads(only(engines, ".json").read_text())["target"]
    assert (told["version"], told["gpu"], told["capability"]) == ("10.16.1.11", "Thor", "11.0")
    assert (told["precision"], told["batch"]) == ("fp16", [1, 8])
    assert entry.error is not None
    assert entry.error < 2e-2
    assert EngineCache().entries() == [entry]


@pytest.mark.parametrize(
    "other",
    [
        {"gpu": "Xavier"},
        {"capability": (7, 2)},
        {"version": "10.13.3.9"},
        {"cuda": "13.2.0"},
    ],
)
def test_an_engine_of_another_machine_is_not_loaded(tmp_path, path, other):
    with installed(tmp_path):
        built(path)
    with installed(tmp_path, **other):
        model = runtime.load(path)
        assert model.backend == "onnxruntime-cpu"
        assert "no engine of this model for this GPU yet" in model.passed_over[0]
        assert runtime.load(path, "tensorrt").backend == "tensorrt"  # built for this one
        assert len(EngineCache().entries()) == 2


def test_another_workspace_is_another_engine(tmp_path, path):
    with installed(tmp_path):
        assert built(path, workspace=64).target.key != built(path, workspace=128).target.key
        assert built(path, batch=(4, 1, 4)) == built(path, batch=(1, 4))


def test_a_changed_model_needs_another_engine(tmp_path, path):
    with installed(tmp_path):
        built(path)
        make_model(path, version="2.0.0")
        assert runtime.load(path).backend == "onnxruntime-cpu"


def test_the_engine_built_last_is_taken_or_the_one_asked_for(tmp_path, path, monkeypatch):
    with installed(tmp_path):
        for number, precision in enumerate(("fp32", "fp16", "fp32")):
            entry = built(path, precision=precision, batch=(1 + number,))
            # A second has passed: the stamp in the file counts whole ones.
            later = replace(entry, built=f"2030-01-01T00:00:0{number}+00:00")
            text = json.dumps({"format": 1, **json.loads(json.dumps(vars_of(later)))})
            (EngineCache().folder / f"{entry.target.key}.json").write_text(text)
        assert runtime.load(path).precision == "fp32"
        assert runtime.load(path, precision="fp16").precision == "fp16"


def vars_of(entry: Entry) -> dict:
    return {**vars(entry), "target": vars(entry.target)}


def test_two_in_one_process_share_the_engine(tmp_path, path):
    with installed(tmp_path):
        built(path)
        models = [runtime.load(path) for _ in range(2)]
        assert {model.backend for model in models} == {"tensorrt"}


# Damage.


@pytest.mark.parametrize("how", ["truncated", "changed", "empty", "gone", "replaced"])
def test_a_damaged_plan_is_built_anew(tmp_path, path, engines, how):
    with installed(tmp_path):
        built(path)
        plan = only(engines, ".plan")
        data = plan.read_bytes()
        if how == "gone":
            plan.unlink()
        else:
            changed = bytes([data[0], data[1] ^ 1, *data[2:]])
            contents = {
                "truncated": data[:-7],
                "changed": changed,
                "empty": b"",
                "replaced": b"x" * len(data),
            }
            plan.write_bytes(contents[how])
        built(path)  # does not say that all is well
        assert plan.read_bytes() == data
        assert runtime.load(path, "tensorrt").backend == "tensorrt"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"format": 1}', '{"format": 2, "target": {}}', "\xff" * 9]
)
def test_a_sheet_that_is_none_is_passed_over(tmp_path, path, engines, text):
    with installed(tmp_path):
        built(path)
        only(engines, ".json").write_text(text)
        assert EngineCache().entries() == []
        assert runtime.load(path).backend == "onnxruntime-cpu"
        assert runtime.load(path, "tensorrt").backend == "tensorrt"


def test_every_field_of_a_sheet_is_looked_at(tmp_path, path, engines):
    with installed(tmp_path):
        built(path)
    sheet = only(engines, ".json")
    right = json.loads(sheet.read_text())
    for name in (*right, *(f"target.{name}" for name in right["target"])):
        wrong = json.loads(json.dumps(right))
        owner = wrong["target"] if name.startswith("target.") else wrong
        del owner[name.removeprefix("target.")]
        sheet.write_text(json.dumps(wrong))
        assert EngineCache().entries() == [], name
    sheet.write_text(json.dumps(right))
    assert len(EngineCache().entries()) == 1


@pytest.mark.parametrize("wrong", [None, 3, "x", [], {}, True])
def test_every_kind_in_a_sheet_is_looked_at(tmp_path, path, engines, wrong):
    with installed(tmp_path):
        built(path)
    sheet = only(engines, ".json")
    right = json.loads(sheet.read_text())
    for name in (*right, *(f"target.{name}" for name in right["target"])):
        changed = json.loads(json.dumps(right))
        owner = changed["target"] if name.startswith("target.") else changed
        owner[name.removeprefix("target.")] = wrong
        sheet.write_text(json.dumps(changed))
        for entry in EngineCache().entries():
            assert str(entry)  # what is let through can be shown


def test_a_sheet_under_another_name(tmp_path, path, engines):
    with installed(tmp_path):
        built(path)
        for file in list(engines.iterdir()):
            file.rename(file.with_name(f"0{file.name[1:]}"))
        assert EngineCache().entries() == []


# Several processes.


def start(model: Path, **environment: str) -> subprocess.Popen[str]:
    """``vipe compile`` as a process of its own, in a group that can be killed as one."""
    return subprocess.Popen(
        [str(VIPE), "compile", str(model), "--backend", "tensorrt", "--batch", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def test_two_processes_at_once_build_one_engine(tmp_path, path, engines):
    hold, holding = tmp_path / "hold", tmp_path / "holding"
    hold.touch()
    with installed(tmp_path, hold=str(hold), holding=str(holding)) as env:
        first = start(path, **env)
        wait_for(holding.exists, "the first to build")
        second = start(path, **env)
        assert second.stderr is not None
        line = second.stderr.readline()
        hold.unlink()
        assert finished(first)[0] == finished(second)[0] == 0
    assert "another process is building this engine: waiting for it" in line
    assert len(EngineCache().entries()) == 1
    assert list(engines.glob("*.part")) == []


@pytest.mark.parametrize("whom", ["all", "worker", "parent"])
def test_killed_while_building(tmp_path, path, engines, whom):
    hold, holding = tmp_path / "hold", tmp_path / "holding"
    hold.touch()
    with installed(tmp_path, hold=str(hold), holding=str(holding)) as env:
        process = start(path, **env)
        wait_for(holding.exists, "the build")
        (worker,) = children(process.pid)
        if whom == "all":
            os.killpg(process.pid, signal.SIGKILL)
            assert finished(process)[0] == -signal.SIGKILL
        elif whom == "parent":
            process.terminate()
            assert finished(process)[0] == -signal.SIGTERM
            # Nobody waits for its engine any more, and another build may want the memory.
            wait_for(lambda: not Path(f"/proc/{worker}").exists(), "the worker to end")
        else:
            os.kill(worker, signal.SIGKILL)
            status, said = finished(process)
            assert status == 2
            assert "the process for the build was ended by SIGKILL (no memory left?" in said
        # A half-written plan, as a kill in the middle of writing leaves it.
        lock = only(engines, ".lock")
        lock.with_suffix(".part").write_bytes(b"half")
        assert EngineCache().entries() == []
        assert runtime.load(path).backend == "onnxruntime-cpu"
        hold.unlink()
        assert built(path).error is not None
        assert runtime.load(path).backend == "tensorrt"
    assert list(engines.glob("*.part")) == []


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


# Places.


def test_a_cache_of_nobody(path, monkeypatch):
    monkeypatch.setenv("VIPE_ENGINES", "~no-such-user/engines")
    assert "VIPE_ENGINES names ~no-such-user" in error_line("compile", "--list")
    assert runtime.load(path).backend == "onnxruntime-cpu"


def test_no_room_for_the_copy_of_the_model(tmp_path, path, monkeypatch):
    with installed(tmp_path):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
        with pytest.raises(VipeError, match=r"cannot build an engine: .*No such file"):
            built(path)


def test_a_cache_that_cannot_be_written(tmp_path, path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VIPE_ENGINES", str(tmp_path / "file" / "engines"))
    words = r"the engine cache .* cannot be written: Not a directory; name another .* VIPE_ENGINES"
    with installed(tmp_path):
        with pytest.raises(VipeError, match=words):
            built(path)
        assert runtime.load(path).backend == "onnxruntime-cpu"
        with pytest.raises(runtime.Unavailable, match=words):
            runtime.load(path, "tensorrt")


def test_a_cache_without_permission(tmp_path, path, engines, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")  # chmod would not stop root

    with installed(tmp_path):
        monkeypatch.setattr(Path, "mkdir", refuse)
        with pytest.raises(VipeError, match="cannot be written: Permission denied"):
            built(path)
        monkeypatch.undo()


def test_a_full_disk(tmp_path, path):
    """A real file system of 32 kB, for a plan of 60."""
    make_model(path, embedding_size=512)
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a file system is not allowed here")
    try:
        with installed(tmp_path) as env:
            words = ("compile", path, "--backend", "tensorrt", "--batch", 1)
            done = vipe(*words, **env | {"VIPE_ENGINES": str(folder)})
        assert done.returncode == 2
        said, line = done.stderr.splitlines()
        assert said.startswith("vipe compile: building test-model")
        assert "No space left on device" in line
        assert {file.suffix for file in folder.iterdir()} <= {".lock", ".timing"}
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_plan_larger_than_files_may_be(tmp_path, path):
    make_model(path, embedding_size=512)
    code = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (32_000, 32_000))\n"
        "from vipe_core.cli import main\n"
        f"sys.exit(main(['compile', {str(path)!r}, '--backend', 'tensorrt', '--batch', '1']))"
    )
    with installed(tmp_path, record="") as env:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | env
        )
    assert done.returncode == 2
    assert "File too large" in done.stderr.splitlines()[-1]
    assert EngineCache().entries() == []


# Cleaning.


def test_clean_leaves_alone_what_is_not_ours(tmp_path, path, engines):
    with installed(tmp_path):
        entry = built(path)
    others = ("config.json", "floor.plan", "download.part", "notes.timing", "abc-def.plan")
    for name in others:
        (engines / name).touch()
    # What a process left that was killed while it wrote.
    (engines / f".{entry.target.key}.json.123.part").touch()
    (engines / f"{entry.target.key}.part").touch()
    EngineCache().clean()
    left = {file.name for file in engines.iterdir() if file.suffix != ".lock"}
    assert left == set(others)


def test_clean_leaves_alone_what_is_being_built(tmp_path, path, engines):
    with installed(tmp_path):
        entry = built(path)
        with EngineCache().building(entry.target):
            EngineCache().clean()
            assert EngineCache().entries() == [entry]
        EngineCache().clean()
    assert EngineCache().entries() == []
