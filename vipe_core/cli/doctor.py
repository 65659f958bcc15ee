"""``vipe doctor``."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from vipe_core import __version__, assets, model_file, runtime
from vipe_core.cli.common import Parser
from vipe_core.errors import VipeError
from vipe_core.runtime.trial import latency

OK, ABSENT, FAIL = "ok", "-", "FAIL"
SECONDS = 1.0  # how long the model is timed

# Major version of rclpy per ROS 2 release: pip's wheels set no ROS_DISTRO.
_DISTROS = {"3": "humble", "4": "iron", "7": "jazzy", "9": "kilted"}
_ASK_RMW = (
    "from rclpy.utilities import get_rmw_implementation_identifier as rmw; print('rmw', rmw())"
)


class Row(NamedTuple):
    """One line of the table. ``advice`` says what to do unless the state is OK."""

    what: str
    state: str
    detail: str
    advice: str = ""


def run(argv: list[str]) -> int:
    """Check this installation: versions, model, backends, assets, ROS, and the model's speed.

    Exit status 0 when everything that is needed works, 1 when a row says FAIL. A row with
    "-" is optional and absent.
    """
    parser = Parser("doctor", run.__doc__, "doctor")
    parser.add_model()
    args = parser.parse_args(argv)
    parts = (software, accelerators, _detector, _ros, _trainer)
    rows = [row for part in parts for row in part()]
    rows += _model(args.model)
    print(table(rows))
    return 1 if any(row.state == FAIL for row in rows) else 0


def software() -> Iterator[Row]:
    old = sys.version_info < (3, 10)
    python = f"{platform.python_version()} {platform.machine()}"
    yield Row("python", FAIL if old else OK, python, "VIPE needs Python 3.10 or newer")
    yield Row("vipe", OK, f"{__version__} in {Path(__file__).parents[2]}")
    for name in ("numpy", "scipy", "tqdm"):
        yield _package(name, FAIL, f"pip install {name}")
    yield _package("onnxruntime", FAIL, "pip install -e '.[onnx]'", _providers)


def accelerators() -> Iterator[Row]:
    """What an engine of TensorRT needs; not imported, which may end the process."""
    advice = "only engines need it: see docs/deploy_jetson.md"
    for module, package in (
        ("tensorrt", "tensorrt"),
        ("tensorrt_rtx", "tensorrt_rtx_cu13"),
        ("cuda.bindings", "cuda-bindings"),
    ):
        yield _installed(module, package, advice)
    yield _installed("onnx", "onnx", "engines in fp16 and training need it: pip install onnx")


def _detector() -> Iterator[Row]:
    advice = "only the built-in detector needs it: pip install -e '.[detector]'"
    yield _package("ai_edge_litert", ABSENT, advice)
    yield _package("cv2", ABSENT, advice)
    for name in assets.NAMES:
        try:
            yield Row(name, OK, str(assets.path(name)))
        except VipeError as error:
            damaged = (assets.folder() / name).exists()
            yield Row(name, FAIL if damaged else ABSENT, str(error), "run: vipe fetch")


def _ros() -> Iterator[Row]:
    if find_spec("rclpy") is None:
        yield Row("rclpy", ABSENT, "not found", "only the nodes need it: source ROS 2 first")
        return
    have = _version("rclpy")
    distro = os.environ.get("ROS_DISTRO") or _DISTROS.get(have.partition(".")[0], "?")
    yield Row("rclpy", OK, f"{have} ({distro})")
    yield _rmw()
    built = find_spec("vipe_msgs") is not None
    advice = "only the nodes need it: build the workspace (see README) and source it"
    yield Row("vipe_msgs", *((OK, "found") if built else (ABSENT, "not found", advice)))


def _rmw() -> Row:
    """Asked in a process of its own: this package never imports rclpy."""
    named = os.environ.get("RMW_IMPLEMENTATION", "default")
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK_RMW], capture_output=True, text=True, timeout=60
        )
    except subprocess.TimeoutExpired:
        return Row("rmw", FAIL, f"{named}: no answer in 60 s", "check RMW_IMPLEMENTATION")
    said = [line[4:] for line in done.stdout.splitlines() if line.startswith("rmw ")]
    if said:
        return Row("rmw", OK, said[0])
    last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
    return Row("rmw", FAIL, f"{named}: {last}", "check RMW_IMPLEMENTATION and the ROS set-up")


def _trainer() -> Iterator[Row]:
    # Not imported: the version tells enough, and torch takes seconds.
    yield _installed("torch", "torch", "only training needs it: pip install -e '.[train]'")


def _model(path: Path | None) -> Iterator[Row]:
    try:
        model = runtime.load(path or model_file.default_path())
    except VipeError as error:
        yield Row("model", FAIL, str(error), "set VIPE_MODEL or pass --model FILE.onnx")
        return
    info = model.metadata
    yield Row("model", OK, f"{info.name} {info.version}, {info.task}, {model.path}")
    for reason in model.passed_over:
        name, _, why = reason.partition(": ")
        yield Row(name, ABSENT, "not used", why)
    yield Row("backend", OK, f"{model.backend} in {model.precision}, file {model.fingerprint}")
    for batch in (1, 64):
        median, p99 = latency(model, batch, SECONDS / 2)
        yield Row(f"{batch} at a time", OK, f"{median:.0f} us median, {p99:.0f} us p99, a call")


def _installed(module: str, package: str, advice: str) -> Row:
    """A row of a package that is not imported."""
    try:
        here = find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it
        here = False
    if here:
        return Row(package, OK, _version(package))
    return Row(package, ABSENT, "not found", advice)


def _package(name: str, absent: str, advice: str, detail: Callable[[], str] = lambda: "") -> Row:
    """Imports the package: one that is there and does not load is a failure."""
    if find_spec(name) is None:
        return Row(name, absent, "not found", advice)
    try:
        __import__(name)
        return Row(name, OK, f"{_version(name)} {detail()}".strip())
    except Exception as error:  # a broken binary package may raise anything at import
        first = (str(error).splitlines() or [""])[0]
        return Row(name, FAIL, f"does not load: {type(error).__name__}: {first}", advice)


def _version(name: str) -> str:
    module = sys.modules.get(name)
    try:
        return str(getattr(module, "__version__", None) or version(name))
    except PackageNotFoundError:
        return "version unknown"


def _providers() -> str:
    import onnxruntime

    return f"({', '.join(onnxruntime.get_available_providers())})"


def table(rows: list[Row]) -> str:
    width = max(len(row.what) for row in rows)
    lines = []
    for what, state, detail, advice in rows:
        lines.append(f"{what:<{width}}  {state:<4}  {detail}")
        if state != OK and advice:
            lines.append(f"{'':<{width}}        -> {advice}")
    return "\n".join(lines)
