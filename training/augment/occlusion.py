"""Points that a detector does not see."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vipe_core.skeletons import BODY13
from vipe_training.augment.cliques import draw_structured

LIMB_POINTS = BODY13.indices(
    *(f"{s}_{j}" for s in ("left", "right") for j in ("elbow", "wrist", "knee", "ankle"))
)
_WHOLE_LIMBS = tuple(
    tuple(BODY13.indices(*(f"{side}_{j}" for j in joints)))
    for side in ("left", "right")
    for joints in (("elbow", "wrist"), ("knee", "ankle"))
)
_LEGS = BODY13.indices(*(f"{s}_{j}" for s in ("left", "right") for j in ("hip", "knee", "ankle")))


@dataclass(frozen=True)
class OcclusionConfig:
    """Missing points; the same ones in all frames of a window.

    Attributes:
        independent: share of views in which each limb point is hidden with ``q``.
        q: see above; 0.2 in Pr-VIPE.
        structured: share of views whose points are hidden as people's are in pictures.
        table: visibility table of the structured kind; "" for the shipped one.
        limbs: share of views in which whole arms and legs are hidden.
        crop: share of views that end at the waist: no hips, no legs.
        nose: share of views in which the nose is hidden, in any view.
        anchors_only: only the first view of a pose loses points, the others keep theirs.
    """

    independent: float = 0.0
    q: float = 0.2
    structured: float = 0.0
    table: str = ""
    limbs: float = 0.0
    crop: float = 0.0
    nose: float = 0.0
    anchors_only: bool = False


def draw_visible(
    batch: int, views: int, config: OcclusionConfig, generator: torch.Generator
) -> Tensor:
    """(B, V, 13) bool, on the generator's device."""

    def happens(probability: float, *size: int) -> Tensor:
        return torch.rand(batch, views, *size, generator=generator, device=generator.device) < (
            probability
        )

    visible = torch.ones(batch, views, len(BODY13), dtype=torch.bool, device=generator.device)
    if config.independent:
        hide = happens(config.q, len(LIMB_POINTS)) & happens(config.independent, 1)
        visible[..., LIMB_POINTS] &= ~hide
    if config.structured:
        shown = draw_structured(batch * views, config.table, generator)
        visible &= shown.reshape(visible.shape) | ~happens(config.structured, 1)
    if config.limbs:
        # On average one and a half of four limbs, whole.
        some = happens(config.limbs, 1)
        for limb in _WHOLE_LIMBS:
            visible[..., list(limb)] &= ~(happens(0.375, 1) & some)
    if config.crop:
        visible[..., _LEGS] &= ~happens(config.crop, 1)
    if config.nose:
        visible[..., 0] &= ~happens(config.nose)
    if config.anchors_only:
        visible[:, 1:] = True
    return visible
