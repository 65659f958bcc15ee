"""Which joint of a motion capture skeleton is which of ``joints17``, by its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.skeletons import JOINTS17
from vipe_training.datasets import skeleton_maps as maps

# The first name that exists counts. Compared in small letters without prefix and punctuation:
# "mixamorig:LeftUpLeg" is "leftupleg". In CMU's trees a joint begins at its parent's end, so
# the neck of joints17 (the lower neck's end) is "Neck1" and the spine "Spine1". {s} is the side
# in full, {l} its first letter.
_CENTRE = {
    "spine": ("spine1", "chest", "spine"),
    "neck": ("neck1", "neck"),
    "head": ("headend", "headtopend", "headnub", "headsite"),
}
_SIDES = {
    "hip": ("{s}upleg", "{s}hip", "{s}thigh", "upperleg{l}", "thigh{l}", "{l}thigh"),
    "knee": ("{s}leg", "{s}knee", "{s}shin", "lowerleg{l}", "calf{l}", "{l}shin"),
    "ankle": ("{s}foot", "{s}ankle", "foot{l}", "{l}foot"),
    "shoulder": ("{s}arm", "{s}uparm", "{s}upperarm", "upperarm{l}", "{l}shldr"),
    "elbow": ("{s}forearm", "{s}lowarm", "{s}lowerarm", "{s}elbow", "lowerarm{l}", "{l}forearm"),
    "wrist": ("{s}hand", "{s}wrist", "hand{l}", "{l}hand"),
}
_NEEDED = ("spine", "neck", *(f"{s}_{part}" for s in ("left", "right") for part in _SIDES))


def plain(name: str) -> str:
    """A joint's name in small letters, without prefix and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.split(":")[-1].lower())


def find(names: Sequence[str], path: Path) -> dict[str, int]:
    """Index of each joint of joints17 that the skeleton has.

    Raises:
        VipeError: a limb, the spine or the neck has no known name.
    """
    index = {plain(name): i for i, name in reversed(list(enumerate(names)))}
    found = {}
    for joint, aliases in _aliases().items():
        known = next((index[alias] for alias in aliases if alias in index), None)
        if known is not None:
            found[joint] = known
    if lacking := [joint for joint in _NEEDED if joint not in found]:
        raise VipeError(f"{path}: no joint known as {lacking[0]} among {', '.join(names)}")
    return found


def _aliases() -> dict[str, tuple[str, ...]]:
    sides = {
        f"{side}_{part}": tuple(alias.format(s=side, l=side[0]) for alias in aliases)
        for side in ("left", "right")
        for part, aliases in _SIDES.items()
    }
    return {**_CENTRE, **sides}


def facing(joints: np.ndarray) -> np.ndarray:
    """(T, 3) unit vectors out of the chest of joints17 (T, 17, 3), across hips and trunk."""
    left, right, neck = (joints[:, JOINTS17.index(n)] for n in ("left_hip", "right_hip", "neck"))
    across = maps.unit(left - right)
    up = maps.unit(maps.reject(neck - (left + right) / 2, across))
    return np.cross(across, up)
