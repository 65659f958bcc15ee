"""The TensorRT backend through its whole life, on bindings that are held to the real ones.

The stand-in knows exactly the names and signatures of the real Python bindings of the version it
plays, and computes with onnxruntime: what passes here uses nothing that the version lacks.
"""

from __future__ import annotations

import gc
import re
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.model_factory import make_model
from tests.trt import cuda_stand_in, plan
from tests.trt.install import installed, records
from vipe_core import runtime
from vipe_core.errors import VipeError
from vipe_core.precision import whole_weights
from vipe_core.runtime.trt import build, host
from vipe_core.runtime.trt.cache import EngineCache, Entry
from vipe_core.runtime.trt.network import hold_to_float32, make_log
from vipe_core.runtime.trt.options import Options

VERSIONS = ("8.6.1", "10.3.0", "10.13.3.9", "10.16.1.11", "11.4.0.106")
ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "models" / "vipe.onnx"

pytestmark = pytest.mark.usefixtures("engines")


# What a version may lack and is asked for: the code looks before it uses them.
LOOKED_FOR = {"NetworkDefinitionCreationFlag.STRONGLY_TYPED", "LayerType.FULLY_CONNECTED"}


def poses(count: int, seed: int = 0) -> np.ndarray:
    """(N, 13, 2) pixels."""
    return np.random.default_rng(seed).normal(300, 80, (count, 13, 2)).astype(np.float32)


@pytest.fixture
def path(tmp_path) -> Path:
    return make_model(tmp_path / "model.onnx", mirror=True)


def same(model: runtime.Model, other: runtime.Model, points: np.ndarray, atol: float) -> None:
    found, wanted = vars(model(points)), vars(other(points))
    for name, value in wanted.items():
        if value is not None:
            np.testing.assert_allclose(found[name], value, atol=atol, rtol=atol)


def header(entry: Entry) -> dict:
    """What the stand-in knows of the build of a plan."""
    return plan.unpack(EngineCache().plan(entry))[0]


def builds(env: dict[str, str]) -> int:
    return Counter(line["kind"] for line in records(env))["build"]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("version", VERSIONS)
def test_life_cycle(version, precision, tmp_path):
    cpu = runtime.load(SHIPPED, "onnxruntime-cpu")
    with installed(tmp_path, version=version) as env:
        model = runtime.load(SHIPPED, "tensorrt", (1, 4), precision=precision)
        assert (model.backend, model.precision) == ("tensorrt", precision)
        for count in (1, 2, 4, 5, 11):  # below, between, at and beyond the profiles
            points = poses(count)
            points[0, 3] = np.nan
            same(model, cpu, points, 1e-3 if precision == "fp32" else 2e-2)
        used = records(env)
        # Another process finds the engine that this one built.
        again = runtime.load(SHIPPED, "auto")
        assert (again.backend, again.precision, again.passed_over) == ("tensorrt", precision, ())
        assert builds(env) == 1
        assert cuda_stand_in.state()["mistakes"] == []
        del model, again
        gc.collect()
        alive = ("device", "host", "streams", "graphs", "executables", "contexts", "engines")
        assert {name: cuda_stand_in.state()[name] for name in alive} == dict.fromkeys(alive, 0)
    missed = {line["name"] for line in used if line["kind"] == "missing"}
    assert {name.removeprefix("tensorrt.") for name in missed} <= LOOKED_FOR
    calls = {line["name"] for line in used if line["kind"] == "call"}
    assert any(name.endswith("execute_async_v3") for name in calls)


def test_8_6_computes_only_matrices_in_half(tmp_path):
    """Every layer that reads or writes float32 is held to it, comparisons of pixels too."""
    with installed(tmp_path, version="8.6.1"):
        import tensorrt as trt

        builder = trt.Builder(make_log(trt))
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
        parser = trt.OnnxParser(network, make_log(trt))
        assert parser.parse(whole_weights(SHIPPED.read_bytes()))
        before = {i: network.get_layer(i).precision for i in range(network.num_layers)}
        hold_to_float32(trt, network)
        held = {"float": 0, "free": 0, "comparison": 0}
        for i in range(network.num_layers):
            layer = network.get_layer(i)
            reads = [layer.get_input(k) for k in range(layer.num_inputs)]
            writes = [layer.get_output(k) for k in range(layer.num_outputs)]
            floats = [t for t in (*reads, *writes) if t is not None and t.dtype == trt.float32]
            if layer.type in (trt.LayerType.MATRIX_MULTIPLY, trt.LayerType.FULLY_CONNECTED):
                assert layer.precision == before[i]
                held["free"] += 1
            elif floats and layer.type not in (trt.LayerType.CONSTANT, trt.LayerType.SHAPE):
                assert layer.precision == trt.float32
                held["float"] += 1
                held["comparison"] += any(t.dtype == trt.bool for t in writes)
        assert held["free"] == 13
        assert held["comparison"] >= 3
        assert held["float"] > 50


