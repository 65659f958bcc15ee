"""ONNX to a serialised engine: the calls that every TensorRT from 8.6 to 11 and RTX share.

What differs between them, and nothing else in this package knows of it:

* From 10 on networks are strongly typed: fp16 is in the graph, see
  :func:`vipe_core.precision.half_matrices`. 8.6 is given the float32 graph and may compute
  matrix products in fp16, and nothing else.
* 8.6 wants the flag EXPLICIT_BATCH, and a preview feature for two contexts on one profile.
* RTX compiles for named compute capabilities, and keeps no timing cache.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any

from vipe_core.errors import VipeError
from vipe_core.precision import half_matrices, whole_weights
from vipe_core.runtime.trt.options import Options

# Layers that may compute in fp16 or int8 where the library chooses (8.6).
_MATRIX_LAYERS = ("MATRIX_MULTIPLY", "FULLY_CONNECTED", "CONVOLUTION")
# Layers for which a precision means nothing, or is their whole point.
_FREE_LAYERS = (*_MATRIX_LAYERS, "CONSTANT", "SHAPE", "QUANTIZE", "DEQUANTIZE")


def build_plan(
    trt: ModuleType,
    model: bytes,
    options: Options,
    log: Any,
    timing: bytes | None = None,
    keep_timing: Callable[[bytes], object] | None = None,
) -> bytes:
    """Build a serialised engine.

    Args:
        trt: the library.
        model: content of the model file, which computes in ``options.precision`` or fp32.
        options: what to build.
        log: what :func:`make_log` made; its ``errors`` explain a failure.
        timing: timing cache of an earlier build; None: none is used.
        keep_timing: called with the timing cache after the build.

    Raises:
        VipeError: the library cannot parse or build it, with the library's own words.
    """
    builder = trt.Builder(log)
    if builder is None:
        raise VipeError(_failed("cannot start its builder", log))
    weak = not hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(_graph(model, options.precision, weak)):
        said = "; ".join(str(parser.get_error(i).desc()) for i in range(parser.num_errors))
        raise VipeError(_failed("cannot read the model", log, said))
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace << 20)
    # TF32 keeps ten bits: it is not the fp32 that was asked for.
    config.clear_flag(trt.BuilderFlag.TF32)
    if weak:
        if options.precision != "fp32":
            _allow(trt, config, options.precision)
            hold_to_float32(trt, network)
        config.set_preview_feature(trt.PreviewFeature.PROFILE_SHARING_0806, True)
    _add_profiles(builder, network, config, options.batch)
    if options.dla is not None:
        _use_dla(trt, builder, config, options.dla)
    if options.targets:
        _aim(trt, config, options.targets)
    cache = _use_timing(config, timing, log) if timing is not None else None
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        hint = " (a GPU of 7.5 needs --precision fp16)" if "7.5" in options.targets else ""
        raise VipeError(_failed("cannot build the engine", log) + hint)
    if cache is not None and keep_timing is not None:
        # A disk that is full must not cost the engine.
        with suppress(VipeError):
            keep_timing(bytes(memoryview(config.get_timing_cache().serialize())))
    return bytes(memoryview(plan))


def make_log(trt: ModuleType) -> Any:
    """A logger that keeps errors for the message and prints nothing."""

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(" ".join(str(message).split()))

    return Log()


def _graph(model: bytes, precision: str, weak: bool) -> bytes:
    """What the parser is given. A network that is not strongly typed takes a float16 constant
    for leave to compute in it."""
    if weak:
        return whole_weights(model)
    return half_matrices(model) if precision == "fp16" else model


def _network_flags(trt: ModuleType) -> int:
    # The bit of a flag moves between versions: never a number of our own.
    kinds = trt.NetworkDefinitionCreationFlag
    flag = getattr(kinds, "STRONGLY_TYPED", None)
    return 1 << int(kinds.EXPLICIT_BATCH if flag is None else flag)


def _add_profiles(builder: Any, network: Any, config: Any, sizes: tuple[int, ...]) -> None:
    """One profile per batch size, of exactly that size: the fastest, and a CUDA graph wants it."""
    for size in sizes:
        profile = builder.create_optimization_profile()
        for i in range(network.num_inputs):
            tensor = network.get_input(i)
            shape = (size, *tuple(tensor.shape)[1:])
            profile.set_shape(tensor.name, shape, shape, shape)
        if config.add_optimization_profile(profile) < 0:
            raise VipeError(f"TensorRT refuses the profile for batch {size}")


def _allow(trt: ModuleType, config: Any, precision: str) -> None:
    """8.6: the library may choose fp16 or int8 where nothing holds it to float32."""
    config.set_flag(trt.BuilderFlag.FP16 if precision == "fp16" else trt.BuilderFlag.INT8)
    config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)


def hold_to_float32(trt: ModuleType, network: Any) -> None:
    """8.6: every layer that reads or writes float32 and is no matrix product computes in it.

    Layers that only compare count too: pixels, and the limit beyond which they are missing,
    overflow fp16.
    """
    free = {getattr(trt.LayerType, name) for name in _FREE_LAYERS if hasattr(trt.LayerType, name)}
    for i in range(network.num_layers):
        layer = network.get_layer(i)
        if layer.type in free:
            continue
        inputs = [layer.get_input(k) for k in range(layer.num_inputs)]
        outputs = [layer.get_output(k) for k in range(layer.num_outputs)]
        if any(tensor is not None and tensor.dtype == trt.float32 for tensor in inputs + outputs):
            layer.precision = trt.float32
        for k, tensor in enumerate(outputs):
            if tensor.dtype == trt.float32:
                layer.set_output_type(k, trt.float32)


def _use_dla(trt: ModuleType, builder: Any, config: Any, core: int) -> None:
    cores = int(builder.num_DLA_cores)
    if not 0 <= core < cores:
        raise VipeError(f"there is no DLA core {core}: this device has {cores or 'none'}")
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def _aim(trt: ModuleType, config: Any, targets: tuple[str, ...]) -> None:
    known = getattr(trt, "ComputeCapability", None)
    if known is None:
        raise VipeError(
            "only tensorrt-rtx compiles for other machines; classic TensorRT builds on the device"
        )
    config.num_compute_capabilities = len(targets)
    for number, target in enumerate(targets):
        wanted = getattr(known, f"SM{target.replace('.', '')}", None)
        if wanted is None:
            names = [f"{n[2:-1]}.{n[-1]}" for n in known.__members__ if n.startswith("SM")]
            raise VipeError(f"compute capability {target} is not among {', '.join(names)}")
        config.set_compute_capability(wanted, number)


def _use_timing(config: Any, content: bytes, log: Any) -> Any:
    """A timing cache in the configuration; an old one that does not fit counts as empty."""
    cache = config.create_timing_cache(content)
    if cache is None or not config.set_timing_cache(cache, False):
        log.errors.clear()  # it says so, and a later failure has other reasons
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _failed(what: str, log: Any, said: str = "") -> str:
    reason = said or "; ".join(log.errors[-2:]) or "it gives no reason"
    return f"TensorRT {what}: {reason[:400]}"
