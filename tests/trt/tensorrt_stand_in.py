"""``tensorrt`` with the names of one version, and onnxruntime's numbers.

    trt = make_module(settings, gpu)
    builder = trt.Builder(trt.Logger())

What TensorRT refuses is refused here, with an error through the logger: see ``wrong_build`` and
``IExecutionContext``. What only TensorRT could tell (speed, memory, rounding) is not played.
"""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.trt import tensorrt_builder, tensorrt_engine, tensorrt_network
from tests.trt.api import Api
from tests.trt.gpu import Gpu
from tests.trt.settings import Settings
from tests.trt.strict import Maker, Recorder, StrictModule


def make_module(settings: Settings, gpu: Gpu) -> StrictModule:
    world = World(settings, gpu)
    return world.maker.module(settings.flavour)


class World:
    """What the behaviours share."""

    def __init__(self, settings: Settings, gpu: Gpu) -> None:
        self.settings, self.gpu = settings, gpu
        self.api = Api.load(settings.api)
        self.major = int(self.api.version.partition(".")[0])
        self.record = Recorder(settings.record)
        self.maker = Maker(self.api, behaviours(), self.record, self)
        if settings.flavour == "tensorrt_rtx":
            # Its networks are strongly typed and its numbering starts again at 1.
            self.major = 11

    @property
    def defaults(self) -> dict[str, Any]:
        """Of the properties of a configuration that can be set."""
        gpu = self.maker.make("DeviceType").__members__["GPU"]
        levels = self.maker.make("HardwareCompatibilityLevel").__members__
        return {
            "builder_optimization_level": 3,
            "DLA_core": -1,
            "default_device_type": gpu,
            "hardware_compatibility_level": levels["NONE"],
        }

    def dims(self, shape: Any) -> Any:
        return self.maker.make("Dims")(list(shape))

    def memory(self, data: bytes) -> Any:
        made = self.maker.new("IHostMemory")
        bytearray.__init__(made, data)
        return made

    def severity(self, name: str) -> Any:
        return self.maker.make("ILogger.Severity").__members__[name]

    def log(self, logger: Any, severity: str, text: str) -> None:
        self.record.add("log", severity, text=text)
        logger.log(self.severity(severity), text)

    def machine(self) -> str:
        return f"{self.api.version} {self.settings.gpu} {self.settings.capability}"

    def open(self, logger: Any, what: str) -> None:
        """What a builder and a runtime need: a logger that was initialised, and a GPU."""
        if "crash" in self.settings.faults and what == "createInferBuilder":
            tensorrt_builder.crash()
        if not getattr(logger, "_ready", False):
            raise TypeError("ILogger.__init__() must be called when overriding __init__")
        # TensorRT-RTX builds for GPUs that are elsewhere.
        ahead = self.settings.flavour == "tensorrt_rtx"
        if self.settings.devices <= 0 and not ahead:
            code = 35 if self.settings.devices < 0 else 100
            text = f"{what}: CUDA initialization failure with error: {code}"
            self.log(logger, "ERROR", text)
            raise TypeError("pybind11::init(): factory function returned nullptr")


def behaviours() -> SimpleNamespace:
    """Every class of the three modules, and the functions below, by the real name."""
    found: dict[str, Any] = {"volume": volume, "nptype": nptype}
    for module in (tensorrt_builder, tensorrt_engine, tensorrt_network):
        for name, value in vars(module).items():
            if inspect.isclass(value) and value.__module__ == module.__name__:
                found[name] = value
    return SimpleNamespace(**found)


def volume(world: World, iterable: Any) -> int:
    return int(np.prod(tuple(iterable)))


def nptype(world: World, trt_type: Any) -> Any:
    kinds = {"FLOAT": np.float32, "HALF": np.float16, "INT8": np.int8, "INT32": np.int32}
    kinds |= {"INT64": np.int64, "BOOL": np.bool_, "UINT8": np.uint8}
    if trt_type.name not in kinds:
        raise TypeError(f"Could not resolve TensorRT datatype {trt_type} to a numpy type")
    return kinds[trt_type.name]
