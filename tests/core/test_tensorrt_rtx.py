"""NVIDIA's real compiler on the shipped models. It needs no GPU to compile, only to run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import error_line, vipe
from tests.model_factory import make_model
from tests.trt import cuda_stand_in
from tests.trt.install import installed, records
from vipe_core import runtime
from vipe_core.runtime.trt.cache import EngineCache

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed: make test brings it")

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "models").glob("*.onnx"))

pytestmark = pytest.mark.usefixtures("engines")


# 7.5 has no products in float32.
TARGETS = {"fp32": ("8.6", "8.9", "12.0"), "fp16": ("7.5", "8.6", "8.9", "12.0")}
VERSION = "1.7.1.116"


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_model_compiles(path, precision):
    names = ",".join(TARGETS[precision])
    done = vipe("compile", path, "--precision", precision, "--compute-capability", names)
    assert done.returncode == 0, done
    (entry,) = EngineCache().entries()
    assert entry.target.targets == TARGETS[precision]
    assert (entry.target.backend, entry.target.version) == ("tensorrt-rtx", VERSION)
    # The weights are in the plan once, not once per batch size.
    size = 1.0 if precision == "fp32" else 0.5
    assert entry.bytes > size * weights(path)
    assert EngineCache().plan(entry)


def weights(path: Path) -> int:
    """Bytes of the weight matrices in float32."""
    import onnx

    graph = onnx.load(path).graph
    return 4 * sum(int(onnx.numpy_helper.to_array(w).size) for w in graph.initializer)


def test_a_gpu_that_has_no_float32_products():
    line = error_line_of("compile", SHIPPED[0], "--compute-capability", "7.5")
    assert "TensorRT cannot build the engine: " in line
    assert "FP32 GEMM is not supported" in line


def test_an_unknown_compute_capability():
    line = error_line_of("compile", SHIPPED[0], "--compute-capability", "9.9")
    assert "compute capability 9.9 is not among 7.5, 8.0, 8.6, 8.9, 12.0, 12.1" in line


def error_line_of(*words: object) -> str:
    """The last line on stderr: what goes before says what is being done."""
    done = vipe(*words)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr.splitlines()[-1]


def test_no_gpu_to_build_for():
    line = error_line("compile", SHIPPED[0], "--backend", "tensorrt-rtx")
    assert "cuda-bindings is not installed" in line or "no NVIDIA driver answers" in line


@pytest.mark.parametrize("ahead", [True, False], ids=["compiled ahead", "built here"])
def test_life_cycle(tmp_path, ahead):
    """On the names of the real bindings; the plan is the stand-in's, the real one wants a GPU."""
    path = make_model(tmp_path / "model.onnx")
    cpu = runtime.load(path, "onnxruntime-cpu")
    machine = {"version": VERSION, "flavour": "tensorrt_rtx", "gpu": "RTX 4060"}
    machine |= {"capability": (8, 9), "cuda": "13.2.0"}
    with installed(tmp_path, **machine) as env:
        if ahead:
            words = ("compile", path, "--compute-capability", "8.6,8.9", "--batch", 2)
            assert vipe(*words, **env).returncode == 0
            assert runtime.load(path).backend == "tensorrt-rtx"
        model = runtime.load(path, "tensorrt-rtx", 2)
        points, _ = example(model)
        assert abs(model(points).mean - cpu(points).mean).max() < 1e-5
        assert cuda_stand_in.state()["mistakes"] == []
        # What the first run compiled for this GPU is there for the next one.
        runtime.load(path, "tensorrt-rtx")
        kept = [line["name"] for line in records(env) if line["kind"] == "kernels"]
        assert kept == ["kept"] * (2 if ahead else 1)
    with installed(tmp_path, **machine | {"gpu": "RTX 3060", "capability": (8, 6)}):
        assert runtime.load(path).backend == ("tensorrt-rtx" if ahead else "onnxruntime-cpu")


def example(model: runtime.Model):
    from vipe_core.model_file.check import example_inputs

    return example_inputs(model.metadata, 5)
