"""TensorRT behind :func:`vipe_core.runtime.load`."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator

import numpy as np

from vipe_core import model_file
from vipe_core.errors import VipeError
from vipe_core.model_file.check import LIMITS
from vipe_core.runtime.backend import Request, Unavailable
from vipe_core.runtime.trt import build, host
from vipe_core.runtime.trt.cache import Damaged, EngineCache, Entry
from vipe_core.runtime.trt.engine import Engine, Refused
from vipe_core.runtime.trt.host import CLASSIC, RTX, Library
from vipe_core.runtime.trt.options import Options


class TensorRtBackend:
    """An engine out of the cache. ``run`` may be called from several threads at once."""

    def __init__(self, request: Request, name: str) -> None:
        """
        Raises:
            Unavailable: no library, no GPU, or no engine that runs and gives what the model
                gives. Where ``request.build`` allows, one is built before this is said.
            VipeError: a model file that is not in order.
        """
        self.name = name
        lib = host.open_library(name)  # asked first: mostly there is none
        opened = model_file.read(request.path, request.data)
        self.metadata, self.check = opened.metadata, opened.check
        entry, self._engine = self._first_that_runs(request, lib)
        self.precision = entry.target.precision
        self.batch = self._engine.batch

    def run(self, points: np.ndarray, visibility: np.ndarray) -> dict[str, np.ndarray]:
        """See :class:`vipe_core.runtime.Backend`."""
        return self._engine.run(points, visibility)

    def _first_that_runs(self, request: Request, lib: Library) -> tuple[Entry, Engine]:
        """The latest engine that works; where engines may be built, a new one after that."""
        cache, reason = EngineCache(), None
        options = Options(request.batch, request.precision or self.metadata.precision)
        for entry in find(request, lib):
            try:
                return entry, self._start(lib, entry)
            except VipeError as error:
                if reason is None:
                    reason, options = error, build.options_of(entry.target)
                if isinstance(error, (Damaged, Refused)):
                    cache.remove(entry)  # it is of no use to anybody
        if not request.build:
            raise Unavailable(_what_to_do(request, lib, options, reason))
        try:
            force = reason is not None  # what is there does not work
            entry = build.ensure(request.path, lib.backend, options, cache, force=force)
            return entry, self._start(lib, entry)
        except VipeError as error:
            raise Unavailable(str(error)) from None

    def _start(self, lib: Library, entry: Entry) -> Engine:
        """The engine, checked; raises VipeError."""
        cache = EngineCache()
        kernels = cache.kernels(entry.target)
        engine = Engine(lib, cache.plan(entry), self.metadata, kernels)
        error = self.check.worst(engine.run(self.check.points, self.check.visibility))
        limit = LIMITS[entry.target.precision]
        if not error <= limit:
            raise VipeError(f"its engine is off by {error:.1e}, the limit is {limit:g}")
        return engine


def classic(request: Request) -> TensorRtBackend:
    """On JetPack's TensorRT."""
    return TensorRtBackend(request, CLASSIC)


def rtx(request: Request) -> TensorRtBackend:
    """On TensorRT for RTX."""
    return TensorRtBackend(request, RTX)


def find(request: Request, lib: Library) -> Iterator[Entry]:
    """Engines of the model, in the precision that is asked for, that this library runs on this
    GPU; the latest first."""
    model = hashlib.sha256(request.data).hexdigest()
    device = lib.device
    for entry in EngineCache().entries():
        target = entry.target
        if (target.model, target.backend, target.version) != (model, lib.backend, lib.version):
            continue
        if device is None or request.precision not in (None, target.precision):
            continue
        built_here = (target.gpu, target.capability, target.cuda) == (
            device.name,
            device.capability,
            device.cuda,
        )
        if built_here or device.capability in target.targets:
            yield entry


def _what_to_do(request: Request, lib: Library, options: Options, reason: VipeError | None) -> str:
    """Why there is no engine, and the command that makes one."""
    words = ["vipe", "compile", str(request.path), "--backend", lib.backend]
    if options.precision != "fp32":
        words += ["--precision", options.precision]
    if reason is None:
        return f"no engine of this model for this GPU yet; run: {shlex.join(words)}"
    return f"{reason}; run: {shlex.join([*words, '--force'])}"
