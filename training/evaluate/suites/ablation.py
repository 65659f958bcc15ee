"""Which settings an ablation varies, and the training runs that it takes."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import vipe_training
from vipe_core import runtime
from vipe_core.errors import VipeError
from vipe_training.config import build, load, to_dict
from vipe_training.evaluate import protocol
from vipe_training.evaluate.coders import Coder, coder
from vipe_training.evaluate.metrics.matches import Matches
from vipe_training.evaluate.metrics.occlusion import TARGETED, hidden_hits
from vipe_training.evaluate.metrics.retrieval import hit_at_k
from vipe_training.export.write import export, load_trained
from vipe_training.loop.run_config import RunConfig
from vipe_training.loop.run_folder import LAST
from vipe_training.loop.train import train
from vipe_training.models import SYSTEMS, PrVipeConfig

CONFIGS = Path(vipe_training.__file__).parent / "configs"
# What a machine computes with changes nothing that a run learns.
_MACHINE = ("threads", "device", "compile")


@dataclass(frozen=True)
class Factor:
    """Something that is varied.

    Attributes:
        what: in words, with the unit.
        values: that are tried unless others are named.
        setting: of the configuration, which takes the value.
        others: settings that go with every value.
        off: the value at which the configuration stays as it is, if there is one.
        lowest: value that makes sense.
    """

    what: str
    values: tuple[float, ...]
    setting: str
    others: tuple[str, ...] = ()
    off: float | None = None
    lowest: float = 0


_HIDDEN = "occlusion.independent=0.5 occlusion.nose=0.1 occlusion.anchors_only=true"
# Names as in Pr-VIPE, section 5.5 and its supplement.
FACTORS = {
    "K": Factor("samples per embedding, K", (5, 10, 20, 40), "model.samples", lowest=1),
    "beta": Factor("ratio of matching probabilities, beta", (1.5, 2, 3), "model.beta", lowest=1),
    "kappa": Factor("matching threshold, kappa, NP-MPJPE", (0.05, 0.1, 0.2), "model.kappa"),
    "elevation": Factor(
        "elevation of the augmented cameras, ± degrees",
        (10, 30, 45),
        "batch.views.camera.elevation",
    ),
    "roll": Factor(
        "roll of the augmented cameras, ± degrees", (0, 15, 30, 60), "batch.views.camera.roll"
    ),
    "dropout": Factor(
        "share of hidden keypoints in half of the anchors, q",
        (0.0, 0.1, 0.2, 0.3),
        "batch.views.occlusion.q",
        (
            *(f"batch.views.{word}" for word in _HIDDEN.split()),
            *("model.visible_labels=true", "model.label_joints=16"),
        ),
        off=0.0,
    ),
    "embedding": Factor("dimensions of the embedding, D", (8, 16, 32), "model.embedding", lowest=1),
}


def base(name: str, words: Sequence[str], steps: int, seed: int) -> RunConfig:
    """The configuration that is varied: a shipped one by name, changed by ``key=value``.

    Raises:
        VipeError: there is none of that name, or a setting that it does not have.
    """
    path = CONFIGS / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in CONFIGS.glob("*.yaml")))
        raise VipeError(f"no configuration {name!r}; known: {known}")
    checks = [f"validate_every={max(1, steps // 4)}", f"log_every={max(1, min(50, steps // 4))}"]
    config = load(RunConfig, path, [*checks, *words, f"steps={steps}", f"seed={seed}"])
    _check_model(config)
    return config


def varied(config: RunConfig, factor: Factor, value: float) -> RunConfig:
    """The configuration with a factor at a value.

    Raises:
        VipeError: the system has no such setting, or not that value.
    """
    if not value >= factor.lowest:
        raise VipeError(f"{factor.setting} is {value:g}, expected {factor.lowest:g} or more")
    data = to_dict(config)
    if factor.off is not None and value == factor.off:
        return config
    for key, given in [(factor.setting, value), *(_pair(word) for word in factor.others)]:
        _assign(data, key, given)
        # What is hidden is hidden in both kinds of views.
        if "occlusion" in key and data["batch"]["other_views"] is not None:
            _assign(data, key.replace("batch.views", "batch.other_views"), given)
    made = build(RunConfig, data, config.name)
    _check_model(made)
    return made


def _pair(word: str) -> tuple[str, object]:
    key, _, value = word.partition("=")
    return key, json.loads(value)


def _assign(data: dict, key: str, value: object) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        data = data[parent]
    data[last] = value


def _check_model(config: RunConfig) -> None:
    settings = _model(config)
    if isinstance(settings, PrVipeConfig):
        settings.check()


def _model(config: RunConfig) -> Any:
    """The system's settings with their defaults."""
    if config.system not in SYSTEMS:
        raise VipeError(f"unknown system {config.system!r}; known: {', '.join(SYSTEMS)}")
    return build(SYSTEMS[config.system][1], config.model, f"{config.name}: model")


def whole(value: float) -> float | int:
    """16.0 as 16: settings that count want whole numbers."""
    return int(value) if float(value).is_integer() else float(value)


def key(config: RunConfig) -> str:
    """Twelve digits that differ wherever two runs could learn something else."""
    told = {name: value for name, value in to_dict(config).items() if name not in _MACHINE}
    told["model"] = to_dict(_model(config))  # a default that is written out is the same run
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def trained(config: RunConfig, folder: Path) -> runtime.Model:
    """The model of a run: trained on from where it was stopped, then exported.

    Raises:
        VipeError: what training and export raise.
    """
    path = folder / f"{config.name}.onnx"
    if not path.is_file():
        begun = (folder / LAST).is_file()
        shown = sys.stderr.isatty()
        best = train(config, folder, resume=begun, overwrite=not begun, progress=shown)
        export(load_trained(best), path, "0", {})
    return runtime.load(path)


def measured(model: runtime.Model, joints: np.ndarray, seed: int) -> dict[str, float]:
    """Hit@1 in percent per camera protocol, and with targeted occlusions of the query on
    chest4 (``partial``), of poses (N, [T,] 17, 3)."""
    codes, matches = coder(model), Matches(joints)
    found = {}
    for name, views in (("chest4", protocol.chest4()), ("novel8", protocol.novel8(seed))):
        points = protocol.render(joints, views)
        index = [codes.code(p, np.ones(p.shape[:-1])) for p in points]
        found[name] = float(hit_at_k(codes, index, index, matches)[0])
        if name == "chest4":
            found["partial"] = float(
                np.mean([_hidden(codes, points, index, h, joints) for h in TARGETED.values()])
            )
    return {name: round(value, 2) for name, value in found.items()}


def _hidden(
    codes: Coder, points: np.ndarray, index: list, hidden: list[int], joints: np.ndarray
) -> float:
    """Hit@1 in percent of queries without some points; labels count what is shown."""
    visible = np.ones(points.shape[-2], bool)
    visible[hidden] = False
    matches = Matches(joints, [protocol.BODY13_IN_17[j] for j in np.flatnonzero(visible)])
    return float(hidden_hits(codes, points, index, visible, matches)[0])