def test_8_6_may_share_profiles_and_choose_fp16(tmp_path, path):
    with installed(tmp_path, version="8.6.1") as env:
        runtime.load(path, "tensorrt", precision="fp16")
        flags = [line for line in records(env) if line["name"].endswith("set_flag")]
        assert len(flags) == 2  # fp16, and that constraints hold
        assert any(line["name"].endswith("set_preview_feature") for line in records(env))


def test_a_call_allocates_nothing_and_is_one_graph(tmp_path, path):
    with installed(tmp_path):
        model = runtime.load(path, "tensorrt", (1, 8))
        before = cuda_stand_in.state()
        for count in (1, 8, 3, 1) * 5:
            model(poses(count))
        after = cuda_stand_in.state()
    assert after["allocations"] == before["allocations"]
    assert after["captures"] == before["captures"] == 2  # a graph per batch size
    assert after["launches"] - before["launches"] == 20
    assert after["mistakes"] == []


def test_callers_at_once_have_a_context_each(tmp_path, path):
    cpu = runtime.load(path, "onnxruntime-cpu")
    batches = [poses(1 + seed % 6, seed) for seed in range(24)]
    with installed(tmp_path, version="8.6.1", seconds=0.003):
        model = runtime.load(path, "tensorrt", (1, 4))
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(model, batches))
        assert cuda_stand_in.state()["mistakes"] == []
        assert 1 <= cuda_stand_in.state()["streams"] <= 4
    for result, batch in zip(found, batches, strict=True):
        np.testing.assert_allclose(result.joints, cpu(batch).joints, atol=1e-5)


def test_an_engine_that_cannot_be_captured_runs_all_the_same(tmp_path, path):
    cpu = runtime.load(path, "onnxruntime-cpu")
    with installed(tmp_path, faults=("capture",)):
        model = runtime.load(path, "tensorrt", (2,))
        same(model, cpu, poses(5), 1e-5)
        assert cuda_stand_in.state()["launches"] == 0


def test_windows_of_frames(tmp_path):
    path = make_model(tmp_path / "window.onnx", frames=7)
    points = np.random.default_rng(0).normal(300, 80, (3, 7, 13, 2)).astype(np.float32)
    cpu = runtime.load(path, "onnxruntime-cpu")
    with installed(tmp_path):
        same(runtime.load(path, "tensorrt", (2,)), cpu, points, 1e-5)


def test_dla_with_fallback_to_the_gpu(tmp_path, path):
    with installed(tmp_path, dla_cores=2) as env:
        entry = build.ensure(path, "tensorrt", Options((1,), "fp16", dla=1), EngineCache())
        assert entry.target.dla == 1
        assert "DLA core 1" in str(entry)
        assert header(entry)["device"] == "DLA"
        assert "GPU_FALLBACK" in header(entry)["flags"]
        names = [line["name"] for line in records(env) if line["kind"] == "set"]
        assert any(name.endswith("DLA_core") for name in names)
        assert runtime.load(path).backend == "tensorrt"


def test_another_board_with_the_same_gpu(tmp_path, path, monkeypatch):
    """The driver calls every Orin the same; the device tree does not."""
    board = tmp_path / "board"
    monkeypatch.setattr(host, "BOARD", board)
    board.write_bytes(b"NVIDIA Jetson Orin NX\0")
    with installed(tmp_path):
        entry = build.ensure(path, "tensorrt", Options((1,)), EngineCache())
        assert entry.target.gpu == "Orin, NVIDIA Jetson Orin NX"
        assert runtime.load(path).backend == "tensorrt"
        board.write_bytes(b"NVIDIA Jetson Orin Nano\0")
        assert runtime.load(path).backend == "onnxruntime-cpu"


def test_no_dla(tmp_path, path):
    with installed(tmp_path), pytest.raises(VipeError, match=r"no DLA core 0: .* has none"):
        build.ensure(path, "tensorrt", Options((1,), "fp16", dla=0), EngineCache())


def test_builds_on_one_gpu_share_their_timings(tmp_path, path, engines):
    with installed(tmp_path) as env:
        for precision in ("fp32", "fp16"):
            build.ensure(path, "tensorrt", Options((1,), precision), EngineCache())
        (timing,) = engines.glob("*.timing")
        assert timing.stat().st_size > 0
        names = [line["name"] for line in records(env) if line["kind"] == "call"]
        assert sum(name.endswith("create_timing_cache") for name in names) == 2


def test_the_workspace_is_limited(tmp_path, path):
    with installed(tmp_path):
        entry = build.ensure(path, "tensorrt", Options((1,), workspace=64), EngineCache())
    assert header(entry)["limits"] == {"WORKSPACE": 64 << 20}


@pytest.mark.parametrize("version", VERSIONS)
def test_float32_is_not_rounded_to_ten_bits(tmp_path, path, version):
    with installed(tmp_path, version=version):
        entry = build.ensure(path, "tensorrt", Options((1,)), EngineCache())
    assert "TF32" not in header(entry)["flags"]


# What falls back, and what is said.

