"""The API of the real bindings, written down once per version by a child process.

The TensorRT bindings need libnvinfer and the like only to be loaded; a stub library with the
symbols that the loader looks for is enough to import them without TensorRT or a GPU.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tests.trt.api import Api

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = ROOT / ".venv"
TENSORRT_VERSIONS = ("8.6.1", "10.3.0", "10.13.3.9", "10.16.1.11", "11.4.0.106")
CUDA_VERSIONS = ("12.9.4", "13.2.0")
MODULES = {
    "tensorrt": "tensorrt_bindings",
    "tensorrt_rtx": "tensorrt_rtx_bindings",
    "cuda": "cuda.bindings.runtime",
}

LIBRARIES = ("nvinfer", "nvonnxparser", "nvparsers", "nvinfer_plugin")
SYMBOLS = (
    *("createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL"),
    *("createNvOnnxParserRefitter_INTERNAL", "createNvOnnxParser_INTERNAL"),
    *("getBuilderPluginRegistry", "getNvOnnxParserVersion", "getPluginRegistry"),
    *("initLibNvInferPlugins", "_ZN11nvuffparser15createUffParserEv"),
    "_ZN11nvuffparser8FieldMapC1EPKcPKvNS_9FieldTypeEi",
    *("_ZN14nvcaffeparser117createCaffeParserEv", "_ZN14nvcaffeparser123shutdownProtobufLibraryEv"),
)


class NotInstalled(Exception):
    """The real bindings of a version are not there; tools/fetch_bindings.sh gets them."""


@cache
def tensorrt_api(version: str) -> Api:
    return Api.load(api_file("tensorrt", version))


@cache
def cuda_api(version: str) -> Api:
    return Api.load(api_file("cuda", version))


def api_file(package: str, version: str) -> Path:
    """The dump of ``package`` (tensorrt, tensorrt_rtx, cuda), made if missing or out of date.

    TensorRT-RTX is taken from the present python's packages, whatever version is there.
    """
    module = MODULES[package]
    folder = INSTALLED / package / version
    if package == "tensorrt_rtx":
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise NotInstalled("tensorrt_rtx is not installed")
        folder = Path(spec.origin).parents[1]
    if not (folder / module.partition(".")[0]).is_dir():
        raise NotInstalled(f"{folder} is not there: run tools/fetch_bindings.sh")
    path = INSTALLED / "tensorrt" / "api" / f"{package}-{version}.json"
    source = Path(__file__).with_name("dump.py")
    newest = max(source.stat().st_mtime, folder.stat().st_mtime)
    if not path.is_file() or path.stat().st_mtime < newest:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as stubs:
            if package == "tensorrt":
                build_stubs(Path(stubs), version.partition(".")[0])
            run_dump(module, path, environment(folder, stubs))
    return path


def build_stubs(folder: Path, major: str) -> None:
    """Libraries that the bindings of a major version load; no function in them does anything."""
    source = folder / "stub.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in SYMBOLS))
    first = folder / f"lib{LIBRARIES[0]}.so.{major}"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", first, source], check=True)
    for name in LIBRARIES[1:]:
        (folder / f"lib{name}.so.{major}").write_bytes(first.read_bytes())


def environment(folder: Path, libraries: str | Path) -> dict[str, str]:
    """Of a child that imports what lies in ``folder`` and finds ``libraries``."""
    return os.environ | {
        "PYTHONPATH": str(folder),
        "LD_LIBRARY_PATH": str(libraries),
        "PYTHONDONTWRITEBYTECODE": "1",
        # Otherwise the start-up hook of the ROS wheels starts python again with its own paths.
        "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1",
    }


def run_dump(module: str, out: Path, child: dict[str, str]) -> None:
    script = Path(__file__).with_name("dump.py")
    command = [sys.executable, "-W", "ignore", str(script), module, str(out)]
    done = subprocess.run(command, env=child, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise NotInstalled(f"{module} cannot be imported: {done.stderr[-2000:]}")
