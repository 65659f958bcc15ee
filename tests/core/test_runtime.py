"""The runtime on real onnxruntime sessions."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.model_factory import (
    check_vectors,
    make_graph,
    make_metadata,
    make_model,
    short_mean,
    unrunnable,
    write_unchecked,
)
from vipe_core import model_file, runtime
from vipe_core.bodies import Estimates
from vipe_core.errors import VipeError

HEADS = {
    "mean": (16,),
    "variance": (16,),
    "mirror_mean": (16,),
    "mirror_variance": (16,),
    "joints": (17, 3),
    "std": (17,),
}
TASKS = {
    "embedding": ("mean", "variance", "mirror_mean", "mirror_variance"),
    "pose": ("joints", "std"),
    "embedding+pose": tuple(HEADS),
}


def heads(estimates: Estimates) -> dict[str, np.ndarray]:
    values = {field.name: getattr(estimates, field.name) for field in fields(estimates)}
    return {name: value for name, value in values.items() if value is not None}


def poses(count: int, seed: int = 0) -> np.ndarray:
    """(N, 13, 2) pixels."""
    return np.random.default_rng(seed).normal(300, 80, (count, 13, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "model.onnx", mirror=True)


@pytest.fixture(scope="module")
def model(path) -> runtime.Model:
    return runtime.load(path)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("count", [0, 1, 5])
def test_shapes_by_task(tmp_path, task, count):
    path = make_model(tmp_path / "model.onnx", task, mirror=task != "pose")
    found = heads(runtime.load(path)(poses(count), np.ones((count, 13))))
    assert {name: value.shape for name, value in found.items()} == {
        name: (count, *HEADS[name]) for name in TASKS[task]
    }
    assert {value.dtype for value in found.values()} == {np.dtype(np.float32)}


def test_what_a_model_says_of_itself(path, model):
    assert model.metadata == make_metadata()
    assert model.path == path
    assert model.backend == "onnxruntime-cpu"
    assert model.fingerprint == model_file.fingerprint(path)
    assert "test-model 1.2.3" in repr(model)


def test_equal_to_a_bare_session(path, model):
    points, visibility = poses(7), np.ones((7, 13), np.float32)
    points[2, 4] = np.nan
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    expected = session.run(names, {"keypoints": points, "visibility": visibility})
    found = heads(model(points, visibility))
    for name, value in zip(names, expected, strict=True):
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize("count", [runtime.BLOCK, runtime.BLOCK + 1, 2 * runtime.BLOCK + 3])
def test_blocks_give_what_single_poses_give(model, count):
    points = poses(count)
    found = heads(model(points))
    some = [0, runtime.BLOCK - 1, count - 1]
    single = heads(model(points[some]))
    for name, value in found.items():
        assert len(value) == count
        np.testing.assert_allclose(value[some], single[name], atol=1e-5)


def test_visibility_defaults_to_where_points_are(model):
    points = poses(3)
    points[1, 5] = np.nan
    seen = np.isfinite(points).all(-1).astype(np.float32)
    np.testing.assert_array_equal(model(points).variance, model(points, seen).variance)
    assert (model(points).variance[1] > model(points).variance[0]).all()


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e300])
def test_a_joint_with_one_bad_coordinate_is_missing(model, value):
    bad, missing = poses(2).astype(np.float64), poses(2)
    bad[0, 3, 1] = value
    missing[0, 3] = np.nan
    for name, found in heads(model(bad)).items():
        np.testing.assert_array_equal(found, heads(model(missing))[name])


def test_inputs_are_left_alone(model):
    points, visibility = poses(2), np.ones((2, 13), np.float32)
    points[0, 0] = [np.inf, 1]
    before = points.copy()
    model(points, visibility)
    np.testing.assert_array_equal(points, before)
    assert (visibility == 1).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int32])
def test_any_number_type_and_memory_order(model, dtype):
    points = poses(4).astype(dtype)
    turned = np.asfortranarray(points)[::-1]
    expected = model(points.astype(np.float32)).mean[::-1]
    np.testing.assert_allclose(model(turned).mean, expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(13, 2), (1, 17, 2), (1, 13, 3), (0,), (2, 1, 13, 2)])
def test_points_of_a_wrong_shape(model, shape):
    with pytest.raises(VipeError, match=r"points have shape .*, body13 needs \(N, 13, 2\)"):
        model(np.zeros(shape))


@pytest.mark.parametrize("shape", [(13,), (3, 13), (2, 12), (2, 13, 1)])
def test_visibility_of_a_wrong_shape(model, shape):
    with pytest.raises(VipeError, match=r"visibility has shape .*, expected \(2, 13\)"):
        model(poses(2), np.ones(shape))


def test_threads_share_one_model(model):
    batches = [poses(50, seed) for seed in range(16)]
    expected = [model(batch).joints for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        for found, wanted in zip(pool.map(model, batches), expected, strict=True):
            np.testing.assert_array_equal(found.joints, wanted)


def test_more_threads_give_the_same(path, model):
    found = runtime.load(path, threads=2)(poses(64))
    np.testing.assert_allclose(found.mean, model(poses(64)).mean, atol=1e-5)


def test_model_of_another_skeleton(tmp_path):
    model = runtime.load(make_model(tmp_path / "model.onnx", skeleton_2d="coco17"))
    assert model(np.ones((2, 17, 2))).mean.shape == (2, 16)


def test_backend_by_name(path):
    assert runtime.load(path, backend="onnxruntime").backend == "onnxruntime-cpu"


def test_unknown_backend(path):
    with pytest.raises(VipeError, match="unknown backend 'abacus'; known: auto, onnxruntime"):
        runtime.load(path, backend="abacus")


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_out_of_range(path, threads):
    with pytest.raises(VipeError, match="threads must be at least 1"):
        runtime.load(path, threads=threads)


def test_missing_file(tmp_path):
    with pytest.raises(VipeError, match="does not exist"):
        runtime.load(tmp_path / "none.onnx")


def test_damaged_file_says_one_line_and_onnxruntime_nothing(path, tmp_path):
    half = tmp_path / "half.onnx"
    half.write_bytes(path.read_bytes()[:2000])
    code = (
        "from vipe_core import errors, runtime\n"
        "try:\n"
        f"    runtime.load({str(half)!r})\n"
        "except errors.VipeError as error:\n"
        "    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout == f"{half} is not an ONNX file, or it is truncated or changed\n"


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (short_mean, r"mean has shape \(N, 15\), the metadata needs \(N, 16\)"),
        (unrunnable, "loads but does not run: .*[Rr]eshape"),
    ],
)
def test_a_graph_that_only_a_run_finds_out(tmp_path, graph, words):
    path = tmp_path / "model.onnx"
    text = make_metadata().to_json()
    write_unchecked(path, graph(), text, check_vectors().encode())
    with pytest.raises(VipeError, match=words):
        runtime.load(path)


def test_a_model_that_does_not_give_what_it_gave(tmp_path):
    check = check_vectors()
    outputs = {name: value + 0.01 for name, value in check.outputs.items()}
    path = tmp_path / "model.onnx"
    model_file.write(path, make_graph(), make_metadata(), replace(check, outputs=outputs))
    with pytest.raises(VipeError, match=r"does not give on onnxruntime-cpu .*off by 1\.0e-02"):
        runtime.load(path)


def test_the_first_backend_that_runs_is_taken_and_says_why(model):
    assert model.error < 1e-5
    assert model.precision == "fp32"
    names = [reason.partition(":")[0] for reason in model.passed_over]
    assert names == ["tensorrt", "tensorrt-rtx", "onnxruntime-cuda"]
    assert "this build of onnxruntime has no CUDA" in model.passed_over[-1]


def test_a_backend_that_is_asked_for_is_no_other(path):
    with pytest.raises(runtime.Unavailable, match="has no CUDA"):
        runtime.load(path, backend="onnxruntime-cuda")


def test_cuda_that_silently_is_the_cpu(path, monkeypatch):
    names = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    with pytest.raises(runtime.Unavailable, match="could not start CUDA"):
        runtime.load(path, backend="onnxruntime-cuda")
    assert runtime.load(path, backend="onnxruntime").backend == "onnxruntime-cpu"


def test_cuda_that_raises_is_passed_over(path, monkeypatch):
    """As with a driver that is older than the CUDA that onnxruntime was built with."""
    session = onnxruntime.InferenceSession

    def refuse(*args, providers, **options):
        if providers[0] != "CPUExecutionProvider":
            raise RuntimeError("/src/call.cc:121 void CudaCall(int, ...) CUDA failure 35: too old")
        return session(*args, providers=providers, **options)

    names = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    model = runtime.load(path)
    assert model.backend == "onnxruntime-cpu"
    assert model.passed_over[-1].endswith("CUDA failure 35: too old")


def test_an_error_of_any_kind_passes_a_backend_over(path, monkeypatch):
    def broken(request):
        raise TypeError("factory function returned nullptr")

    monkeypatch.setitem(runtime.BACKENDS, "tensorrt", broken)
    assert "TypeError: factory function" in runtime.load(path).passed_over[0]
    with pytest.raises(runtime.Unavailable, match="TypeError: factory"):
        runtime.load(path, "tensorrt")


@pytest.mark.parametrize("batch", [0, (), (8, -1)])
def test_batch_out_of_range(path, batch):
    with pytest.raises(VipeError, match="batch sizes must be at least 1"):
        runtime.load(path, batch=batch)


def test_unknown_precision(path):
    with pytest.raises(VipeError, match="unknown precision 'fp8'; known: fp32, fp16, int8"):
        runtime.load(path, precision="fp8")


def test_without_onnxruntime_it_says_what_to_install(path):
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from vipe_core import errors, runtime\n"
        "try:\n"
        f"    runtime.load({str(path)!r})\n"
        "except errors.VipeError as error:\n"
        "    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install -e '.[onnx]'" in done.stdout
