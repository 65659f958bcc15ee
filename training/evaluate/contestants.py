"""The rows of a comparison: model files, and baselines that need no training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.runtime import Model
from vipe_training.evaluate import coders
from vipe_training.evaluate.task import Contestant, Lift

BASELINES = {
    "keypoints": "aligned 2D keypoints: nearest after similarity alignment, no learning",
    "lifting": "the poses of the first model that lifts, every pair aligned by Procrustes",
}


def contestants(models: Sequence[Model], baselines: Sequence[str] = ()) -> list[Contestant]:
    """A row for each model, then one for each baseline.

    Args:
        models: loaded model files.
        baselines: keys of :data:`BASELINES`.

    Raises:
        VipeError: the same model or baseline twice, an unknown baseline, a model of other
            keypoints than the suites render, or no model that lifts for ``lifting``.
    """
    _check_twice([model.fingerprint for model in models], [str(model.path) for model in models])
    _check_twice(list(baselines), list(baselines))
    return [
        *(_of_model(model, name) for model, name in zip(models, row_names(models), strict=True)),
        *(_of_baseline(name, models) for name in baselines),
    ]


def row_names(models: Sequence[Model]) -> list[str]:
    """Names of the rows: the model's, with version and fingerprint where two share it."""
    infos = [model.metadata for model in models]
    shared = Counter(info.name for info in infos)
    return [
        info.name
        if shared[info.name] == 1
        else f"{info.name} {info.version} ({model.fingerprint[:6]})"
        for info, model in zip(infos, models, strict=True)
    ]


def _of_model(model: Model, name: str) -> Contestant:
    info = model.metadata
    if info.skeleton_2d != "body13":
        raise VipeError(
            f"model {model.path} takes {info.skeleton_2d} keypoints; the suites render body13"
        )
    return Contestant(
        name=name,
        fingerprint=model.fingerprint,
        coder=coders.coder(model),
        lift=_lift(model) if info.has_pose else None,
        frames=info.frames,
        frame_step=info.frame_step,
        model=model,
    )


def _of_baseline(name: str, models: Sequence[Model]) -> Contestant:
    if name == "keypoints":
        return Contestant("aligned 2D keypoints", name, coder=coders.KeypointCoder())
    if name != "lifting":
        raise VipeError(f"unknown baseline {name!r}; known: {', '.join(BASELINES)}")
    lifts = [i for i, model in enumerate(models) if model.metadata.has_pose]
    if not lifts:
        raise VipeError("baseline lifting needs a model that lifts, and none of these does")
    model = models[lifts[0]]
    return Contestant(
        name=f"{row_names(models)[lifts[0]]}, lifted + Procrustes",
        fingerprint=f"{model.fingerprint}-lifting",
        coder=coders.LiftingCoder(_lift(model)),
        frames=model.metadata.frames,
        frame_step=model.metadata.frame_step,
        model=model,
    )


def _lift(model: Model) -> Lift:
    def lift(points: np.ndarray, visibility: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return model(points, visibility).pose()

    return lift


def _check_twice(keys: list[str], names: list[str]) -> None:
    for i, key in enumerate(keys):
        if key in keys[:i]:
            first = names[keys.index(key)]
            same = "" if names[i] == first else f", the same as {first}"
            raise VipeError(f"{names[i]} is given twice{same}")
