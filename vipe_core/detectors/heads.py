"""Which output of a network is what, found and checked once, when it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from vipe_core import skeletons
from vipe_core.detectors import decode
from vipe_core.detectors.configuration import DetectorConfiguration, PersonConfiguration
from vipe_core.detectors.decode import Choice, Found
from vipe_core.detectors.onnx_network import OnnxNetwork, shapes
from vipe_core.errors import VipeError

Outputs = Mapping[str, np.ndarray]
Keypoints = Callable[[Outputs], tuple[np.ndarray, np.ndarray]]
"""Outputs for N crops -> points (N, K, 2) in pixels of the input, scores (N, K)."""
People = Callable[[Outputs], Found]
"""Outputs for one image -> people."""
Boxes = Callable[[Outputs], tuple[np.ndarray, np.ndarray]]
"""Outputs for one image -> boxes (M, 4) of people, scores (M,), best first."""


def keypoints(network: OnnxNetwork, given: DetectorConfiguration) -> Keypoints:
    """How the outputs of a top-down model are read; VipeError when they do not fit."""
    return (_simcc if given.layout == "simcc" else _heatmap)(network, given)


def people(network: OnnxNetwork, given: DetectorConfiguration) -> People:
    """How the outputs of a one-stage model are read; VipeError when they do not fit."""
    return (_rtmo if given.layout == "rtmo" else _yolo_pose)(network, given)


def boxes(network: OnnxNetwork, given: PersonConfiguration, max_people: int) -> Boxes:
    """How the outputs of a person detector are read; VipeError when they do not fit."""
    choice = Choice(given.min_score, given.nms_overlap, max_people)
    if given.layout == "yolo":
        return _yolo_boxes(network, given.label, choice)
    dets, labels = _outputs(
        network, given.layout, "dets (1, M, 5) and labels (1, M)",
        lambda shape: len(shape) == 3 and shape[2] == 5, lambda shape: len(shape) == 2,
    )  # fmt: skip
    return lambda out: decode.boxes_dets(out[dets][0], out[labels][0], given.label, choice)


def _simcc(network: OnnxNetwork, given: DetectorConfiguration) -> Keypoints:
    width, height = network.size

    def along(length: int) -> Callable[[tuple[int, ...]], bool]:
        return lambda shape: len(shape) == 3 and shape[2] >= length and shape[2] % length == 0

    x, y = _outputs(
        network, given.layout, f"(N, K, {width} times a whole number) and as many for {height}",
        along(width), along(height),
    )  # fmt: skip
    _check_joints(network, given, network.example[x].shape[1])
    bins = np.array([network.example[x].shape[2] / width, network.example[y].shape[2] / height])
    if bins[0] != bins[1]:
        raise VipeError(f"{network.path}: {bins[0]:g} bins a pixel along x but {bins[1]:g} along y")

    def read(out: Outputs) -> tuple[np.ndarray, np.ndarray]:
        points, scores = decode.simcc(out[x], out[y])
        return points / bins, scores

    return read


def _heatmap(network: OnnxNetwork, given: DetectorConfiguration) -> Keypoints:
    (maps,) = _outputs(network, given.layout, "(N, K, H, W)", lambda shape: len(shape) == 4)
    joints, rows, columns = network.example[maps].shape[1:]
    _check_joints(network, given, joints)
    edge = 1 if given.udp else 0
    pixels = (np.array(network.size) - edge) / np.maximum(np.array([columns, rows]) - edge, 1)

    def read(out: Outputs) -> tuple[np.ndarray, np.ndarray]:
        points, scores = decode.heatmap(out[maps])
        return points * pixels, scores

    return read


def _rtmo(network: OnnxNetwork, given: DetectorConfiguration) -> People:
    dets, points = _outputs(
        network, given.layout, "dets (1, M, 5) and keypoints (1, M, K, 3)",
        lambda shape: len(shape) == 3 and shape[2] == 5,
        lambda shape: len(shape) == 4 and shape[3] == 3,
    )  # fmt: skip
    _check_joints(network, given, network.example[points].shape[2])
    choice = Choice(given.min_score, given.nms_overlap, given.max_people)
    return lambda out: decode.rtmo(out[dets][0], out[points][0], choice)


def _yolo_pose(network: OnnxNetwork, given: DetectorConfiguration) -> People:
    (name,) = _outputs(network, given.layout, "(1, rows, columns)", lambda shape: len(shape) == 3)
    joints = len(skeletons.get(given.skeleton))
    rows, columns = network.example[name].shape[1:]
    choice = Choice(given.min_score, given.nms_overlap, given.max_people)
    if columns == 6 + 3 * joints:
        return lambda out: decode.yolo_pose_nms(out[name][0], joints, choice)
    if rows >= 5 + 3 * joints and (columns > rows or rows == 5 + 3 * joints):
        _check_classes(network, given, rows - 4 - 3 * joints)
        return lambda out: decode.yolo_pose(out[name][0], joints, choice)
    raise VipeError(
        f"{network.path}: {joints} keypoints ({given.skeleton}) need an output "
        f"(1, {5 + 3 * joints}, A), or (1, M, {6 + 3 * joints}) of an end-to-end model; it gives "
        f"{shapes(network.example)}"
    )


def _check_classes(network: OnnxNetwork, given: DetectorConfiguration, classes: int) -> None:
    """One class more takes a row, one keypoint more takes three: a pose model of ten classes
    is less likely than a skeleton that is not the model's."""
    joints, rest = divmod(classes - 1, 3)
    if joints and not rest:
        _check_joints(network, given, joints + len(skeletons.get(given.skeleton)))


def _yolo_boxes(network: OnnxNetwork, label: int, choice: Choice) -> Boxes:
    (name,) = _outputs(network, "yolo", "(1, rows, columns)", lambda shape: len(shape) == 3)
    rows, columns = network.example[name].shape[1:]
    if columns == 6:
        return lambda out: decode.boxes_yolo_nms(out[name][0], label, choice)
    if rows < 5 + label:
        raise VipeError(
            f"{network.path}: class {label} needs an output (1, {5 + label} or more, A), or "
            f"(1, M, 6) of an end-to-end model; it gives {shapes(network.example)}"
        )
    return lambda out: decode.boxes_yolo(out[name][0], label, choice)


def _outputs(
    network: OnnxNetwork, layout: str, wanted: str, *fits: Callable[[tuple[int, ...]], bool]
) -> list[str]:
    """The first output that fits each; when they come in another order, in that order."""
    names: list[str] = []
    for fit in fits:
        found = [
            name
            for name, value in network.example.items()
            if name not in names and fit(value.shape)
        ]
        if not found:
            raise VipeError(
                f"{network.path}: layout {layout} needs outputs {wanted}; it gives "
                f"{shapes(network.example)}"
            )
        names.append(found[0])
    return names


def _check_joints(network: OnnxNetwork, given: DetectorConfiguration, joints: int) -> None:
    wanted = len(skeletons.get(given.skeleton))
    if joints != wanted:
        known = [name for name, entry in skeletons.SKELETONS.items() if len(entry) == joints]
        others = ", ".join(known) or "none is known"
        raise VipeError(
            f"{network.path} gives {joints} keypoints but skeleton {given.skeleton} has {wanted}; "
            f"skeletons of {joints}: {others}"
        )