# Settings, what is said, and whether the engine is of no use to anybody.
FALLS_BACK = {
    "no device": ({"devices": 0}, "no NVIDIA driver answers .*cudaErrorNoDevice", False),
    "no driver": (
        {"devices": -1},
        "no NVIDIA driver answers .*cudaErrorInsufficientDriver",
        False,
    ),
    "no memory": ({"faults": ("no memory",)}, "cudaMalloc: cudaErrorMemoryAllocation", False),
    "wrong numbers": ({"faults": ("wrong",)}, "off by", False),
    "no numbers": ({"faults": ("nan",)}, "off by nan", False),
    "refused": ({"faults": ("deserialize",)}, "refuses the engine", True),
    "no runtime": ({"faults": ("runtime",)}, "cannot start: .*nullptr", False),
}


@pytest.mark.parametrize("fault", FALLS_BACK)
def test_an_engine_that_does_not_work_any_more(tmp_path, path, fault):
    settings, words, useless = FALLS_BACK[fault]
    with installed(tmp_path):
        runtime.load(path, "tensorrt")
    with installed(tmp_path, record=str(tmp_path / "later.jsonl"), **settings) as env:
        model = runtime.load(path)
        assert model.backend == "onnxruntime-cpu"
        (reason,) = [why for why in model.passed_over if why.startswith("tensorrt: ")]
        assert builds(env) == 0  # a start never takes minutes
        assert len(EngineCache().entries()) == (0 if useless else 1)
        with pytest.raises(runtime.Unavailable, match=words):
            runtime.load(path, "tensorrt")
        # Who asks for TensorRT lets it try once more.
        assert builds(env) == (0 if "devices" in settings else 1)
    assert re.search(words, reason), reason
    with installed(tmp_path):  # what was a passing fault has passed
        assert runtime.load(path).backend == ("onnxruntime-cpu" if useless else "tensorrt")


def test_an_older_engine_takes_the_place_of_one_that_is_damaged(tmp_path, path):
    with installed(tmp_path) as env:
        for batch in ((1,), (2,)):
            build.ensure(path, "tensorrt", Options(batch), EngineCache())
        latest, other = EngineCache().entries()
        file = EngineCache().folder / f"{latest.target.key}.plan"
        file.write_bytes(b"x" * latest.bytes)
        assert runtime.load(path).backend == "tensorrt"
        assert EngineCache().entries() == [other]
        assert builds(env) == 2


def test_auto_never_builds(tmp_path, path):
    with installed(tmp_path) as env:
        model = runtime.load(path)
        assert model.backend == "onnxruntime-cpu"
        assert f"run: vipe compile {path} --backend tensorrt" in model.passed_over[0]
        assert builds(env) == 0


@pytest.mark.parametrize(
    ("fault", "words"),
    [("parse", "cannot read the model: "), ("build", "cannot build the engine: ")],
)
def test_a_build_that_fails_says_why(tmp_path, path, engines, fault, words):
    with installed(tmp_path, faults=(fault,)), pytest.raises(VipeError, match=words):
        build.ensure(path, "tensorrt", Options((1,)), EngineCache())
    assert [file for file in engines.iterdir() if file.suffix != ".lock"] == []


def test_a_builder_that_ends_its_process(tmp_path, path):
    with (
        installed(tmp_path, faults=("crash",)),
        pytest.raises(runtime.Unavailable, match="the process for the build was ended by SIGSEGV"),
    ):
        build.ensure(path, "tensorrt", Options((1,)), EngineCache())


def test_an_engine_that_differs_is_not_kept(tmp_path, path, engines):
    with (
        installed(tmp_path, faults=("wrong",)),
        pytest.raises(VipeError, match=r"is off by 1\.0e-01, the limit for fp32 .* not kept"),
    ):
        build.ensure(path, "tensorrt", Options((1,)), EngineCache())
    assert EngineCache().entries() == []


def test_an_engine_that_gives_nan_is_not_kept(tmp_path, path):
    with installed(tmp_path, faults=("nan",)), pytest.raises(VipeError, match="is off by nan"):
        build.ensure(path, "tensorrt", Options((1,)), EngineCache())
    assert EngineCache().entries() == []


def test_a_model_in_fp16_is_no_model_in_fp32(tmp_path, path):
    with installed(tmp_path), pytest.raises(VipeError, match=r"computes in fp32: .*int8 cannot"):
        build.ensure(path, "tensorrt", Options((1,), "int8"), EngineCache())


def test_packages_that_are_missing(tmp_path, path, monkeypatch):
    with installed(tmp_path):
        for name in [n for n in sys.modules if n.partition(".")[0] == "cuda"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "cuda", None)
        with pytest.raises(runtime.Unavailable, match=r"cuda-bindings is not installed: pip"):
            runtime.load(path, "tensorrt")
    with pytest.raises(runtime.Unavailable, match=r"tensorrt is not installed .*JetPack"):
        runtime.load(path, "tensorrt")


def test_a_package_that_does_not_load(tmp_path, path, monkeypatch):
    with installed(tmp_path):
        (tmp_path / "broken" / "tensorrt").mkdir(parents=True)
        (tmp_path / "broken" / "tensorrt" / "__init__.py").write_text("import no_such_library")
        monkeypatch.syspath_prepend(str(tmp_path / "broken"))
        with pytest.raises(runtime.Unavailable, match=r"tensorrt does not load: .*no_such_library"):
            runtime.load(path, "tensorrt")
