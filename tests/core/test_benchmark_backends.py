"""The benchmark of the backends: its rows, its floor and the processes that it starts. No times."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks import backends, busy, floor, gpu, memory, nodes, robot, run, timing
from benchmarks.timing import Row
from tests.model_factory import make_model
from vipe_core import runtime


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "model.onnx", mirror=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Turns so short that a row takes no time."""
    monkeypatch.setattr(timing, "TURNS", 3)
    monkeypatch.setattr(timing, "TURN_SECONDS", 1e-5)
    monkeypatch.setattr(busy, "PAUSE", 0)


OTHERS = [name for name in runtime.BACKENDS if name != backends.CPU]
SKIPPED = [f"{name}: skipped, not on this machine" for name in OTHERS]


@pytest.fixture
def only_cpu(monkeypatch) -> None:
    """No backend but the one that is everywhere."""

    def missing(request: object) -> runtime.Backend:
        raise runtime.Unavailable("not on this machine")

    for name in OTHERS:
        monkeypatch.setitem(runtime.BACKENDS, name, missing)


@pytest.mark.usefixtures("only_cpu")
def test_every_backend_gives_rows_or_a_line(path):
    found = list(backends.rows(path))
    assert [line for line in found if isinstance(line, str)] == SKIPPED
    rows = [row for row in found if isinstance(row, Row)]
    sizes = [f"onnxruntime-cpu, batch {batch}" for batch in (1, 8, 64, 1024)]
    assert [row.what for row in rows] == [*sizes, *sizes, "onnxruntime-cpu, 64 people"]
    assert {row.unit for row in rows} == {"ms"}
    assert [row.aim for row in rows] == [1.1] * 4 + [None] * 4 + [0.5]
    assert all(row.baseline.startswith("floor: ") for row in rows[4:8])
    assert all(math.isfinite(row.ratio) and row.ratio > 0 for row in rows)


@pytest.mark.usefixtures("only_cpu")
def test_loading_is_a_row(path):
    *lines, row = backends.load_rows(path)
    assert lines == SKIPPED
    assert isinstance(row, Row)
    assert (row.what, row.baseline) == ("load, onnxruntime-cpu", "onnxruntime-cpu session alone")


def test_the_slower_of_two_has_the_larger_share():
    row = timing.compare_timers("a", "b", lambda calls: 2e-3, lambda calls: 1e-3, aim=None)
    assert (row.value, row.baseline_value, row.ratio) == pytest.approx((2, 1, 2))
    assert str(row).endswith(" -")


def test_work_of_a_graph(path):
    work = floor.work_of(path)
    mean, pose = 26 * 16, 26 * 51
    assert work.multiply_adds == 2 * mean + pose  # the mirrored twin has a mean too
    assert work.rows == 1
    assert 4 * (mean + pose) < work.weight_bytes < 4 * (mean + pose + 200)


def test_floor_is_the_larger_of_reading_and_multiplying():
    with floor.Floor() as worker:
        reads = worker.limit(floor.Work(weight_bytes=4_000_000, multiply_adds=1, rows=1), 1)
        assert reads.name == "floor: reading 4 MB"
        assert reads.task in floor.READERS
        many = floor.Work(weight_bytes=4096, multiply_adds=100 * floor.WIDTH**2, rows=1)
        multiplies = worker.limit(many, 16)
        assert multiplies.task == "product"
        assert multiplies.scale * multiplies.size == 1600
        for limit in (reads, multiplies):
            seconds = worker.timer(limit)(2)
            assert math.isfinite(seconds)
            assert seconds > 0
    assert worker.process.returncode == 0


@pytest.mark.parametrize("task", floor.READERS)
def test_readers_touch_the_whole_array(task):
    values = np.arange(4 * floor.WIDTH, dtype=np.float32)
    call = floor.READERS[task](values)
    assert isinstance(call, partial)
    read = [a.size for a in call.args if isinstance(a, np.ndarray) and a.size > floor.WIDTH]
    assert values.size in read
    call()


def test_the_busy_process_ends():
    with busy.busy_core() as process:
        assert process.poll() is None
    assert process.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_the_busy_process_ends_when_something_goes_wrong():
    with pytest.raises(RuntimeError), busy.busy_core() as process:
        raise RuntimeError
    assert process.returncode is not None


def test_the_busy_process_does_not_outlive_who_started_it():
    code = (
        "import os\nfrom benchmarks.busy import busy_core\n"
        "process = busy_core().__enter__()\nprint(process.pid, flush=True)\nos._exit(0)"
    )
    command = [sys.executable, "-c", code]
    # The spinner holds this pipe: it is at its end only when both are gone.
    done = subprocess.run(command, cwd=floor.ROOT, capture_output=True, text=True, timeout=30)
    assert int(done.stdout) > 0


def test_rows_of_the_busy_core(path):
    found = list(busy.rows(path))
    if len(os.sched_getaffinity(0)) < 2:
        assert found[0].startswith("busy: skipped")
        return
    assert [row.what for row in found] == [
        f"onnxruntime-cpu, batch {batch}, other core {load}"
        for load in ("idle", "busy")
        for batch in (1, 8)
    ]
    assert [row.aim for row in found] == [None, None, 1.0, 1.0]


def test_affinity_is_given_back():
    before = os.sched_getaffinity(0)
    with busy.two_cores():
        assert len(os.sched_getaffinity(0)) <= 2
    assert os.sched_getaffinity(0) == before


def test_memory_of_stages(path):
    stages = {"Python": "import sys", "more": "kept = bytearray(50_000_000)"}
    found = memory.stage_memory(path, stages)
    assert found["more"] - found["Python"] == pytest.approx(50, abs=5)
    row = memory.memory_row("a", "b", found["more"], found["Python"])
    assert row.unit == "MB"
    assert memory.memory_of(os.getpid())["Rss"] > 5


def test_no_ros_is_a_line(path, monkeypatch):
    monkeypatch.setattr(robot, "find_spec", lambda name: None)
    for group, name in ((memory, "memory"), (nodes, "nodes")):
        assert list(group.rows(path)) == [f"{name}: skipped, no rclpy here: make demo sets it up"]


def test_no_gpu_is_a_line(path):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert list(gpu.rows(path)) == ["gpu: skipped, there is none here"]


def test_the_network_for_a_cuda_graph_needs_nothing_of_the_host():
    torch = pytest.importorskip("torch")
    system = gpu.shipped_system()
    feed = gpu.torch_feed(2)
    # A tensor that is left on the CPU cannot be used with those on the device meta.
    outputs = gpu.on_device(system, feed, "meta")(*(tensor.to("meta") for tensor in feed))
    assert all(output.device.type == "meta" for output in outputs)
    assert all(weight.device.type == "cpu" for weight in system.parameters())
    assert torch.equal(feed[1], torch.ones(2, 13))


@pytest.mark.usefixtures("only_cpu")
def test_the_command_writes_rows_and_the_machine(path, tmp_path, capsys):
    out = tmp_path / "bench.json"
    assert run.main(["--model", str(path), "--out", str(out), "--only", "load"]) == 0
    found = json.loads(out.read_text())
    assert [row["group"] for row in found["rows"]] == ["load"]
    assert found["rows"][0]["unit"] == "ms"
    assert found["lines"] == SKIPPED
    assert {"cpu", "cores", "onnxruntime", "load", "load at the end"} <= found.keys()
    assert "load, onnxruntime-cpu" in capsys.readouterr().out
