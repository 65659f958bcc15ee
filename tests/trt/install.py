"""Put the stand-ins where ``import tensorrt`` and ``import cuda.bindings.runtime`` find them.

    with installed(tmp_path, version="10.3.0", gpu="Orin") as env:
        model = runtime.load(path)                            # in this process
        vipe("doctor", **env)                                 # in another one
        assert records(env) and cuda_stand_in.state()["mistakes"] == []

In this process an import that came before is put aside, and comes back at the end.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.trt import bindings, gpu
from tests.trt.settings import VARIABLE, Settings

SHIM = '''"""Made for a test: becomes the stand-in that the environment describes."""

import sys

sys.path.append({root!r})
try:
    from tests.trt import gpu
    from tests.trt.{stand_in} import make_module
    from tests.trt.settings import Settings
finally:
    sys.path.remove({root!r})
made = make_module(Settings.read(), gpu.current())
made.__spec__, made.__file__, made.__path__ = __spec__, __file__, []
sys.modules[__name__] = made
'''
NAMES = ("tensorrt", "tensorrt_rtx", "cuda")


@contextmanager
def installed(folder: Path, version: str = "10.3.0", **settings: Any) -> Iterator[dict[str, str]]:
    """The stand-ins for this process and, by the environment that it gives, for others.

    ``settings``: the fields of ``Settings``. Skips the test where the real bindings, which say
    what the stand-ins may know, are not installed. The GPU of this process is a new one.
    """
    try:
        full = described(version, folder, settings)
    except bindings.NotInstalled as error:
        pytest.skip(str(error))
    home = folder / f"stand-ins-{len(list(folder.glob('stand-ins-*')))}"
    home.mkdir()
    full.write(home / "settings.json")
    write_shims(home, full)
    old_path = os.environ.get("PYTHONPATH")
    environment = {
        "PYTHONPATH": os.pathsep.join([str(home), *([old_path] if old_path else [])]),
        VARIABLE: str(home / "settings.json"),
    }
    saved = {name: sys.modules.pop(name) for name in list(sys.modules) if is_ours(name)}
    old = {name: os.environ.get(name) for name in environment}
    old_gpu = gpu._current
    os.environ.update(environment)
    sys.path.insert(0, str(home))
    importlib.invalidate_caches()
    gpu.start(full)
    try:
        yield environment
    finally:
        gpu._current = old_gpu
        sys.path.remove(str(home))
        for name, value in old.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        for name in [name for name in sys.modules if is_ours(name)]:
            del sys.modules[name]
        sys.modules.update(saved)
        importlib.invalidate_caches()


def described(version: str, folder: Path, settings: dict[str, Any]) -> Settings:
    """The settings with the dumps that they are held to."""
    full = Settings(version=version, **{"record": str(folder / "record.jsonl"), **settings})
    api = bindings.api_file(full.flavour, version)
    cuda_api = bindings.api_file("cuda", full.cuda)
    return replace(full, api=str(api), cuda_api=str(cuda_api))


def write_shims(home: Path, settings: Settings) -> None:
    root = str(bindings.ROOT)
    package = home / settings.flavour
    package.mkdir()
    (package / "__init__.py").write_text(SHIM.format(root=root, stand_in="tensorrt_stand_in"))
    cuda = home / "cuda" / "bindings"
    cuda.mkdir(parents=True)
    # As in the real distribution ``cuda`` is a namespace package, ``cuda.bindings`` is not.
    (cuda / "__init__.py").write_text(f"__version__ = {settings.cuda!r}\n")
    (cuda / "runtime.py").write_text(SHIM.format(root=root, stand_in="cuda_stand_in"))


def is_ours(name: str) -> bool:
    return name.partition(".")[0] in NAMES


def records(env: dict[str, str]) -> list[dict[str, Any]]:
    """What was used, read, set, logged and looked for in vain, in this process and others."""
    path = Path(Settings.read(env[VARIABLE]).record)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
