"""The real bindings of NVIDIA on a machine without a driver: never a crash, always a reason.

Each process imports the real Python packages; only the libraries that they load are empty.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli import vipe
from tests.model_factory import make_model
from tests.trt import bindings
from vipe_core import keypoint_file
from vipe_core.keypoint_file import KeypointFile

# Of TensorRT, and the cuda-bindings that go with it.
VERSIONS = {
    "8.6.1": "12.9.4",
    "10.3.0": "12.9.4",
    "10.13.3.9": "13.2.0",
    "10.16.1.11": "13.2.0",
    "11.4.0.106": "13.2.0",
}


@pytest.fixture(scope="module", params=VERSIONS)
def env(request, tmp_path_factory) -> dict[str, str]:
    """Environment of a process that finds the real bindings."""
    tensorrt = bindings.INSTALLED / "tensorrt" / request.param
    cuda = bindings.INSTALLED / "cuda" / VERSIONS[request.param]
    if not tensorrt.is_dir() or not cuda.is_dir():
        pytest.skip(f"the bindings of TensorRT {request.param} are not installed")
    folder = tmp_path_factory.mktemp("no-driver")
    (folder / "tensorrt").mkdir()
    # What NVIDIA's own package `tensorrt` does, which cannot be installed without its libraries.
    (folder / "tensorrt" / "__init__.py").write_text(
        "from tensorrt_bindings import *\nfrom tensorrt_bindings import __version__\n"
    )
    (folder / "libraries").mkdir()
    bindings.build_stubs(folder / "libraries", request.param.partition(".")[0])
    path = os.pathsep.join(map(str, (folder, tensorrt, cuda)))
    child = bindings.environment(Path(path), folder / "libraries")
    return child | {"VIPE_ENGINES": str(folder / "engines")}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "m.onnx")


def test_the_bindings_are_real(env):
    code = "import tensorrt, cuda.bindings.runtime as c; print(tensorrt.Builder, c.__file__)"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert "tensorrt_bindings.tensorrt.Builder" in done.stdout, done
    assert ".so" in done.stdout


def test_models_run_on_the_cpu(env, model, tmp_path):
    clip = tmp_path / "clip.npz"
    people = bodies()
    keypoint_file.write(clip, people)
    done = vipe("embed", clip, tmp_path / "out.npz", "--model", model, **env)
    assert (done.returncode, done.stderr) == (0, "")


def bodies() -> KeypointFile:
    points = np.random.default_rng(0).normal(300, 80, (4, 13, 2))
    return KeypointFile(points, np.ones((4, 13)), "body13")


def test_the_doctor_says_why(env, model):
    done = vipe("doctor", "--model", model, **env)
    assert done.stderr == ""  # the status is ROS's, whose libraries this environment hides
    assert "onnxruntime-cpu in fp32" in done.stdout
    assert "-> no NVIDIA driver answers (cudaGetDeviceCount: cudaError" in done.stdout


def test_compiling_is_refused_in_one_line(env, model):
    done = vipe("compile", model, "--backend", "tensorrt", **env)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "no NVIDIA driver answers" in line


def test_a_builder_without_a_driver_ends_only_its_own_process(env, model, tmp_path):
    """What the process for a build says when it gets as far as the real Builder."""
    code = (
        "import sys, tensorrt\n"
        "from vipe_core.errors import VipeError\n"
        "from vipe_core.runtime.trt.network import build_plan, make_log\n"
        "from vipe_core.runtime.trt.options import Options\n"
        "try:\n"
        "    build_plan(tensorrt, b'', Options(), make_log(tensorrt))\n"
        "except (VipeError, TypeError) as error:\n"
        "    print('said', error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stdout.startswith("said "), done
