"""Keypoints of any skeleton through a model: conversion, missing people, blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np

from vipe_core import skeletons
from vipe_core.bodies import Estimates
from vipe_core.errors import VipeError
from vipe_core.runtime import BLOCK, Model
from vipe_core.windows import window_index

MIN_JOINTS = 4  # with fewer, anything would do for an answer
_VISIBLE = 0.5  # below this the model's graph masks a joint
_FAR = 1e8  # pixels; the graph takes what lies farther out as missing


def check_skeleton(source: str, model: Model) -> None:
    """Raises VipeError when ``source`` lacks a joint that the model's input needs."""
    target = skeletons.get(model.metadata.skeleton_2d)
    made = skeletons.convert(np.zeros((len(skeletons.get(source)), 1)), source, target)
    lacking = [target.joints[j] for j in np.flatnonzero(np.isnan(made[:, 0]))]
    if lacking:
        raise VipeError(
            f"the model {model.metadata.name} takes {target.name}, "
            f"which cannot be made from {source}: it has no {', '.join(lacking)}"
        )


def estimate(
    model: Model,
    points: np.ndarray,
    visibility: np.ndarray,
    skeleton: str,
    progress: Callable[[int], object] | None = None,
    stamps: np.ndarray | None = None,
) -> tuple[Estimates, np.ndarray]:
    """Estimates of people who may be missing: fewer than :data:`MIN_JOINTS` joints of the
    model's skeleton visible.

    A model of windows of frames sees each frame with its neighbours in time
    (:func:`vipe_core.windows.window_index`); what is missing in one of those is just
    invisible there.

    Args:
        model: see :func:`vipe_core.runtime.load`.
        points: (..., J, 2) pixels; NaN where a joint is missing. For a model of windows
            the first axis is the frames of one clip.
        visibility: (..., J) in 0..1.
        skeleton: of the points; converted to the model's by joint name.
        progress: called with the number of poses just finished.
        stamps: (T,) seconds of the frames, rising; needed by a model of windows.

    Returns:
        Estimates with the leading axes of ``points``, NaN for a missing person; and
        missing (...) bool.

    Raises:
        VipeError: the skeleton cannot be converted to the model's, or the model needs
            stamps and there are none.
    """
    check_skeleton(skeleton, model)
    target = model.metadata.skeleton_2d
    lead = np.shape(points)[:-2]
    points = skeletons.convert(points, skeleton, target).reshape(-1, len(skeletons.get(target)), 2)
    visibility = skeletons.convert_visibility(visibility, skeleton, target)
    visibility = visibility.reshape(points.shape[:2])
    there = np.flatnonzero(visible_joints(points, visibility) >= MIN_JOINTS)
    window = _windows(model, lead, stamps)
    out: dict[str, np.ndarray] = {}
    # Also with nobody there: an empty run gives the shapes.
    for start in range(0, max(len(there), 1), BLOCK):
        rows = there[start : start + BLOCK]
        seen = rows if window is None else window[rows]  # (n,) or (n, T)
        part = model(points[seen], visibility[seen])
        for name, value in _heads(part).items():
            empty = np.full((len(points), *value.shape[1:]), np.nan, np.float32)
            out.setdefault(name, empty)[rows] = value
        if progress:
            progress(len(rows))
    missing = np.ones(len(points), bool)
    missing[there] = False
    shaped = {name: value.reshape(*lead, *value.shape[1:]) for name, value in out.items()}
    return Estimates(**shaped), missing.reshape(lead)


def _windows(model: Model, lead: tuple[int, ...], stamps: np.ndarray | None) -> np.ndarray | None:
    """Rows (N, T) of the window around each of the N flattened poses; None: single frames."""
    info = model.metadata
    if info.frames == 1:
        return None
    if stamps is None or not lead:
        raise VipeError(
            f"the model {info.name} looks at {info.frames} frames {info.frame_step:g} s apart: "
            "it needs a clip whose fps or stamps are known"
        )
    if len(stamps) != lead[0]:
        raise VipeError(f"{len(stamps)} stamps for {lead[0]} frames")
    index = window_index(stamps, info.frames, info.frame_step)  # (F, T)
    people = int(np.prod(lead[1:]))
    rows = index[:, None] * people + np.arange(people)[:, None]  # (F, P, T)
    return rows.reshape(-1, info.frames)


def visible_joints(points: np.ndarray, visibility: np.ndarray) -> np.ndarray:
    """How many joints (...,) of points (..., J, 2) the model's graph will not mask."""
    near = (np.abs(points) < _FAR).all(-1)  # NaN is not
    return (near & (visibility >= _VISIBLE)).sum(-1)


def _heads(estimates: Estimates) -> dict[str, np.ndarray]:
    values = {field.name: getattr(estimates, field.name) for field in fields(estimates)}
    return {name: value for name, value in values.items() if value is not None}
