"""What a measurement depends on, in hashes and versions."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vipe_core import __version__
from vipe_core.errors import VipeError
from vipe_core.runtime import Model
from vipe_training.datasets import data_root
from vipe_training.datasets.cache import INDEX, sha256
from vipe_training.evaluate.contestants import row_names

_PACKAGES = ("numpy", "scipy", "onnxruntime")


def data_hashes(names: Sequence[str]) -> dict[str, str]:
    """SHA-256 of each motion file, or of a cache's ``index.json``.

    The index holds the SHA-256 of every field, so gigabytes need not be read for it.

    Raises:
        VipeError: there is no such file or cache.
    """
    root = data_root()
    return {name: _hash(root / name) for name in names}


def _hash(path: Path) -> str:
    file = path / INDEX if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        raise VipeError(f"{path} is no data cache: no {INDEX} in it (vipe data prepare makes one)")
    if not file.is_file():
        raise VipeError(f"no motion file or cache {path}: docs/data.md says how to get or make one")
    return sha256(file)


def option_hashes(options: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of every file that an option names as a Path, alone or in a list."""
    found = {}
    for name, value in options.items():
        for path in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(path, Path) and path.is_file():
                found[f"--{name.replace('_', '-')} {path}"] = sha256(path)
    return found


def model_hashes(models: Sequence[Model]) -> dict[str, str]:
    """Row name -> name, version and SHA-256 of the file."""
    return {
        row: f"{model.metadata.name} {model.metadata.version}, SHA-256 {sha256(model.path)}"
        for row, model in zip(row_names(models), models, strict=True)
    }


def versions() -> dict[str, str]:
    """Of VIPE, Python and the packages that compute."""
    found = {"vipe": __version__, "python": platform.python_version()}
    return found | {name: version(name) for name in _PACKAGES}


def code_hash() -> str:
    """First 12 digits of the SHA-256 of the code that measures: how it is shown is left out.

    A part that older code computed must not be taken for one of today's.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(here.rglob("*.py")):
        if path.parent.name != "report":
            digest.update(path.relative_to(here).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]
