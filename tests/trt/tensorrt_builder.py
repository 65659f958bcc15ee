"""Loggers, shapes, the builder, its configuration and what it makes of a network."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tests.trt import plan
from tests.trt.strict import Behaviour
from tests.trt.tensorrt_network import FLOATS

SEVERITIES = ("INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE")
PRECISIONS = ("FP16", "BF16", "INT8", "FP8", "INT4", "FP4")
CACHE = b"timing-cache:"


class ILogger(Behaviour):
    def __init__(self) -> None:
        self._ready = True

    def log(self, severity: Any, msg: str) -> None:
        raise NotImplementedError("ILogger.log must be overridden")


class Logger(Behaviour):
    def __init__(self, min_severity: Any = None) -> None:
        self._ready = True
        self._kept_min_severity = min_severity or self._world.severity("WARNING")

    def log(self, severity: Any, msg: str) -> None:
        if int(severity) <= int(self._kept_min_severity):
            print(f"[TRT] [{severity.name[0]}] {msg}", file=sys.stderr)


class Dims(Behaviour):
    def __init__(self, shape: Any = ()) -> None:
        if len(shape) > 8:
            raise ValueError(f"Input length {len(shape)}. Max expected length is 8")
        self._sizes = [int(size) for size in shape]

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, index: Any) -> Any:
        found = self._sizes[index]
        return tuple(found) if isinstance(index, slice) else found

    def __eq__(self, other: object) -> bool:
        return tuple(self._sizes) == tuple(other)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return str(tuple(self._sizes))


class DataType(Behaviour):
    @property
    def itemsize(self) -> int:
        sizes = {"FLOAT": 4, "INT32": 4, "HALF": 2, "BF16": 2, "INT64": 8}
        return sizes.get(self.name, 1)  # type: ignore[attr-defined]


class IHostMemory(Behaviour):
    _base = bytearray

    @property
    def nbytes(self) -> int:
        return memoryview(self).nbytes  # type: ignore[arg-type]


class Builder(Behaviour):
    def __init__(self, logger: Any) -> None:
        self._world.open(logger, "createInferBuilder")
        self._logger = logger

    @property
    def num_DLA_cores(self) -> int:
        return self._world.settings.dla_cores

    @property
    def platform_has_fast_fp16(self) -> bool:
        return True

    @property
    def platform_has_fast_int8(self) -> bool:
        return True

    @property
    def logger(self) -> Any:
        return self._logger

    def create_network(self, flags: int = 0) -> Any:
        world, bits = self._world, int(flags)
        known = world.api.enum_members("NetworkDefinitionCreationFlag")
        unknown = bits & ~sum(1 << value for value in known.values())
        if bits < 0:
            raise TypeError("create_network(): incompatible function arguments")
        if unknown:
            world.log(self._logger, "ERROR", f"createNetworkV2: unknown flags {unknown:#x}")
            return None
        strong = known.get("STRONGLY_TYPED")
        typed = strong is not None and bool(bits >> strong & 1)
        # Since 11 there is no other kind of network; until 8 one could lack a batch axis.
        return world.maker.new(
            "INetworkDefinition",
            logger=self._logger,
            bits=bits,
            strong=typed or world.major >= 11,
            explicit=world.major >= 10 or bool(bits >> known["EXPLICIT_BATCH"] & 1),
            model=None,
            layers=[],
            inputs=[],
            outputs=[],
        )

    def create_builder_config(self) -> Any:
        # TF32 is on unless it is cleared.
        bits = 1 << self._world.api.enum_members("BuilderFlag")["TF32"]
        fields = {"bits": bits, "limits": {}, "profiles": [], "cache": None, "preview": set()}
        config = self._world.maker.new("IBuilderConfig", **fields, targets=[])
        config._logger = self._logger
        for name, value in self._world.defaults.items():
            object.__setattr__(config, "_kept_" + name, value)
        return config

    def create_optimization_profile(self) -> Any:
        return self._world.maker.new("IOptimizationProfile", shapes={})

    def build_serialized_network(self, network: Any, config: Any) -> Any:
        world = self._world
        self._wait()
        wrong = "no implementation for a layer" if "build" in world.settings.faults else None
        wrong = wrong or wrong_build(world, network, config)
        if wrong:
            world.log(self._logger, "ERROR", f"[optimizer.cpp] Error Code 10: {wrong}")
            return None
        if config._cache is not None:
            config._cache._entries.add(
                hashlib.sha256(network._model.SerializeToString()).hexdigest()
            )
        world.record.add("build", "", flags=flag_names(world, config))
        return world.memory(plan.pack(header(world, network, config), network._model))

    def _wait(self) -> None:
        settings = self._world.settings
        if settings.hold and Path(settings.hold).exists():
            if settings.holding:
                Path(settings.holding).touch()
            while Path(settings.hold).exists():
                time.sleep(0.01)


def flag_names(world: Any, config: Any) -> list[str]:
    known = world.api.enum_members("BuilderFlag")
    return [name for name, value in known.items() if config._bits >> value & 1]


def wrong_build(world: Any, network: Any, config: Any) -> str | None:
    """Why TensorRT would not build this."""
    flags = flag_names(world, config)
    reduced = [name for name in PRECISIONS if name in flags]
    if network._model is None:
        return "network has no layers"
    if network._strong and reduced:
        return f"a strongly typed network allows no precision flags, {reduced} are set"
    return (
        wrong_precision(network, flags)
        or wrong_profiles(network, config)
        or wrong_device(world, network, config, flags)
        or wrong_targets(world, config)
    )


def wrong_precision(network: Any, flags: list[str]) -> str | None:
    for layer in network._layers:
        for index, dtype in layer._types.items():
            own = layer._tensors[index]._kind
            if (own in FLOATS) != (dtype.name in FLOATS):
                return f"layer {layer._name}: output {index} is {own}, not {dtype.name}"
        kinds = {tensor._kind for tensor in layer._tensors}
        kinds |= {dtype.name for dtype in layer._types.values()}
        kinds |= {layer._precision_set.name} if layer._precision_set else set()
        if not network._strong and "HALF" in kinds and "FP16" not in flags:
            return f"layer {layer._name} is HALF, but fp16 is not configured in the builder"
    return None


def wrong_profiles(network: Any, config: Any) -> str | None:
    dynamic = [tensor for tensor in network._inputs if -1 in tuple(tensor.shape)]
    if dynamic and not config._profiles:
        return "network has dynamic inputs, but no optimization profile has been defined"
    for index, profile in enumerate(config._profiles):
        for tensor in dynamic:
            shapes = profile._shapes.get(tensor.name)
            if shapes is None:
                return f"profile {index} has no shapes for {tensor.name}"
            own = tuple(tensor.shape)
            for shape in shapes:
                fits = len(shape) == len(own)
                if not fits or any(b not in (-1, a) for a, b in zip(shape, own, strict=True)):
                    return f"profile {index}: {shape} does not fit {tensor.name} {own}"
    return None


def wrong_device(world: Any, network: Any, config: Any, flags: list[str]) -> str | None:
    if config._kept_default_device_type.name != "DLA":
        return None
    core, cores = config._kept_DLA_core, world.settings.dla_cores
    if cores == 0 or not 0 <= core < cores:
        return f"DLA core {core} of {cores}"
    if not network._strong and not {"FP16", "INT8"} & set(flags):
        return "DLA runs FP16 or INT8, neither is set"
    return None if "GPU_FALLBACK" in flags else "a layer cannot run on DLA, and no GPU_FALLBACK"


def wrong_targets(world: Any, config: Any) -> str | None:
    if None in config._targets:
        return "a compute capability was announced and not set"
    return None


def header(world: Any, network: Any, config: Any) -> dict[str, Any]:
    settings = world.settings
    shared = "PROFILE_SHARING_0806" in config._preview
    level = getattr(config, "_kept_hardware_compatibility_level", None)
    return {
        "version": world.api.version,
        "flavour": settings.flavour,
        "gpu": settings.gpu,
        "capability": list(settings.capability),
        "targets": config._targets,
        "compatible": level.name if level else "NONE",
        "profiles": [profile._shapes for profile in config._profiles],
        "sharing": world.major >= 10 or shared,
        "strong": network._strong,
        "flags": flag_names(world, config),
        "level": config._kept_builder_optimization_level,
        "device": config._kept_default_device_type.name,
        "layers": len(network._layers),
        "limits": {pool.name: size for pool, size in config._limits.items()},
    }


class IOptimizationProfile(Behaviour):
    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        self._shapes[input] = [[int(size) for size in tuple(s)] for s in (min, opt, max)]

    def get_shape(self, input: str) -> Any:
        return [self._world.dims(shape) for shape in self._shapes.get(input, [])]

    def __bool__(self) -> bool:
        """Whether min <= opt <= max everywhere; asked when the profile is added."""
        return all(
            len(low) == len(best) == len(high)
            and all(0 <= a <= b <= c for a, b, c in zip(low, best, high, strict=True))
            for low, best, high in self._shapes.values()
        )


class ITimingCache(Behaviour):
    """State: entries, owner (version and GPU)."""

    def serialize(self) -> Any:
        text = ";".join([self._owner, *sorted(self._entries)])
        return self._world.memory(CACHE + text.encode())

    def reset(self) -> bool:
        self._entries.clear()
        return True


class IBuilderConfig(Behaviour):
    def set_flag(self, flag: Any) -> None:
        self._bits |= 1 << int(flag)

    def clear_flag(self, flag: Any) -> None:
        self._bits &= ~(1 << int(flag))

    def get_flag(self, flag: Any) -> bool:
        return bool(self._bits >> int(flag) & 1)

    @property
    def flags(self) -> int:
        return self._bits

    @flags.setter
    def flags(self, bits: int) -> None:
        self._bits = int(bits)

    def add_optimization_profile(self, profile: Any) -> int:
        if not profile:
            text = f"profile is not MIN<=OPT<=MAX: {profile._shapes}"
            self._world.log(self._logger, "ERROR", text)
            return -1
        self._profiles.append(profile)
        return len(self._profiles) - 1

    @property
    def num_optimization_profiles(self) -> int:
        return len(self._profiles)

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self._limits[pool] = int(pool_size)

    def get_memory_pool_limit(self, pool: Any) -> int:
        return self._limits.get(pool, self._world.settings.memory)

    def set_preview_feature(self, feature: Any, enable: bool) -> None:
        (self._preview.add if enable else self._preview.discard)(feature.name)

    def get_preview_feature(self, feature: Any) -> bool:
        return feature.name in self._preview

    def create_timing_cache(self, serialized_timing_cache: Any) -> Any:
        data, world = bytes(serialized_timing_cache), self._world
        owner, *entries = data.removeprefix(CACHE).decode("latin-1").split(";")
        if data and not data.startswith(CACHE):
            world.log(self._logger, "ERROR", "timing cache: header does not match")
            return None
        owner = owner if data else world.machine()
        return world.maker.new("ITimingCache", entries=set(entries), owner=owner)

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        if cache._owner != self._world.machine() and not ignore_mismatch:
            self._world.log(self._logger, "ERROR", "timing cache: made on another device")
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> Any:
        return self._cache

    @property
    def num_compute_capabilities(self) -> int:
        return len(self._targets)

    @num_compute_capabilities.setter
    def num_compute_capabilities(self, count: int) -> None:
        self._targets = [None] * int(count)

    def set_compute_capability(self, compute_capability: Any, index: int) -> bool:
        if not 0 <= index < len(self._targets):
            self._world.log(self._logger, "ERROR", "setComputeCapability: index out of range")
            return False
        self._targets[index] = compute_capability.name
        return True


def crash() -> None:
    """As real ones do without a driver; a debugger's dump is nobody's business here."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), signal.SIGSEGV)
