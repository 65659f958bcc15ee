"""Model files that compute in less than float32: fp16 by a cast, int8 by calibration."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.model_file.metadata import ModelMetadata
from vipe_core.precision import half_matrices, whole_weights
from vipe_training.datasets import load_motion
from vipe_training.evaluate import protocol
from vipe_training.export.half import store_half

if TYPE_CHECKING:
    import onnx

_CALIBRATION = "mocap/cmu_mocap_val.npz"  # people whom neither training nor testing uses
_POSES = 300
# Rare activations beyond this share of all are cut, so that the others get finer steps.
_PERCENTILE = 99.99


def in_precision(data: bytes, precision: str, metadata: ModelMetadata) -> bytes:
    """A model in fp32 with its matrix products in another precision.

    Args:
        data: serialised ONNX model.
        precision: fp16 or int8.
        metadata: of the model.

    Raises:
        VipeError: int8 without the motion files that calibrate it.
    """
    if precision == "fp16":
        return half_matrices(data)
    if precision == "int8":
        return quantized(data, calibration_inputs(metadata))
    raise VipeError(f"a model in fp32 can become fp16 or int8, not {precision!r}")


def calibration_inputs(metadata: ModelMetadata) -> list[dict[str, np.ndarray]]:
    """What the model is fed with to find out how large its activations become: validation
    people through eight noisy cameras, some of their points hidden."""
    motion = load_motion([_CALIBRATION])
    joints = protocol.choose(motion, _POSES, 0, metadata.frames, metadata.frame_step)
    rng = np.random.default_rng(0)
    fed = []
    for view in protocol.render(joints, protocol.novel8(), 0.02, 0):
        hidden = rng.random(view.shape[:-1]) < 0.1
        visibility = np.where(hidden, 0, 1).astype(np.float32)
        fed.append({"keypoints": view.astype(np.float32), "visibility": visibility})
    return fed


def quantized(data: bytes, inputs: list[dict[str, np.ndarray]]) -> bytes:
    """Explicit Q/DQ around matrix products of the trunk, as TensorRT reads it: symmetric, one
    scale per output channel of a weight, biases left in float32. See :func:`_worth_it` for which.

    Args:
        data: serialised ONNX model in fp32.
        inputs: batches to calibrate with.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.calibrate import CalibrationDataReader, CalibrationMethod

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(inputs)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.left, None)

    whole = onnx.load_model_from_string(whole_weights(data))
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, out = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save(whole, source)
        quantize_static(
            source,
            out,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Gemm", "MatMul"],
            nodes_to_quantize=_worth_it(whole.graph),
            calibrate_method=CalibrationMethod.Percentile,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "QuantizeBias": False,
                "CalibPercentile": _PERCENTILE,
            },
        )
        # The products that stay in float32 take half the room where that loses nothing.
        return store_half(out.read_bytes())


def _worth_it(graph: onnx.GraphProto) -> list[str]:
    """Names of the matrix products to compute in int8.

    The first one, which sees coordinates, and the heads, which are the answer, lose most and have
    few weights. Where there are layer norms, only products of what they give: the outputs of a
    GELU lie on one side of zero, and symmetric steps waste half of themselves on the other.
    """
    products = [node for node in graph.node if node.op_type in ("Gemm", "MatMul")]
    normed: set[str] = set()
    for node in graph.node:  # in order; a window's frames are put side by side after their norm
        passes_on = node.op_type in ("Reshape", "Flatten") and node.input[0] in normed
        if node.op_type == "LayerNormalization" or passes_on:
            normed.update(node.output)
    inner = [node for node in products if "trunk" in node.name][1:]
    chosen = [node.name for node in inner if not normed or node.input[0] in normed]
    return chosen or [node.name for node in products]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice to preprocess, which the exporter's graph does not need, and without
    the calibrator's prints."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(None):
            yield
    finally:
        logger.setLevel(level)
