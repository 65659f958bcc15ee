"""Joints of SMPL's family of body models, from the files that their licence lets a user have.

Source: SMPL (Loper et al. 2015): joints are regressed from the shaped template and then
turned about each other; the pose-dependent correction of the surface moves no joint.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.files import read_npz
from vipe_training.datasets import kinematics
from vipe_training.datasets import skeleton_maps as maps

_FIELDS = ("J_regressor", "v_template", "shapedirs", "kintree_table")
# The surface of SMPL and SMPL-H has 6890 points; these two are fixed to the skull.
_POINTS, _NOSE, _TOP = 6890, 332, 411
_GENDERS = ("male", "female", "neutral")


@dataclass(frozen=True)
class BodyModel:
    """One body model.

    Attributes:
        regressor: (J, V) surface to joints.
        template: (V, 3) metres, x left, y up, z forward.
        shapes: (V, 3, B) change of the surface per shape number.
        parents: J indices, -1 for the root.
    """

    regressor: np.ndarray
    template: np.ndarray
    shapes: np.ndarray
    parents: tuple[int, ...]

    def joints17(self, poses: np.ndarray, betas: np.ndarray) -> np.ndarray:
        """joints17 (T, 17, 3) in the world of the poses, pelvis at the origin.

        Args:
            poses: (T, 3 J') rotation vectors, J' at least 22; more than the model's are cut.
            betas: shape numbers; as many are used as both have.
        """
        count = min(len(betas), self.shapes.shape[-1])
        surface = self.template + self.shapes[..., :count] @ betas[:count]
        rest = self.regressor @ surface
        joints = min(len(self.parents), poses.shape[1] // 3)
        if joints < 22:
            raise VipeError(f"poses of {poses.shape[1]} numbers: at least 22 joints needed")
        rotations = kinematics.rotation_vectors(poses[:, : 3 * joints].reshape(-1, joints, 3))
        parents = self.parents[:joints]
        offsets = rest[:joints] - np.where(np.array(parents)[:, None] < 0, 0, rest[list(parents)])
        positions, world = kinematics.forward(parents, offsets, rotations)
        head = world[:, maps.SMPL_HEAD]
        out = maps.from_smpl(positions, head)
        if len(surface) == _POINTS:
            skull = positions[:, maps.SMPL_HEAD] - positions[:, [1, 2]].mean(axis=1)
            for name, vertex in (("nose", _NOSE), ("head", _TOP)):
                maps.set_joint(out, name, skull + head @ (surface[vertex] - rest[maps.SMPL_HEAD]))
        return out


@dataclass(frozen=True)
class BodyModels:
    """One ``.npz`` for everybody, or a folder with one per gender."""

    path: Path

    def files(self) -> list[Path]:
        """Every model file. Raises VipeError when there is none."""
        if self.path.is_file():
            return [self.path]
        found = [self._file(gender) for gender in _GENDERS]
        if not any(path.is_file() for path in found):
            raise VipeError(f"body model {self.path}: no .npz and no folder with neutral/model.npz")
        return [path for path in found if path.is_file()]

    def of(self, gender: str) -> BodyModel:
        """The model for that gender. Raises VipeError when there is none."""
        if self.path.is_file():
            return self._all[str(self.path)]
        path = self._file(gender)
        if str(path) not in self._all:
            raise VipeError(f"body model {self.path}: no {gender}/model.npz")
        return self._all[str(path)]

    def _file(self, gender: str) -> Path:
        return self.path / gender / "model.npz"

    @cached_property
    def _all(self) -> dict[str, BodyModel]:
        return {str(path): load(path) for path in self.files()}


def load(path: Path) -> BodyModel:
    """Read a body model; raises VipeError when it is missing, damaged or something else."""
    data = read_npz(path, "body model")
    if lacking := [name for name in _FIELDS if name not in data]:
        raise VipeError(f"body model {path}: no {', '.join(lacking)}")
    regressor, template, shapes, tree = (data[name] for name in _FIELDS)
    joints, points = regressor.shape if regressor.ndim == 2 else (0, 0)
    if joints < 22 or template.shape != (points, 3) or shapes.shape[:2] != (points, 3):
        raise VipeError(
            f"body model {path}: J_regressor {regressor.shape}, v_template {template.shape} and "
            f"shapedirs {shapes.shape} do not fit each other"
        )
    # The root's parent is stored as the largest unsigned number.
    parents = tuple(int(p) if int(p) < joints else -1 for p in tree[0][:joints])
    if any(parent >= j for j, parent in enumerate(parents)) or parents[0] >= 0:
        raise VipeError(f"body model {path}: kintree_table is no tree with parents first")
    return BodyModel(regressor.astype(float), template.astype(float), shapes.astype(float), parents)
