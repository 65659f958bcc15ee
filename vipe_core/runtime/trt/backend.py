"""TensorRT behind :func:`vipe_core.runtime.load`."""

from __future__ import annotations

import hashlib
import shlex

import numpy as np

from vipe_core import model_file
from vipe_core.errors import VipeError
from vipe_core.model_file.check import LIMITS
from vipe_core.runtime.backend import Request, Unavailable
from vipe_core.runtime.trt import build, library
from vipe_core.runtime.trt.cache import EngineCache, Entry
from vipe_core.runtime.trt.engine import Engine
from vipe_core.runtime.trt.library import CLASSIC, RTX, Library
from vipe_core.runtime.trt.options import Options


class TensorRtBackend:
    """An engine out of the cache. ``run`` may be called from several threads at once."""

    def __init__(self, request: Request, name: str) -> None:
        """
        Raises:
            Unavailable: no library, no GPU, no engine (where none may be built), or none that
                runs and gives what the model gives.
            VipeError: a model file that is not in order.
        """
        self.name = name
        opened = model_file.read(request.path, request.data)
        self.metadata, self.check = opened.metadata, opened.check
        lib = library.open_library(name)
        entry = _engine_for(request, lib, self.metadata.precision)
        try:
            self._engine = self._start(lib, entry)
        except VipeError:
            entry = _again(request, lib, entry)
            self._engine = self._start(lib, entry)
        self.precision = entry.target.precision
        self.batch = self._engine.batch

    def run(self, points: np.ndarray, visibility: np.ndarray) -> dict[str, np.ndarray]:
        """See :class:`vipe_core.runtime.Backend`."""
        return self._engine.run(points, visibility)

    def _start(self, lib: Library, entry: Entry) -> Engine:
        """The engine, checked; raises Unavailable."""
        try:
            cache = EngineCache()
            kernels = cache.kernels(entry.target)
            engine = Engine(lib, cache.plan(entry), self.metadata, kernels)
            error = self.check.worst(engine.run(self.check.points, self.check.visibility))
        except VipeError as failure:
            raise Unavailable(str(failure)) from None
        limit = LIMITS[entry.target.precision]
        if not error <= limit:
            raise Unavailable(f"its engine is off by {error:.1e}, the limit is {limit:g}")
        return engine


def classic(request: Request) -> TensorRtBackend:
    """On JetPack's TensorRT."""
    return TensorRtBackend(request, CLASSIC)


def rtx(request: Request) -> TensorRtBackend:
    """On TensorRT for RTX."""
    return TensorRtBackend(request, RTX)


def find(request: Request, lib: Library) -> Entry | None:
    """The latest engine of the model, in the precision that is asked for, that this library
    runs on this GPU."""
    model = hashlib.sha256(request.data).hexdigest()
    device = lib.device
    for entry in EngineCache().entries():
        target = entry.target
        if (target.model, target.backend, target.version) != (model, lib.backend, lib.version):
            continue
        if request.precision not in (None, target.precision):
            continue
        here = device and (target.gpu, target.capability, target.cuda) == (
            device.name,
            device.capability,
            device.cuda,
        )
        if here or (device and device.capability in target.targets):
            return entry
    return None


def _engine_for(request: Request, lib: Library, precision: str) -> Entry:
    if found := find(request, lib):
        return found
    if not request.build:
        command = shlex.join(["vipe", "compile", str(request.path), "--backend", lib.backend])
        raise Unavailable(f"no engine of this model for this GPU yet; run: {command}")
    options = Options(batch=request.batch, precision=request.precision or precision)
    return _built(request, lib, options)


def _again(request: Request, lib: Library, entry: Entry) -> Entry:
    """An engine that is there and does not work is built once more."""
    target = entry.target
    EngineCache().remove(target)
    return _built(request, lib, Options(target.batch, target.precision, target.dla))


def _built(request: Request, lib: Library, options: Options) -> Entry:
    try:
        return build.ensure(request.path, lib.backend, options, EngineCache())
    except VipeError as error:
        raise Unavailable(str(error)) from None
